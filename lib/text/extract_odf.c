#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/xml.h"

/* style:style: only the way to "Title" matters. */
struct style {
    char *name, *parent;
};

enum { LIST_LEVELS = 10, MAX_REPEATED = 16 };

struct list_style {
    char *name;
    struct {
        char format; /* '1' 'a' 'A' 'i' 'I' or '-' */
        char tail;
        int start;
    } levels[LIST_LEVELS];
};

struct list {
    size_t style; /* index, or n_list_styles: a bullet */
    int counter;
};

struct odf {
    struct prose *w;
    struct xml *x;
    struct style *styles;
    size_t n_styles, styles_cap;
    struct list_style *list_styles;
    size_t n_list_styles, list_styles_cap;
    struct list *lists; /* that are open */
    size_t n_lists, lists_cap;
    struct buf open; /* p a paragraph, a one set aside, n a note, c a cell, t a title's frame, f
                        another, b a box in a paragraph */
    unsigned n_notes;
    bool in_code; /* in lines of a listing, each of which is a paragraph */
};

static char top_open(const struct odf *d)
{
    return d->open.len ? d->open.p[d->open.len - 1] : 0;
}

static char pop_open(struct odf *d)
{
    return d->open.len ? d->open.p[--d->open.len] : 0;
}

static int int_attribute(struct xml *x, const char *name, int otherwise)
{
    const char *value = xml_attribute(x, name);
    return value && *value ? (int)strtol(value, NULL, 10) : otherwise;
}

static void add_style(struct odf *d)
{
    const char *value = xml_attribute_in(d->x, ":style:", "name");
    if (!value)
        return;
    ARRAY_GROW(d->styles, d->n_styles, d->styles_cap);
    struct style *style = &d->styles[d->n_styles++];
    style->name = xstrdup(value);
    value = xml_attribute(d->x, "parent-style-name");
    style->parent = value ? xstrdup(value) : NULL;
}

static int compare_styles(const void *a, const void *b)
{
    return strcmp(((const struct style *)a)->name, ((const struct style *)b)->name);
}

/* Whether the style is, or is made from, the built-in one of that name. Styles are sorted by now.
 */
static bool is_style(const struct odf *d, const char *name, const char *built_in)
{
    for (int depth = 0; name && depth < 20; depth++) { /* parents may go in a circle */
        if (!strcmp(name, built_in))
            return true;
        struct style key = {.name = (char *)(uintptr_t)name};
        const struct style *style =
            d->n_styles ? bsearch(&key, d->styles, d->n_styles, sizeof key, compare_styles) : NULL;
        name = style ? style->parent : NULL;
    }
    return false;
}

static void add_list_style(struct odf *d)
{
    const char *name = xml_attribute_in(d->x, ":style:", "name");
    ARRAY_GROW(d->list_styles, d->n_list_styles, d->list_styles_cap);
    struct list_style *style = &d->list_styles[d->n_list_styles++];
    *style = (struct list_style){.name = xstrdup(name ? name : "")};
    for (int i = 0; i < LIST_LEVELS; i++) {
        style->levels[i].format = '-';
        style->levels[i].tail = '.';
        style->levels[i].start = 1;
    }
}

/* text:list-level-style-number of the list style read last. */
static void add_list_level(struct odf *d)
{
    int level = int_attribute(d->x, "level", 1) - 1;
    if (!d->n_list_styles || level < 0 || level >= LIST_LEVELS)
        return;
    struct list_style *style = &d->list_styles[d->n_list_styles - 1];
    const char *value = xml_attribute(d->x, "num-format");
    style->levels[level].format = value && *value && strchr("1aAiI", *value) ? *value : '-';
    value = xml_attribute(d->x, "num-suffix");
    style->levels[level].tail = value && *value == ')' ? ')' : '.';
    style->levels[level].start = int_attribute(d->x, "start-value", 1);
}

static void begin_list(struct odf *d)
{
    const char *name = xml_attribute(d->x, "style-name");
    struct list list = {d->n_lists ? d->lists[d->n_lists - 1].style : d->n_list_styles, 0};
    for (size_t i = 0; name && i < d->n_list_styles; i++)
        if (!strcmp(d->list_styles[i].name, name))
            list.style = i;
    ARRAY_GROW(d->lists, d->n_lists, d->lists_cap);
    d->lists[d->n_lists++] = list;
    if (list.style < d->n_list_styles && d->n_lists <= LIST_LEVELS)
        d->lists[d->n_lists - 1].counter =
            d->list_styles[list.style].levels[d->n_lists - 1].start - 1;
}

