#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/sheet.h"
#include "text/xml.h"

enum { MAX_ROW = 1 << 20, MAX_COLUMN = 1 << 14, MAX_HIDDEN = 1000 };

/* A cell of the row that is being read, with what it shows. */
struct cell {
    uint32_t column, repeated;
    size_t at, len; /* in `text` */
};

struct ods {
    struct prose *out;
    struct xml *x;
    struct sheet sheet;
    struct buf title, style; /* of the sheet; the style being defined */
    char **hidden;           /* styles of sheets that aren't shown */
    size_t n_hidden, hidden_cap;
    struct buf text;
    struct cell *cells;
    size_t n_cells, cells_cap;
    uint32_t row, rows_repeated, column;
    int depth; /* of tables: one in a cell is passed over */
    bool in_cell, covered;
    int paragraphs; /* that are open: text counts only there */
};

static uint32_t count_attribute(struct xml *x, const char *name, uint32_t most)
{
    const char *value = xml_attribute(x, name);
    unsigned long n = value ? strtoul(value, NULL, 10) : 1;
    return n < 1 ? 1 : n > most ? most : (uint32_t)n;
}

static bool is_hidden(const struct ods *d, const char *style)
{
    for (size_t i = 0; style && i < d->n_hidden; i++)
        if (!strcmp(d->hidden[i], style))
            return true;
    return false;
}

static int begin_table(struct ods *d, struct err *err)
{
    if (d->depth || is_hidden(d, xml_attribute(d->x, "style-name")))
        return xml_skip(d->x, err);
    const char *name = xml_attribute_in(d->x, ":table:", "name");
    buf_clear(&d->title);
    buf_addstr(&d->title, name ? name : "");
    d->depth = 1;
    d->row = 0;
    return 0;
}

static void end_table(struct ods *d)
{
    struct prose_text text;
    prose_text_init(&text);
    sheet_write(&d->sheet, &text);
    if (text.text.len) {
        prose_heading(d->out, 1);
        prose_add(d->out, d->title.p, d->title.len);
        prose_append(d->out, &text);
    }
    sheet_clear(&d->sheet);
    prose_text_release(&text);
    d->depth = 0;
}

static void begin_row(struct ods *d)
{
    d->rows_repeated = count_attribute(d->x, "number-rows-repeated", MAX_ROW);
    d->column = 0;
    d->n_cells = 0;
    buf_clear(&d->text);
}

static int end_row(struct ods *d, struct err *err)
{
    uint32_t rows = d->n_cells ? d->rows_repeated : 0;
    for (uint32_t row = 0; row < rows && d->row + row < MAX_ROW; row++)
        for (size_t i = 0; i < d->n_cells; i++)
            for (uint32_t k = 0; k < d->cells[i].repeated; k++)
                if (sheet_add(&d->sheet, d->row + row, d->cells[i].column + k,
                              d->text.p + d->cells[i].at, d->cells[i].len, err))
                    return -1;
    d->row = d->row > MAX_ROW ? d->row : d->row + d->rows_repeated;
    return 0;
}

static void begin_cell(struct ods *d, bool covered)
{
    uint32_t repeated = count_attribute(d->x, "number-columns-repeated", MAX_COLUMN);
    d->in_cell = true;
    d->covered = covered;
    ARRAY_GROW(d->cells, d->n_cells, d->cells_cap);
    d->cells[d->n_cells++] = (struct cell){d->column, repeated, d->text.len, 0};
    d->column = d->column > MAX_COLUMN ? d->column : d->column + repeated;
}

/* Drops it again if there is nothing in it. */
static void end_cell(struct ods *d)
{
    if (!d->in_cell)
        return;
    struct cell *c = &d->cells[d->n_cells - 1];
    const char *p = d->text.p + c->at;
    c->len = d->text.len - c->at;
    size_t len = c->len;
    prose_trim(&p, &len);
    if (!len || c->column >= MAX_COLUMN)
        d->n_cells--;
    d->in_cell = false;
}

static void add_text(struct ods *d, const char *p, size_t len)
{
    if (d->in_cell && !d->covered && d->paragraphs)
        buf_add(&d->text, p, len);
}

