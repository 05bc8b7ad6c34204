/* What must hold of any text that a reader of documents has made, whatever the bytes were. */
#ifndef FUZZ_CHECK_TEXT_H
#define FUZZ_CHECK_TEXT_H

#include <stdlib.h>

#include "text/encoding.h"
#include "text/package.h"
#include "text/sections.h"

/* UTF-8, with its headings in order and in place. */
static inline void check_text(const struct prose_text *t)
{
    size_t at = 0, next = 0;
    struct section section = {.prompt = BUF_INIT};
    if (!utf8_is_valid(t->text.p, t->text.len))
        abort();
    for (size_t i = 0; i < t->n_headings; i++) {
        const struct prose_heading *h = &t->headings[i];
        if (h->start < at || h->title < h->start || h->title_end < h->title ||
            h->end < h->title_end || h->end > t->text.len || h->level < 1 || h->level > 6)
            abort();
        at = h->end;
    }
    while (section_next(t, &next, true, &section))
        if (!section.completion_len || !utf8_is_valid(section.prompt.p, section.prompt.len))
            abort();
    buf_release(&section.prompt);
}

static inline void add_part(struct package *p, const char *name, const void *text, size_t len)
{
    ARRAY_GROW(p->parts, p->n_parts, p->cap);
    struct package_part *part = &p->parts[p->n_parts++];
    part->name = xstrdup(name);
    buf_init(&part->data);
    buf_add(&part->data, text, len);
}

#endif