static void begin_item(struct odf *d)
{
    char marker[16] = "-";
    if (!d->n_lists)
        return;
    struct list *list = &d->lists[d->n_lists - 1];
    list->counter =
        int_attribute(d->x, "start-value", list->counter < 1000000000 ? list->counter + 1 : 0);
    if (list->style < d->n_list_styles && d->n_lists <= LIST_LEVELS) {
        const struct list_style *style = &d->list_styles[list->style];
        char format = style->levels[d->n_lists - 1].format,
             tail = style->levels[d->n_lists - 1].tail;
        if ((format == 'a' || format == 'A') && list->counter >= 1 && list->counter <= 26)
            snprintf(marker, sizeof marker, "%c%c", format + list->counter - 1, tail);
        else if (format != '-')
            snprintf(marker, sizeof marker, "%d%c", list->counter, tail);
    }
    prose_item(d->w, (int)d->n_lists, marker);
}

static void end_code(struct odf *d)
{
    if (d->in_code)
        prose_preformatted(d->w, false);
    d->in_code = false;
}

/* Paragraphs in a paragraph are a shape's text. */
static void begin_paragraph(struct odf *d)
{
    char in = top_open(d);
    int level = xml_is(d->x, "text:h") ? int_attribute(d->x, "outline-level", 1) : 0;
    if (in == 'p' || in == 'a') {
        prose_aside(d->w);
        buf_addch(&d->open, 'a');
    } else {
        buf_addch(&d->open, 'p');
    }
    const char *value = xml_attribute(d->x, "style-name");
    char *style = value ? xstrdup(value) : NULL;
    bool code = is_style(d, style, "Preformatted_20_Text");
    if (!level && (in == 't' || is_style(d, style, "Title")))
        level = 1;
    free(style);
    if (d->in_code && code) {
        prose_break(d->w);
        return;
    }
    end_code(d);
    prose_end(d->w);
    if (level)
        prose_heading(d->w, level);
    else if (code)
        prose_preformatted(d->w, d->in_code = true);
}

