/*
 * scan_runs: how far a run of characters of some classes goes; for the files with scanners.
 */
#ifndef TEXT_SCAN_RUNS_H
#define TEXT_SCAN_RUNS_H

#include <string.h>

#include "text/scan.h"

struct span {
    const struct unicode *u;
    const unsigned char *p;
    size_t end;
};

enum {
    LETTER = UNICODE_L,
    NUMBER = UNICODE_N,
    SPACE = UNICODE_SPACE,
    WORD_OR_SPACE = UNICODE_SPACE | UNICODE_L | UNICODE_N,
};

/* Class of the character at i < end, and its length. */
static inline unsigned class_at(const struct span *s, size_t i, unsigned *len)
{
    *len = 1;
    unsigned char c = s->p[i];
    return c < 0x80 ? s->u->blocks[0][c] : unicode_class(s->u, utf8_char(s->p + i, len));
}

/*
 * Eight bytes at once: how long a word is can't be guessed, and so it needn't be. The first byte is
 * the lowest, and an answer is the highest bit of each byte.
 */
#define EACH_BYTE 0x0101010101010101u
#define EACH_TOP (0x80 * EACH_BYTE)

static inline uint64_t eight_at(const struct span *s, size_t i)
{
    uint64_t eight;
    memcpy(&eight, s->p + i, sizeof eight);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    eight = __builtin_bswap64(eight);
#endif
    return eight;
}

/* Those in [low, high], both below 0x80. */
static inline uint64_t eight_within(uint64_t eight, unsigned char low, unsigned char high)
{
    uint64_t rest = eight & ~EACH_TOP;
    return (rest + (0x80u - low) * EACH_BYTE) & ~(rest + (0x7fu - high) * EACH_BYTE) & ~eight &
           EACH_TOP;
}

/* Which of them is the first; there is one. */
static inline unsigned eight_first(uint64_t answer)
{
    return (unsigned)__builtin_ctzll(answer) / 8;
}

/* Past the ASCII letters from i on, as far as whole eights go: small ones, or with a case_bit of
 * 0x20 of either case. */
static inline size_t skip_letters(const struct span *s, size_t i, unsigned char case_bit)
{
    for (; s->end - i >= 8; i += 8) {
        uint64_t others = eight_within(eight_at(s, i) | case_bit * EACH_BYTE, 'a', 'z') ^ EACH_TOP;
        if (others)
            return i + eight_first(others);
    }
    return i;
}

/* The end of the run, from i, of characters that are of one of the classes. */
static inline size_t run_of(const struct span *s, size_t i, unsigned classes)
{
    unsigned len;
    if (classes & LETTER)
        i = skip_letters(s, i, 0x20);
    else if (classes & UNICODE_LOWER)
        i = skip_letters(s, i, 0);
    while (i < s->end && class_at(s, i, &len) & classes)
        i += len;
    return i;
}

/* The same of characters that are of none of them. */
static inline size_t run_of_none(const struct span *s, size_t i, unsigned classes)
{
    unsigned len;
    while (i < s->end && !(class_at(s, i, &len) & classes))
        i += len;
    return i;
}

/* At most `most` characters of the classes. */
static inline size_t run_of_some(const struct span *s, size_t i, unsigned classes, unsigned most)
{
    unsigned len;
    while (most-- && i < s->end && class_at(s, i, &len) & classes)
        i += len;
    return i;
}

static inline bool is_newline(unsigned char c)
{
    return c == '\n' || c == '\r';
}

static inline size_t run_of_newlines(const struct span *s, size_t i, bool slashes)
{
    while (i < s->end && (is_newline(s->p[i]) || (slashes && s->p[i] == '/')))
        i++;
    return i;
}

/*
 * "\s+(?!\S)|\s+" where white space begins at i: all of it but the last character, which goes with
 * the word that follows, unless it's the only one. With `newlines`, "\s*[\r\n]+" is tried first:
 * up to the last newline.
 */
static inline size_t spaces(const struct span *s, size_t i, bool newlines)
{
    size_t last = i, newline = i, at = i;
    unsigned len;
    while (at < s->end && class_at(s, at, &len) & SPACE) {
        last = at;
        if (is_newline(s->p[at]))
            newline = at + 1;
        at += len;
    }
    if (newlines && newline > i)
        return newline;
    return at == s->end || last == i ? at : last;
}

#define SCANNER(name)                                                                              \
    size_t scan_##name(const struct unicode *u, const char *p, size_t *pos, size_t end,            \
                       struct piece *out, size_t max)                                              \
    {                                                                                              \
        struct span s = {u, (const unsigned char *)p, end};                                        \
        size_t n = 0, at = *pos;                                                                   \
        while (n < max && at < end) {                                                              \
            size_t next = next_##name(&s, at);                                                     \
            out[n++] = (struct piece){(uint32_t)at, (uint32_t)next};                               \
            at = next;                                                                             \
        }                                                                                          \
        *pos = at;                                                                                 \
        return n;                                                                                  \
    }

/* Those of scan_deepseek.c, and what does the work of the three in order: digits, cjk, deepseek. */
scan_function scan_digits, scan_cjk, scan_deepseek, scan_deepseek_whole;

#endif
