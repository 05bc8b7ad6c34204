#include "formats/document_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "formats/json.h"

/* What a field of a document is; in a table everything is text. */
enum column_type {
    COLUMN_TEXT,
    COLUMN_REAL,  /* weight */
    COLUMN_LABEL, /* true or false, else text: other labels say nothing */
    COLUMN_VALUE, /* JSON */
};

static enum column_type type_of(const char *field)
{
    static const char *const values[] = {
        "messages", "conversations", "tools",  "documents", "chat_template_kwargs",
        "ids",      "trained",       "weights"};
    if (!strcmp(field, "weight"))
        return COLUMN_REAL;
    if (!strcmp(field, "label"))
        return COLUMN_LABEL;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        if (!strcmp(field, values[i]))
            return COLUMN_VALUE;
    return COLUMN_TEXT;
}

void document_table_init(struct document_table *t, struct input *in, char separator,
                         const struct document_fields *fields)
{
    *t = (struct document_table){.fields = fields};
    csv_init(&t->csv, in, separator);
}

void document_table_release(struct document_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->names[i]);
    free(t->names);
    free(t->types);
    csv_release(&t->csv);
}

static int fail(const struct document_table *t, struct err *err)
{
    return err_prefix(err, "%s:%zu", input_name(t->csv.in), t->csv.line_number);
}

static int check_name(const struct document_table *t, size_t i, struct err *err)
{
    for (size_t k = 0; *t->names[i] && k < i; k++)
        if (!strcmp(t->names[i], t->names[k]))
            return err_set(err, "two columns are named \"%.60s\"", t->names[i]);
    return 0;
}

/* The first line: names of columns. One without a name, as an index of rows has it, is left out. */
static int read_names(struct document_table *t, struct err *err)
{
    size_t n = t->csv.n;
    t->names = xcalloc(n, sizeof *t->names);
    t->types = xcalloc(n, sizeof *t->types);
    for (; t->n < n; t->n++) {
        size_t len, i = t->n;
        const char *name = csv_field(&t->csv, i, &len);
        if (memchr(name, 0, len) || utf8_valid(name, len) < len) {
            err_set(err, "the name of column %zu is not UTF-8", i + 1);
            return fail(t, err);
        }
        t->names[i] = xmemdup0(name, len);
        if (check_name(t, i, err)) {
            t->n++;
            return fail(t, err);
        }
        t->types[i] = type_of(t->names[i]);
        for (size_t k = 0; t->fields && k < t->fields->n; k++)
            if (!strcmp(t->fields->items[k].column, t->names[i]))
                t->types[i] = type_of(t->fields->items[k].field);
    }
    return 0;
}

static bool is_word(const char *p, size_t len, const char *word)
{
    return len == strlen(word) && !strncasecmp(p, word, len);
}

static int add_real(struct buf *out, const char *p, struct err *err)
{
    char *end;
    double v = strtod(p, &end);
    if (end == p || *end || !isfinite(v))
        return err_set(err, "\"%.40s\" is no number", p);
    json_add_real(out, v);
    return 0;
}

static int add_value(struct buf *out, const char *p, size_t len, struct err *err)
{
    json_t *v = json_parse(p, len, err);
    if (!v)
        return err_prefix(err, "no JSON");
    json_add(out, v);
    json_decref(v);
    return 0;
}

static int add_field(struct buf *out, enum column_type type, const char *p, size_t len,
                     struct err *err)
{
    size_t valid = utf8_valid(p, len);
    if (valid < len)
        return err_set(err, "not UTF-8 at byte %zu: convert the file first, with iconv", valid);
    if (type == COLUMN_LABEL && (is_word(p, len, "true") || is_word(p, len, "1"))) {
        buf_addstr(out, "true");
    } else if (type == COLUMN_LABEL && (is_word(p, len, "false") || is_word(p, len, "0"))) {
        buf_addstr(out, "false");
    } else if (type == COLUMN_REAL || type == COLUMN_VALUE) {
        char *text = xmemdup0(p, len);
        int status = type == COLUMN_REAL ? add_real(out, text, err) : add_value(out, p, len, err);
        free(text);
        return status;
    } else {
        json_add_string(out, p, len);
    }
    return 0;
}

static int add_row(const struct document_table *t, struct buf *out, struct err *err)
{
    const char *between = "{";
    buf_clear(out);
    for (size_t i = 0; i < t->n; i++) {
        size_t len;
        const char *p = csv_field(&t->csv, i, &len);
        if (!*t->names[i])
            continue;
        buf_addstr(out, between);
        json_add_string(out, t->names[i], strlen(t->names[i]));
        buf_addch(out, ':');
        if (!len) {
            buf_addstr(out, "null");
        } else if (add_field(out, (enum column_type)t->types[i], p, len, err)) {
            err_prefix(err, "column \"%.60s\"", t->names[i]);
            return fail(t, err);
        }
        between = ",";
    }
    buf_addstr(out, *between == '{' ? "{}" : "}");
    return 1;
}

int document_table_next(struct document_table *t, struct buf *out, size_t *line, struct err *err)
{
    int status;
    if (!t->names) {
        status = csv_next(&t->csv, err);
        if (status <= 0)
            return status;
        if (read_names(t, err))
            return -1;
    }
    do
        status = csv_next(&t->csv, err);
    while (status > 0 && csv_is_empty(&t->csv));
    *line = t->csv.line_number;
    return status > 0 ? add_row(t, out, err) : status;
}
