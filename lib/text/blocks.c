#include "text/blocks.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t line_end(const struct prose_text *t, size_t at)
{
    const char *newline = memchr(t->text.p + at, '\n', t->text.len - at);
    return newline ? (size_t)(newline - t->text.p) : t->text.len;
}

static bool is_blank(const struct prose_text *t, size_t start, size_t end)
{
    while (start < end && is_space(t->text.p[start]))
        start++;
    return start == end;
}

/* Length of the fence that begins in the line, and its character; 0: none. */
static size_t fence_at(const struct prose_text *t, size_t start, size_t end, char *c)
{
    const char *p = t->text.p;
    size_t n = 0;
    while (start < end && p[start] == ' ')
        start++;
    if (start == end || (p[start] != '`' && p[start] != '~'))
        return 0;
    *c = p[start];
    while (start + n < end && p[start + n] == *c)
        n++;
    return n >= 3 ? n : 0;
}

/* The end of the listing whose first fence is the line at start; that of the text if it's open. */
static size_t code_end(const struct prose_text *t, size_t start, size_t fence, char c)
{
    size_t end = line_end(t, start);
    while (end < t->text.len) {
        size_t line = end + 1;
        char other = 0;
        end = line_end(t, line);
        if (fence_at(t, line, end, &other) >= fence && other == c)
            break;
    }
    return end;
}

static enum block_type type_of(const struct prose_text *t, size_t start, size_t end)
{
    const char *p = t->text.p;
    size_t i = start, digits;
    while (i < end && p[i] == ' ')
        i++;
    if (i < end && p[i] == '|')
        return BLOCK_TABLE;
    if (i + 1 < end && strchr("-*+", p[i]) && p[i + 1] == ' ')
        return BLOCK_LIST;
    for (digits = i; digits < end && p[digits] >= '0' && p[digits] <= '9';)
        digits++;
    if (digits > i && digits + 1 < end && (p[digits] == '.' || p[digits] == ')') &&
        p[digits + 1] == ' ')
        return BLOCK_LIST;
    return i - start >= 2 ? BLOCK_LIST : BLOCK_PARAGRAPH;
}

bool block_next(const struct prose_text *t, struct block_cursor *cursor, struct block *block)
{
    size_t at = cursor->at, end;
    while (at < t->text.len && is_blank(t, at, end = line_end(t, at)))
        at = end + (end < t->text.len);
    if (at >= t->text.len)
        return false;
    while (cursor->heading < t->n_headings && t->headings[cursor->heading].end <= at)
        cursor->heading++;
    const struct prose_heading *h =
        cursor->heading < t->n_headings ? &t->headings[cursor->heading] : NULL;
    char c;
    size_t fence;
    if (h && h->start <= at) {
        *block = (struct block){BLOCK_HEADING, at, h->end, h->level};
    } else if ((fence = fence_at(t, at, line_end(t, at), &c))) {
        *block = (struct block){BLOCK_CODE, at, code_end(t, at, fence, c), 0};
    } else {
        size_t next = end = line_end(t, at);
        while (next < t->text.len && !(h && h->start <= next + 1)) {
            size_t line = next + 1;
            next = line_end(t, line);
            if (is_blank(t, line, next) || fence_at(t, line, next, &c))
                break;
            end = next;
        }
        *block = (struct block){type_of(t, at, end), at, end, 0};
    }
    cursor->at = block->end + (block->end < t->text.len);
    return true;
}
