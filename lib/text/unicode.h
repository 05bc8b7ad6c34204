/*
 * unicode: what tokenisers ask of a character, and UTF-8.
 *
 * The general categories come from utf8proc and are laid out once, when a tokenizer is loaded, so
 * that a scanner finds all it needs to know of a character in one byte.
 */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

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

/* Fills the table with value(c, arg), called for c in order, which must be constant over each of
 * the planes 4 to 13, 15 and 16: nothing is assigned there but for private use. */
void unicode_build(struct unicode *u, unsigned (*value)(uint32_t c, void *arg), void *arg);
void unicode_init(struct unicode *u); /* the classes above */
void unicode_release(struct unicode *u);

static inline unsigned unicode_class(const struct unicode *u, uint32_t c)
{
    return u->blocks[u->index[c >> 8]][c & 255];
}

/* The general category, two letters, by Unicode 16 or later. */
const char *unicode_category(uint32_t c);

/* \w of Rust's regex crate: alphabetic, marks, decimal digits, connectors, joiners. */
bool unicode_is_word(uint32_t c);

/* The character at p, which is valid UTF-8, and its length in bytes. */
static inline uint32_t utf8_char(const unsigned char *p, unsigned *len)
{
    if (p[0] < 0x80) {
        *len = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *len = 2;
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    }
    if (p[0] < 0xf0) {
        *len = 3;
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
    *len = 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

/* Length of the character at p from its first byte, p being valid UTF-8. */
static inline unsigned utf8_length(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Writes the character, which is a scalar value, to out[4]; returns its length. */
unsigned utf8_put(uint32_t c, char out[4]);

/* Length of the longest prefix of p[len] that is valid UTF-8: len if all of it is. */
size_t utf8_valid(const char *p, size_t len);

/* Length of the well-formed sequence at p; 0 if there is none, and then *part is that of the
 * maximal part of an ill-formed one (the Unicode standard, tables 3-7 and 3-8). left > 0. */
size_t utf8_well_formed(const char *p, size_t left, size_t *part);

#endif
