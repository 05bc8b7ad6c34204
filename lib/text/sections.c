#include "text/sections.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The title, behind those of the nearest headings of each higher level. */
static void write_prompt(const struct prose_text *t, size_t i, bool with_parents,
                         struct buf *prompt)
{
    size_t path[6], n = 0;
    int level = t->headings[i].level;
    path[n++] = i;
    for (size_t j = i; with_parents && j-- > 0 && level > 1;)
        if (t->headings[j].level < level && t->headings[j].title < t->headings[j].title_end) {
            level = t->headings[j].level;
            path[n++] = j;
        }
    buf_clear(prompt);
    while (n--) {
        const struct prose_heading *h = &t->headings[path[n]];
        buf_add(prompt, t->text.p + h->title, h->title_end - h->title);
        if (n)
            buf_addstr(prompt, " > ");
    }
}

bool section_next(const struct prose_text *t, size_t *at, bool with_parents,
                  struct section *section)
{
    while (*at < t->n_headings) {
        size_t i = (*at)++;
        const struct prose_heading *h = &t->headings[i];
        size_t start = h->end, end = i + 1 < t->n_headings ? t->headings[i + 1].start : t->text.len;
        const char *p = t->text.p;
        while (end > start && is_space(p[end - 1]))
            end--;
        for (size_t j = start; j < end && is_space(p[j]); j++)
            if (p[j] == '\n')
                start = j + 1; /* blank lines go, an indentation stays */
        if (start == end || h->title == h->title_end)
            continue;
        write_prompt(t, i, with_parents, &section->prompt);
        section->completion = p + start;
        section->completion_len = end - start;
        return true;
    }
    return false;
}