static bool is_left_out(struct odf *d)
{
    static const char *const names[] = {
        "text:tracked-changes",
        "office:annotation",
        "text:table-of-content",
        "text:object-index",
        "text:illustration-index",
        "text:table-index",
        "text:user-index",
        "text:alphabetical-index",
        "text:ruby-text",
        "text:sequence-decls",
        "text:variable-decls",
        "text:user-field-decls",
        "text:note-citation",
        "office:forms",
        "office:scripts",
        "office:binary-data",
        "office:meta",
        "office:settings",
        "office:master-styles",
        "text:hidden-text",
        "text:hidden-paragraph",
        "presentation:footer",
        "presentation:header",
        "presentation:date-time",
        "text:page-number",
        "?:desc",
        "?:title",
        "office:font-face-decls",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (xml_is(d->x, names[i]))
            return true;
    if (!xml_is(d->x, "draw:frame"))
        return false;
    const char *class = xml_attribute_in(d->x, ":presentation:", "class");
    return class && (!strcmp(class, "footer") || !strcmp(class, "header") ||
                     !strcmp(class, "date-time") || !strcmp(class, "page-number"));
}

static void begin_frame(struct odf *d)
{
    const char *class = xml_attribute_in(d->x, ":presentation:", "class");
    char in = top_open(d);
    if (in == 'p' || in == 'a') {
        prose_aside(d->w);
        buf_addch(&d->open, 'b');
    } else {
        buf_addch(&d->open, class && !strcmp(class, "title") ? 't' : 'f');
    }
}

static void begin_cells(struct odf *d)
{
    int repeated = int_attribute(d->x, "number-columns-repeated", 1);
    for (int i = 1; i < repeated && i < MAX_REPEATED; i++) {
        prose_cell(d->w);
        prose_cell_end(d->w);
    }
    prose_cell(d->w);
    buf_addch(&d->open, 'c');
}

static int open_element(struct odf *d, struct err *err)
{
    struct xml *x = d->x;
    if (is_left_out(d))
        return xml_skip(x, err);
    if (xml_is(x, "text:list") || xml_is(x, "table:table") || xml_is(x, "draw:frame") ||
        xml_is(x, "text:note-body"))
        end_code(d);
    if (xml_is(x, "text:p") || xml_is(x, "text:h")) {
        begin_paragraph(d);
    } else if (xml_is(x, "style:style")) {
        add_style(d);
    } else if (xml_is(x, "office:body")) {
        if (d->n_styles)
            qsort(d->styles, d->n_styles, sizeof *d->styles, compare_styles);
    } else if (xml_is(x, "text:list-style")) {
        add_list_style(d);
    } else if (xml_is(x, "text:list-level-style-number")) {
        add_list_level(d);
    } else if (xml_is(x, "text:list")) {
        begin_list(d);
    } else if (xml_is(x, "text:list-item")) {
        begin_item(d);
    } else if (xml_is(x, "text:list-header")) {
        prose_indent(d->w, (int)d->n_lists);
    } else if (xml_is(x, "text:s")) {
        int n = int_attribute(x, "c", 1);
        for (int i = 0; i < n && i < MAX_REPEATED; i++)
            prose_add(d->w, " ", 1);
    } else if (xml_is(x, "text:tab")) {
        prose_add(d->w, "\t", 1);
    } else if (xml_is(x, "text:line-break")) {
        prose_break(d->w);
    } else if (xml_is(x, "text:note-body")) {
        char label[16];
        snprintf(label, sizeof label, "%u", ++d->n_notes);
        prose_note(d->w, label);
        buf_addch(&d->open, 'n');
    } else if (xml_is(x, "draw:frame")) {
        begin_frame(d);
    } else if (xml_is(x, "presentation:notes")) {
        prose_indent(d->w, 0);
    } else if (xml_is(x, "table:table")) {
        prose_table(d->w);
    } else if (xml_is(x, "table:table-row")) {
        prose_row(d->w);
    } else if (xml_is(x, "table:table-cell") || xml_is(x, "table:covered-table-cell")) {
        begin_cells(d);
    }
    return 0;
}

static void close_element(struct odf *d)
{
    struct xml *x = d->x;
    if (xml_is(x, "text:p") || xml_is(x, "text:h")) {
        if (!d->in_code)
            prose_end(d->w);
        if (top_open(d) == 'a') {
            end_code(d);
            prose_aside_end(d->w);
        }
        pop_open(d);
    } else if (xml_is(x, "text:list") && d->n_lists) {
        end_code(d);
        d->n_lists--;
        prose_indent(d->w, (int)d->n_lists);
    } else if (xml_is(x, "text:note-body")) {
        end_code(d);
        prose_note_end(d->w);
        pop_open(d);
    } else if (xml_is(x, "draw:frame")) {
        end_code(d);
        if (pop_open(d) == 'b')
            prose_aside_end(d->w);
    } else if (xml_is(x, "table:table-cell") || xml_is(x, "table:covered-table-cell")) {
        end_code(d);
        prose_cell_end(d->w);
        pop_open(d);
    } else if (xml_is(x, "table:table")) {
        prose_table_end(d->w);
    }
}

static int read_part(struct odf *d, const char *p, size_t size, struct err *err)
{
    enum xml_event event = XML_FAILED;
    size_t len;
    d->x = xml_new(p, size, err);
    while (d->x && (event = xml_next(d->x, err)) > XML_END) {
        if (event == XML_OPEN && open_element(d, err)) {
            event = XML_FAILED;
            break;
        }
        if (event == XML_CLOSE)
            close_element(d);
        /* Outside paragraphs there is only the file's own indentation. */
        if (event == XML_TEXT && (top_open(d) == 'p' || top_open(d) == 'a')) {
            const char *text = xml_text(d->x, &len);
            prose_add(d->w, text, len);
        }
    }
    xml_free(d->x);
    d->x = NULL;
    return event == XML_FAILED ? -1 : 0;
}

static void release(struct odf *d)
{
    prose_free(d->w);
    for (size_t i = 0; i < d->n_styles; i++) {
        free(d->styles[i].name);
        free(d->styles[i].parent);
    }
    for (size_t i = 0; i < d->n_list_styles; i++)
        free(d->list_styles[i].name);
    free(d->styles);
    free(d->list_styles);
    free(d->lists);
    buf_release(&d->open);
}

int extract_odf(struct prose_text *t, const struct package *package, struct err *err)
{
    const struct buf *styles = package_part(package, "styles.xml");
    const struct buf *content = package_part(package, "content.xml");
    struct odf d = {.open = BUF_INIT};
    if (!content)
        return err_set(err, "content.xml is missing");
    d.w = prose_new(t);
    int status =
        styles && read_part(&d, styles->p, styles->len, err) ? err_prefix(err, "styles.xml") : 0;
    if (!status && read_part(&d, content->p, content->len, err))
        status = err_prefix(err, "content.xml");
    end_code(&d);
    prose_finish(d.w);
    release(&d);
    return status;
}

int extract_flat_odf(struct prose_text *t, const char *p, size_t len, struct err *err)
{
    struct odf d = {.open = BUF_INIT};
    d.w = prose_new(t);
    int status = read_part(&d, p, len, err);
    end_code(&d);
    prose_finish(d.w);
    release(&d);
    return status;
}
