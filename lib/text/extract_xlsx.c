#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/number_format.h"
#include "text/sheet.h"
#include "text/xml.h"

enum { MAX_ROW = 1 << 20, MAX_COLUMN = 1 << 14 };

struct span {
    size_t at, len;
};

struct format_code {
    unsigned id;
    struct number_format format;
};

/* A workbook that is being read. */
struct workbook {
    const struct package *package;
    struct buf strings; /* the shared ones, one behind the other */
    struct span *spans;
    size_t n_spans, spans_cap;
    struct format_code *codes;
    size_t n_codes, codes_cap;
    struct number_format *styles; /* by what a cell's s says */
    size_t n_styles, styles_cap;
    bool from_1904;
    bool *used; /* for each part */
    struct sheet sheet;
};

static unsigned number(const char *value, unsigned otherwise)
{
    char *end;
    unsigned long n = value ? strtoul(value, &end, 10) : 0;
    return value && end != value && n < UINT32_MAX ? (unsigned)n : otherwise;
}

/* The character that "_x000D_" stands for (ECMA-376 part 1, section 22.9.2.19); -1: it is no such
 * thing. */
static long escaped_character(const char *p, size_t len)
{
    char digits[5] = "";
    char *end;
    if (len < 7 || p[0] != '_' || p[1] != 'x' || p[6] != '_')
        return -1;
    memcpy(digits, p + 2, 4);
    long c = isxdigit((unsigned char)*digits) ? strtol(digits, &end, 16) : -1;
    return c >= 0 && end == digits + 4 ? c : -1;
}

/* In place, from there on. */
static void unescape(struct buf *text, size_t from)
{
    struct buf out = BUF_INIT;
    if (!memmem(text->p + from, text->len - from, "_x", 2))
        return;
    for (size_t i = from; i < text->len; i++) {
        long c = escaped_character(text->p + i, text->len - i);
        if (c < 0) {
            buf_addch(&out, text->p[i]);
            continue;
        }
        buf_addutf8(&out, c < ' ' ? ' ' : (uint32_t)c);
        i += 6;
    }
    text->len = from;
    buf_add(text, out.p, out.len);
    buf_release(&out);
}

/* Text of the element just opened, without what says how to pronounce it. */
static int read_text(struct xml *x, struct buf *text, struct err *err)
{
    size_t depth = 1, len, start = text->len;
    bool in_text = xml_is(x, "s:t") || xml_is(x, "s:v");
    while (depth) {
        switch (xml_next(x, err)) {
        case XML_OPEN:
            if (xml_is(x, "s:rPh")) {
                if (xml_skip(x, err))
                    return -1;
                break;
            }
            in_text = xml_is(x, "s:t") || xml_is(x, "s:v");
            depth++;
            break;
        case XML_CLOSE:
            in_text = false;
            depth--;
            break;
        case XML_TEXT:
            if (in_text) {
                const char *p = xml_text(x, &len);
                buf_add(text, p, len);
            }
            break;
        case XML_END:
            return err_set(err, "the XML ends inside an element");
        case XML_FAILED:
            return -1;
        }
    }
    unescape(text, start);
    return 0;
}

static int on_string(struct workbook *w, struct xml *x, struct err *err)
{
    if (!xml_is(x, "s:si"))
        return 0;
    ARRAY_GROW(w->spans, w->n_spans, w->spans_cap);
    struct span *span = &w->spans[w->n_spans++];
    span->at = w->strings.len;
    int status = read_text(x, &w->strings, err);
    span->len = w->strings.len - span->at;
    return status;
}

static struct number_format format_with_id(const struct workbook *w, unsigned id)
{
    for (size_t i = 0; i < w->n_codes; i++)
        if (w->codes[i].id == id)
            return w->codes[i].format;
    return number_format_built_in(id);
}

/* <numFmts> come before <cellXfs>; <cellStyleXfs> between them have the same elements. */
static int on_style(struct workbook *w, struct xml *x, struct err *err)
{
    enum { MAX_CODES = 4096, MAX_STYLES = 65536 };
    (void)err;
    if (xml_is(x, "s:numFmt") && w->n_codes < MAX_CODES) {
        unsigned id = number(xml_attribute(x, "numFmtId"), 0);
        const char *code = xml_attribute(x, "formatCode");
        ARRAY_GROW(w->codes, w->n_codes, w->codes_cap);
        w->codes[w->n_codes++] = (struct format_code){id, number_format_of(code ? code : "")};
    } else if (xml_is(x, "s:cellXfs")) {
        w->n_styles = 0;
    } else if (xml_is(x, "s:cellStyles")) {
        return 1; /* none behind it counts */
    } else if (xml_is(x, "s:xf") && w->n_styles < MAX_STYLES) {
        ARRAY_GROW(w->styles, w->n_styles, w->styles_cap);
        w->styles[w->n_styles++] = format_with_id(w, number(xml_attribute(x, "numFmtId"), 0));
    }
    return 0;
}

