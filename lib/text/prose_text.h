/*
 * prose_text: a text and where its headings are.
 */
#ifndef TEXT_PROSE_TEXT_H
#define TEXT_PROSE_TEXT_H

#include <stddef.h>

#include "base/buf.h"

/* A heading: text.p[start .. end), of which [title, title_end) is what a reader reads. */
struct prose_heading {
    size_t start, title, title_end, end;
    int level; /* from 1 to 6 */
};

struct prose_text {
    struct buf text;                /* UTF-8 */
    struct prose_heading *headings; /* in order */
    size_t n_headings, headings_cap;
};

void prose_text_init(struct prose_text *t);
void prose_text_release(struct prose_text *t);
void prose_text_clear(struct prose_text *t);

void prose_text_add_heading(struct prose_text *t, struct prose_heading heading);
/* Adds `from` at the end, its headings too. */
void prose_text_append(struct prose_text *t, const struct prose_text *from);

/* Adds lines[len] to b, every line that isn't empty indented by so many blanks, but the first. */
void prose_add_lines(struct buf *b, const char *lines, size_t len, size_t indent);
/* Shrinks p[len] by the white space, no-break spaces too, at both ends. */
void prose_trim(const char **p, size_t *len);

#endif
