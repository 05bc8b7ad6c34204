#include "formats/json_items.h"

#include <string.h>

#define MAX_ITEM ((size_t)1 << 30)

void json_items_init(struct json_items *j, struct input *in)
{
    *j = (struct json_items){.in = in};
    buf_init(&j->line);
}

void json_items_release(struct json_items *j)
{
    buf_release(&j->line);
}

static int fail(const struct json_items *j, struct err *err)
{
    return err_prefix(err, "%s:%zu", input_name(j->in), input_line_number(j->in));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Moves on to the next character that is no blank: 1, 0 at the input's end, -1. */
static int skip_blanks(struct json_items *j, struct err *err)
{
    for (;;) {
        while (j->at < j->line.len && is_space(j->line.p[j->at]))
            j->at++;
        if (j->at < j->line.len)
            return 1;
        int status = input_line(j->in, &j->line, MAX_ITEM, err);
        if (status <= 0)
            return status;
        bool mark = input_line_number(j->in) == 1 && j->line.len >= 3 &&
                    !memcmp(j->line.p, "\xef\xbb\xbf", 3);
        j->at = mark ? 3 : 0;
    }
}

static int expect_more(struct json_items *j, struct err *err)
{
    int status = skip_blanks(j, err);
    if (status)
        return status < 0 ? -1 : 0;
    err_set(err, "cut off: the array that begins the file has no end");
    return fail(j, err);
}

/* Where in an item the scan is. */
struct scan {
    size_t depth;
    bool in_string, escaped;
};

/* Whether c ends the item: a comma or a bracket of the array itself. */
static bool ends_item(struct scan *s, char c)
{
    if (s->in_string) {
        s->in_string = s->escaped || c != '"';
        s->escaped = !s->escaped && c == '\\';
        return false;
    }
    if (!s->depth && (c == ',' || c == ']'))
        return true;
    s->in_string = c == '"';
    s->depth += c == '[' || c == '{';
    s->depth -= s->depth && (c == ']' || c == '}');
    return false;
}

/* Up to the comma or the bracket that ends the item, which stays. */
static int read_item(struct json_items *j, struct buf *text, struct err *err)
{
    struct scan s = {0};
    for (;;) {
        size_t start = j->at;
        while (j->at < j->line.len && !ends_item(&s, j->line.p[j->at]))
            j->at++;
        if (j->line.len - start > MAX_ITEM - text->len) {
            err_set(err, "item %zu is longer than %zu bytes", j->item, MAX_ITEM);
            return fail(j, err);
        }
        buf_add(text, j->line.p + start, j->at - start);
        if (j->at < j->line.len)
            return 0;
        buf_addch(text, ' '); /* it is one line of JSON Lines then */
        if (input_line(j->in, &j->line, MAX_ITEM, err) <= 0) {
            j->line.len = j->at = 0;
            return expect_more(j, err);
        }
        j->at = 0;
    }
}

static int end(struct json_items *j, struct err *err)
{
    j->at++;
    j->ended = true;
    int status = skip_blanks(j, err);
    if (status <= 0)
        return status;
    err_set(err, "something stands behind the end of the array");
    return fail(j, err);
}

int json_items_next(struct json_items *j, struct buf *text, size_t *line, struct err *err)
{
    buf_clear(text);
    if (j->ended)
        return 0;
    if (expect_more(j, err))
        return -1;
    char c = j->line.p[j->at];
    if (!j->begun || c == ',') {
        bool opened = !j->begun;
        j->begun = true;
        j->at++;
        if (expect_more(j, err))
            return -1;
        c = j->line.p[j->at];
        if (opened && c == ']')
            return end(j, err);
    } else {
        return end(j, err);
    }
    *line = input_line_number(j->in);
    if (read_item(j, text, err))
        return -1;
    while (text->len && is_space(text->p[text->len - 1]))
        text->p[--text->len] = 0;
    j->item++;
    if (text->len)
        return 1;
    err_set(err, "nothing between two items of the array");
    return fail(j, err);
}