/* "BC12" to row and column, from 0. False if it is no such thing. */
static bool parse_reference(const char *r, uint32_t *row, uint32_t *column)
{
    uint32_t c = 0;
    for (; *r >= 'A' && *r <= 'Z' && c <= MAX_COLUMN; r++)
        c = c * 26 + (uint32_t)(*r - 'A') + 1;
    unsigned n = number(r, 0);
    *row = n - 1;
    *column = c - 1;
    return c >= 1 && c <= MAX_COLUMN && n >= 1 && n <= MAX_ROW;
}

/* A cell: where it is, what it is, what it holds. */
struct cell {
    uint32_t row, column;
    char type[12];
    unsigned style;
    struct buf value, shown;
};

static int add_cell(struct workbook *w, struct cell *c, struct err *err)
{
    const char *p = c->value.p;
    size_t len = c->value.len;
    char *end;
    if (!strcmp(c->type, "s")) {
        unsigned i = number(p, UINT32_MAX);
        if (len && i >= w->n_spans)
            return err_set(err, "a cell has the string %.20s of %zu", p, w->n_spans);
        p = len ? w->strings.p + w->spans[i].at : p;
        len = len ? w->spans[i].len : 0;
    } else if (!strcmp(c->type, "b")) {
        p = !strcmp(p, "1") ? "TRUE" : "FALSE";
        len = strlen(p);
    } else if (!strcmp(c->type, "n")) {
        double v = strtod(p, &end);
        if (len && end == p + len && isfinite(v)) {
            struct number_format f =
                c->style < w->n_styles ? w->styles[c->style] : (struct number_format){0};
            buf_clear(&c->shown);
            number_format_add(&c->shown, f, v, w->from_1904);
            p = c->shown.p;
            len = c->shown.len;
        }
    }
    return sheet_add(&w->sheet, c->row, c->column, p, len, err);
}

/* The content of <c>: <v>, or <is> with the text itself; the formula is left out. */
static int read_cell(struct workbook *w, struct xml *x, struct cell *c, struct err *err)
{
    enum xml_event event;
    buf_clear(&c->value);
    while ((event = xml_next(x, err)) > XML_END) {
        if (event == XML_CLOSE)
            return add_cell(w, c, err);
        if (event != XML_OPEN)
            continue;
        bool wanted = xml_is(x, "s:v") || xml_is(x, "s:is");
        if (wanted ? read_text(x, &c->value, err) : xml_skip(x, err))
            return -1;
    }
    return event == XML_FAILED ? -1 : err_set(err, "the XML ends inside a cell");
}

static int read_sheet(struct workbook *w, const struct buf *part, struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    struct cell c = {.value = BUF_INIT, .shown = BUF_INIT};
    uint32_t next_row = 0, next_column = 0;
    enum xml_event event = XML_FAILED;
    int status = x ? 0 : -1;
    while (!status && (event = xml_next(x, err)) > XML_END) {
        if (event != XML_OPEN)
            continue;
        if (xml_is(x, "s:row")) {
            unsigned n = number(xml_attribute(x, "r"), next_row + 1);
            c.row = n >= 1 && n <= MAX_ROW ? n - 1 : next_row;
            next_row = c.row + 1;
            next_column = 0;
        } else if (xml_is(x, "s:c")) {
            const char *r = xml_attribute(x, "r");
            c.column = next_column;
            if (r && !parse_reference(r, &c.row, &c.column)) {
                status = err_set(err, "\"%.20s\" is no cell", r);
                break;
            }
            next_column = c.column + 1;
            const char *type = xml_attribute(x, "t");
            buf_clear(&c.value);
            strncpy(c.type, type ? type : "n", sizeof c.type - 1);
            c.style = number(xml_attribute(x, "s"), 0);
            status = read_cell(w, x, &c, err);
        } else if (xml_is(x, "s:extLst") || xml_is(x, "s:headerFooter")) {
            status = xml_skip(x, err);
        }
    }
    xml_free(x);
    buf_release(&c.value);
    buf_release(&c.shown);
    return status || event == XML_FAILED ? -1 : 0;
}