static void add_hidden(struct ods *d)
{
    const char *shown = xml_attribute_in(d->x, ":table:", "display");
    if (!shown || strcmp(shown, "false") != 0 || d->n_hidden >= MAX_HIDDEN)
        return;
    ARRAY_GROW(d->hidden, d->n_hidden, d->hidden_cap);
    d->hidden[d->n_hidden++] = xstrdup(d->style.p);
}

static bool is_left_out(struct xml *x)
{
    static const char *const names[] = {"office:annotation", "table:tracked-changes",
                                        "table:shapes",      "draw:frame",
                                        "office:forms",      "text:note",
                                        "text:ruby-text",    "table:content-validations"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (xml_is(x, names[i]))
            return true;
    return false;
}

static int open_element(struct ods *d, struct err *err)
{
    struct xml *x = d->x;
    if (is_left_out(x))
        return xml_skip(x, err);
    if (xml_is(x, "style:style")) {
        const char *name = xml_attribute_in(x, ":style:", "name");
        buf_clear(&d->style);
        buf_addstr(&d->style, name ? name : "");
    } else if (xml_is(x, "style:table-properties")) {
        add_hidden(d);
    } else if (xml_is(x, "table:table")) {
        return begin_table(d, err);
    } else if (!d->depth) {
        return 0;
    } else if (xml_is(x, "table:table-row")) {
        begin_row(d);
    } else if (xml_is(x, "table:table-cell")) {
        begin_cell(d, false);
    } else if (xml_is(x, "table:covered-table-cell")) {
        begin_cell(d, true);
    } else if (xml_is(x, "text:p")) {
        d->paragraphs++;
        add_text(d, " ", 1);
    } else if (xml_is(x, "text:s") || xml_is(x, "text:tab") || xml_is(x, "text:line-break")) {
        add_text(d, " ", 1);
    }
    return 0;
}

static int close_element(struct ods *d, struct err *err)
{
    struct xml *x = d->x;
    if (!d->depth)
        return 0;
    if (xml_is(x, "table:table"))
        end_table(d);
    else if (xml_is(x, "table:table-row"))
        return end_row(d, err);
    else if (xml_is(x, "table:table-cell") || xml_is(x, "table:covered-table-cell"))
        end_cell(d);
    else if (xml_is(x, "text:p"))
        d->paragraphs -= d->paragraphs > 0;
    return 0;
}

static int read_part(struct ods *d, const char *p, size_t size, struct err *err)
{
    enum xml_event event = XML_FAILED;
    int status = 0;
    size_t len;
    d->x = xml_new(p, size, err);
    while (d->x && !status && (event = xml_next(d->x, err)) > XML_END) {
        if (event == XML_OPEN) {
            status = open_element(d, err);
        } else if (event == XML_CLOSE) {
            status = close_element(d, err);
        } else {
            const char *text = xml_text(d->x, &len);
            add_text(d, text, len);
        }
    }
    xml_free(d->x);
    return status || event == XML_FAILED ? -1 : 0;
}

int extract_flat_ods(struct prose_text *t, const char *p, size_t len, size_t limit, struct err *err)
{
    struct ods d = {.title = BUF_INIT, .style = BUF_INIT, .text = BUF_INIT};
    sheet_init(&d.sheet, limit);
    d.out = prose_new(t);
    int status = read_part(&d, p, len, err);
    prose_finish(d.out);
    prose_free(d.out);
    sheet_release(&d.sheet);
    buf_release(&d.title);
    buf_release(&d.style);
    buf_release(&d.text);
    for (size_t i = 0; i < d.n_hidden; i++)
        free(d.hidden[i]);
    free(d.hidden);
    free(d.cells);
    return status;
}

int extract_ods(struct prose_text *t, const struct package *package, size_t limit, struct err *err)
{
    const struct buf *content = package_part(package, "content.xml");
    if (!content)
        return err_set(err, "content.xml is missing");
    return extract_flat_ods(t, content->p, content->len, limit, err)
               ? err_prefix(err, "content.xml")
               : 0;
}
