/*
 * unicode: what tokenisers ask of a character.
 *
 * The general categories come from utf8proc and are laid out once, when a tokenizer is loaded, so
 * that a scanner finds all it needs to know of a character in one byte.
 */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

enum unicode_class {
    UNICODE_L = 1,       /* letters: \p{L} */
    UNICODE_N = 2,       /* numbers: \p{N} */
    UNICODE_M = 4,       /* marks: \p{M} */
    UNICODE_P = 8,       /* punctuation: \p{P} */
    UNICODE_S = 16,      /* symbols: \p{S} */
    UNICODE_SPACE = 32,  /* White_Space: \s */
    UNICODE_UPPER = 64,  /* Lu Lt Lm Lo M: what may stand in the first half of a cased word */
    UNICODE_LOWER = 128, /* Ll Lm Lo M: what may stand in the second */
};

/* A byte for every code point. */
struct unicode {
    uint16_t index[0x110000 >> 8]; /* block of each 256 code points */
    uint8_t (*blocks)[256];        /* block 0 is ASCII and Latin-1 */
    size_t n_blocks, cap;
};

/* Fills the table with value(c, arg), called for c in order, but that the last of 256 may come
 * before the others of them; it must be constant over each of the planes 4 to 13, 15 and 16:
 * nothing is assigned there but for private use. */
void unicode_build(struct unicode *u, unsigned (*value)(uint32_t c, void *arg), void *arg);
/* Blocks of ideographs, Hangul syllables, private use or nothing at all, which hold nothing else:
 * the same value all over if both ends have it. */
bool unicode_block_is_uniform(uint32_t block);
void unicode_init(struct unicode *u); /* the classes above; cheap but for the first time */
void unicode_release(struct unicode *u);

static inline unsigned unicode_class(const struct unicode *u, uint32_t c)
{
    return u->blocks[u->index[c >> 8]][c & 255];
}

/* The general category, two letters, by Unicode 16 or later. */
const char *unicode_category(uint32_t c);

/* \w of Rust's regex crate: alphabetic, marks, decimal digits, connectors, joiners. */
bool unicode_is_word(uint32_t c);

#endif