/* Calls `on` for each element of a part, until it fails or returns 1. */
static int each_element(struct workbook *w, const struct buf *part,
                        int (*on)(struct workbook *w, struct xml *x, struct err *err),
                        struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    int status = x ? 0 : -1;
    while (!status && (event = xml_next(x, err)) > XML_END)
        if (event == XML_OPEN)
            status = on(w, x, err);
    xml_free(x);
    return status < 0 || (!status && event == XML_FAILED) ? -1 : 0;
}

static int read_side_part(struct workbook *w, const char *name,
                          int (*on)(struct workbook *w, struct xml *x, struct err *err),
                          struct err *err)
{
    const struct buf *part = name ? package_part(w->package, name) : NULL;
    if (part && each_element(w, part, on, err))
        return err_prefix(err, "%s", name);
    return 0;
}

static int add_sheet(struct workbook *w, struct prose *out, const char *title, const char *name,
                     struct err *err)
{
    const struct buf *part = package_part(w->package, name);
    struct prose_text text;
    if (!part)
        return err_set(err, "%s is missing", name);
    if (read_sheet(w, part, err))
        return err_prefix(err, "%s", name);
    prose_text_init(&text);
    sheet_write(&w->sheet, &text);
    if (text.text.len) {
        prose_heading(out, 1);
        prose_add(out, title, strlen(title));
        prose_append(out, &text);
    }
    sheet_clear(&w->sheet);
    prose_text_release(&text);
    return 0;
}

/* The sheets in the order of the workbook's list. */
static int add_sheets(struct workbook *w, struct prose *out, const struct buf *part,
                      const struct relationships *r, struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    while (x && (event = xml_next(x, err)) > XML_END) {
        if (event == XML_OPEN && xml_is(x, "s:workbookPr")) {
            const char *value = xml_attribute(x, "date1904");
            w->from_1904 = value && (!strcmp(value, "1") || !strcmp(value, "true"));
        }
        if (event != XML_OPEN || !xml_is(x, "s:sheet"))
            continue;
        const char *state = xml_attribute(x, "state");
        if (state && strcmp(state, "visible") != 0)
            continue;
        const char *value = xml_attribute_in(x, "elationships", "id");
        const char *target = value ? relationships_by_id(r, value) : NULL;
        value = xml_attribute(x, "name");
        char *title = xstrdup(value ? value : "");
        int status = target && package_use(w->package, w->used, target)
                         ? add_sheet(w, out, title, target, err)
                         : 0;
        free(title);
        if (status) {
            event = XML_FAILED;
            break;
        }
    }
    xml_free(x);
    return event == XML_FAILED ? -1 : 0;
}

static int read_workbook(struct workbook *w, struct prose *out, const char *name, struct err *err)
{
    struct relationships r;
    const struct buf *part = package_part(w->package, name);
    if (!part)
        return err_set(err, "%s is missing", name);
    if (relationships_read(&r, w->package, name, err))
        return -1;
    int status = read_side_part(w, relationships_by_type(&r, "sharedStrings"), on_string, err) ||
                         read_side_part(w, relationships_by_type(&r, "styles"), on_style, err) ||
                         add_sheets(w, out, part, &r, err)
                     ? -1
                     : 0;
    relationships_release(&r);
    return status;
}

int extract_xlsx(struct prose_text *t, const struct package *package, size_t limit, struct err *err)
{
    struct workbook w = {.package = package, .strings = BUF_INIT};
    struct relationships roots;
    if (relationships_read(&roots, package, "", err))
        return -1;
    const char *name = relationships_by_type(&roots, "officeDocument");
    struct prose *out = prose_new(t);
    w.used = xcalloc(package->n_parts + 1, sizeof *w.used);
    sheet_init(&w.sheet, limit);
    int status = read_workbook(&w, out, name ? name : "xl/workbook.xml", err);
    prose_finish(out);
    prose_free(out);
    sheet_release(&w.sheet);
    buf_release(&w.strings);
    free(w.used);
    free(w.spans);
    free(w.codes);
    free(w.styles);
    relationships_release(&roots);
    return status;
}
