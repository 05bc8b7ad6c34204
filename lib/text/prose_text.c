#include "text/prose_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void prose_text_init(struct prose_text *t)
{
    *t = (struct prose_text){.text = BUF_INIT};
}

void prose_text_release(struct prose_text *t)
{
    buf_release(&t->text);
    free(t->headings);
    prose_text_init(t);
}

void prose_text_clear(struct prose_text *t)
{
    buf_clear(&t->text);
    t->n_headings = 0;
}

void prose_text_add_heading(struct prose_text *t, struct prose_heading heading)
{
    ARRAY_GROW(t->headings, t->n_headings, t->headings_cap);
    t->headings[t->n_headings++] = heading;
}

void prose_text_append(struct prose_text *t, const struct prose_text *from)
{
    size_t at = t->text.len;
    buf_add(&t->text, from->text.p, from->text.len);
    for (size_t i = 0; i < from->n_headings; i++) {
        struct prose_heading h = from->headings[i];
        h.start += at;
        h.title += at;
        h.title_end += at;
        h.end += at;
        prose_text_add_heading(t, h);
    }
}

/* Length of the white space at p: blanks, newlines and no-break spaces. */
static size_t space_len(const char *p, size_t len)
{
    if (!len)
        return 0;
    if (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        return 1;
    return len >= 2 && !memcmp(p, "\xc2\xa0", 2) ? 2 : 0;
}

void prose_trim(const char **p, size_t *len)
{
    size_t n;
    while ((n = space_len(*p, *len))) {
        *p += n;
        *len -= n;
    }
    for (;;) {
        if (*len >= 1 && space_len(*p + *len - 1, 1))
            *len -= 1;
        else if (*len >= 2 && space_len(*p + *len - 2, 2) == 2)
            *len -= 2;
        else
            break;
    }
}

void prose_add_lines(struct buf *b, const char *lines, size_t len, size_t indent)
{
    while (len) {
        const char *newline = memchr(lines, '\n', len);
        size_t n = newline ? (size_t)(newline - lines) + 1 : len;
        buf_add(b, lines, n);
        lines += n;
        len -= n;
        if (newline && len && *lines != '\n')
            for (size_t i = 0; i < indent; i++)
                buf_addch(b, ' ');
    }
}
