/*
 * utf8: characters out of bytes and back, and which bytes are any.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

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

/* Where the character begins that ends at i > 0, p being valid UTF-8. */
static inline size_t utf8_before(const char *p, size_t i)
{
    do
        i--;
    while (((unsigned char)p[i] & 0xc0) == 0x80);
    return i;
}

/* Number of characters of p[len], which is valid UTF-8. */
static inline size_t utf8_count(const char *p, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

/* Writes the character, which is a scalar value, to out[4]; returns its length. */
unsigned utf8_put(uint32_t c, char out[4]);

/* Length of the longest prefix of p[len] that is valid UTF-8: len if all of it is. */
size_t utf8_valid(const char *p, size_t len);

/* Length of the well-formed sequence at p; 0 if there is none, and then *part is that of the
 * maximal part of an ill-formed one (the Unicode standard, tables 3-7 and 3-8). left > 0. */
size_t utf8_well_formed(const char *p, size_t left, size_t *part);

#endif
