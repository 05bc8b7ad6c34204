/*
 * chunks: a document in parts of a bounded length.
 */
#ifndef TEXT_CHUNKS_H
#define TEXT_CHUNKS_H

#include <stddef.h>

#include "text/prose_text.h"

struct chunk {
    size_t start, end; /* in the text, without blank lines around */
};

struct chunks {
    struct chunk *items;
    size_t n, cap;
};

/*
 * Cuts a text into parts of at most `length` characters: before the highest headings it has; parts
 * that are still too long before the next lower ones, and so on, then between blocks, and a block
 * that alone is too long behind a line, a sentence or a word. Neighbours that fit together stay
 * together, and a heading stays with what follows it.
 */
void chunks_find(struct chunks *chunks, const struct prose_text *t, size_t length);
void chunks_release(struct chunks *chunks);

#endif
