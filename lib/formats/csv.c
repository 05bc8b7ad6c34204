#include "formats/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Of a line, and of a record of several. */
#define MAX_RECORD ((size_t)1 << 30)
enum { MAX_FIELDS = 65536 };

void csv_init(struct csv *c, struct input *in, char separator)
{
    *c = (struct csv){.in = in, .separator = separator};
    buf_init(&c->line);
    buf_init(&c->text);
}

void csv_release(struct csv *c)
{
    buf_release(&c->line);
    buf_release(&c->text);
    free(c->ends);
}

static int fail(const struct csv *c, struct err *err)
{
    return err_prefix(err, "%s:%zu", input_name(c->in), c->line_number);
}

/* The next line, without the carriage return at its end and a byte order mark. */
static int next_line(struct csv *c, struct err *err)
{
    int status = input_line(c->in, &c->line, MAX_RECORD, err);
    struct buf *b = &c->line;
    if (status > 0 && input_line_number(c->in) == 1 && b->len >= 3 &&
        !memcmp(b->p, "\xef\xbb\xbf", 3)) {
        b->len -= 3;
        memmove(b->p, b->p + 3, b->len + 1);
    }
    return status;
}

static int end_field(struct csv *c, struct err *err)
{
    if (c->n == MAX_FIELDS)
        return err_set(err, "more than %d fields", MAX_FIELDS);
    ARRAY_GROW(c->ends, c->n, c->cap);
    c->ends[c->n++] = c->text.len;
    return 0;
}

/* The quoted field at `at`, behind its opening quote; it may go on in lines that follow. Returns
 * where it ends, behind the closing quote; -1 on failure. */
static ssize_t read_quoted(struct csv *c, size_t at, struct err *err)
{
    for (;;) {
        const char *p = c->line.p + at, *quote = memchr(p, '"', c->line.len - at);
        buf_add(&c->text, p, quote ? (size_t)(quote - p) : c->line.len - at);
        if (quote && quote[1] == '"') {
            buf_addch(&c->text, '"');
            at = (size_t)(quote - c->line.p) + 2;
            continue;
        }
        if (quote)
            return quote - c->line.p + 1;
        buf_addch(&c->text, '\n');
        if (c->text.len > MAX_RECORD) {
            err_set(err, "record is longer than %zu bytes", MAX_RECORD);
            return fail(c, err);
        }
        int status = next_line(c, err);
        if (status < 0)
            return -1;
        if (!status) {
            err_set(err, "a quote begins in field %zu and does not end", c->n + 1);
            return fail(c, err);
        }
        at = 0;
    }
}

/* End of the line's data: the carriage return of a CR LF is none. */
static size_t data_end(const struct csv *c)
{
    return c->line.len - (c->line.len && c->line.p[c->line.len - 1] == '\r');
}

static int read_fields(struct csv *c, struct err *err)
{
    for (size_t at = 0;;) {
        if (c->line.p[at] == '"') {
            ssize_t end = read_quoted(c, at + 1, err);
            if (end < 0)
                return -1;
            at = (size_t)end;
            if (at < data_end(c) && c->line.p[at] != c->separator) {
                err_set(err,
                        "field %zu goes on behind its closing quote; a quote in a quoted "
                        "field is written twice",
                        c->n + 1);
                return fail(c, err);
            }
        } else {
            size_t end = data_end(c);
            const char *p = c->line.p + at, *separator = memchr(p, c->separator, end - at);
            size_t n = separator ? (size_t)(separator - p) : end - at;
            buf_add(&c->text, p, n);
            at += n;
        }
        if (end_field(c, err))
            return fail(c, err);
        if (at >= data_end(c))
            return 0;
        at++;
    }
}

/* Semicolons in a first line without a comma, quoted parts aside. */
static void guess_separator(struct csv *c)
{
    bool quoted = false, semicolon = false;
    if (c->separator != ',')
        return;
    for (size_t i = 0; i < c->line.len; i++) {
        quoted ^= c->line.p[i] == '"';
        if (!quoted && c->line.p[i] == ',')
            return;
        semicolon |= !quoted && c->line.p[i] == ';';
    }
    if (semicolon)
        c->separator = ';';
}

int csv_next(struct csv *c, struct err *err)
{
    do {
        int status = next_line(c, err);
        if (status <= 0)
            return status;
    } while (!data_end(c));
    c->line_number = input_line_number(c->in);
    c->n = 0;
    buf_clear(&c->text);
    if (!c->width)
        guess_separator(c);
    if (read_fields(c, err))
        return -1;
    if (!c->width)
        c->width = c->n;
    if (c->n == c->width)
        return 1;
    err_set(err, "%zu fields, but %zu in the first line", c->n, c->width);
    return fail(c, err);
}

const char *csv_field(const struct csv *c, size_t i, size_t *len)
{
    size_t start = i ? c->ends[i - 1] : 0;
    *len = c->ends[i] - start;
    return c->text.p + start;
}

bool csv_is_empty(const struct csv *c)
{
    return !c->text.len;
}
