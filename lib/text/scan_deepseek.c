/* The three patterns that DeepSeek-V3 splits text with, one after the other, and all in one. */
#include "text/scan_runs.h"

static inline bool is_ascii_letter(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* A match of deepseek's third pattern at i; i if there is none. */
static inline size_t match_deepseek(const struct span *s, size_t i)
{
    unsigned len, after, class = class_at(s, i, &len);
    unsigned char c = s->p[i];
    if (c < 0x80 && class & (UNICODE_P | UNICODE_S) && i + 1 < s->end &&
        is_ascii_letter(s->p[i + 1])) {
        for (i += 2; i < s->end && is_ascii_letter(s->p[i]); i++)
            ;
        return i;
    }
    if (class & (LETTER | UNICODE_M))
        return run_of(s, i + len, LETTER | UNICODE_M);
    if (!is_newline(c) && !(class & (UNICODE_P | UNICODE_S)) && i + len < s->end &&
        class_at(s, i + len, &after) & (LETTER | UNICODE_M))
        return run_of(s, i + len + after, LETTER | UNICODE_M);
    size_t symbols = i + (c == ' ');
    if (symbols < s->end && class_at(s, symbols, &len) & (UNICODE_P | UNICODE_S))
        return run_of_newlines(s, run_of(s, symbols + len, UNICODE_P | UNICODE_S), false);
    return class & SPACE ? spaces(s, i, true) : i;
}

static inline size_t next_deepseek(const struct span *s, size_t i)
{
    size_t end = match_deepseek(s, i), at = i;
    if (end > i)
        return end;
    do
        at += utf8_length(s->p[at]);
    while (at < s->end && match_deepseek(s, at) == at);
    return at;
}

/* Past ASCII other than digits, as far as whole eights go. */
static inline size_t skip_no_digits(const struct span *s, size_t i)
{
    for (; s->end - i >= 8; i += 8) {
        uint64_t eight = eight_at(s, i);
        uint64_t others = eight_within(eight, '0', '9') | (eight & EACH_TOP);
        if (others)
            return i + eight_first(others);
    }
    return i;
}

/* Up to three digits, or the text between digits. */
static inline size_t next_digits(const struct span *s, size_t i)
{
    unsigned len;
    if (class_at(s, i, &len) & NUMBER)
        return run_of_some(s, i, NUMBER, 3);
    do
        i = skip_no_digits(s, i);
    while (i < s->end && !(class_at(s, i, &len) & NUMBER) && (i += len) < s->end);
    return i;
}

/* U+4E00 to U+9FA5 and U+3040 to U+30FF: three bytes each, which compare as the characters do. */
static inline bool is_cjk(const struct span *s, size_t i)
{
    const unsigned char *p = s->p + i;
    if (p[0] < 0xe3 || p[0] > 0xe9)
        return false;
    uint32_t bytes = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return (bytes >= 0xe38180 && bytes <= 0xe383bf) || (bytes >= 0xe4b880 && bytes <= 0xe9bea5);
}

/* Past characters of one and two bytes, as far as whole eights go. */
static inline size_t skip_short(const struct span *s, size_t i)
{
    for (; s->end - i >= 8; i += 8) {
        uint64_t eight = eight_at(s, i), others = eight & eight << 1 & eight << 2 & EACH_TOP;
        if (others)
            return i + eight_first(others);
    }
    return i;
}

/* Outside, a byte at a time will do: no byte within a character looks like one of these. */
static inline size_t next_cjk(const struct span *s, size_t i)
{
    if (is_cjk(s, i)) {
        do
            i += 3;
        while (i < s->end && is_cjk(s, i));
        return i;
    }
    do
        i = skip_short(s, i + 1);
    while (i < s->end && !is_cjk(s, i));
    return i;
}

SCANNER(deepseek)
SCANNER(digits)
SCANNER(cjk)

/*
 * All in one: what the first two patterns leave of a text is a section, inside of which the third
 * is at work. A match needs to know of a section's end only where it comes near to it.
 */
enum { NEAR = 8, FURTHER = 256 };

struct section {
    size_t known; /* it goes on up to here */
    bool ends;    /* and no further */
};

/* Follows the section to its end, but no further than `most`, which may lie inside a character. */
static void section_follow(const struct span *s, struct section *x, bool cjk, size_t most)
{
    const struct span near = {s->u, s->p, most};
    unsigned len;
    size_t i = x->known;
    while (i < most) {
        if (!cjk && (i = skip_no_digits(&near, i)) >= most)
            break;
        if (is_cjk(s, i) != cjk || class_at(s, i, &len) & NUMBER) {
            x->ends = true;
            break;
        }
        i += len;
    }
    x->ends |= i >= s->end;
    x->known = i;
}

size_t scan_deepseek_whole(const struct unicode *u, const char *p, size_t *pos, size_t end,
                           struct piece *out, size_t max)
{
    struct span whole = {u, (const unsigned char *)p, end}, s = whole;
    struct section x = {*pos, true};
    bool cjk = false;
    size_t n = 0, at = *pos, next;
    while (n < max && at < end) {
        unsigned len;
        if (x.ends && at == x.known) {
            x.ends = false;
            cjk = is_cjk(&whole, at);
            if (class_at(&whole, at, &len) & NUMBER) {
                next = run_of_some(&whole, at, NUMBER, 3);
                x = (struct section){next, true};
            }
        }
        for (;;) {
            s.end = x.ends ? x.known : end;
            next = next_deepseek(&s, at);
            if (x.ends || next + NEAR <= x.known)
                break;
            section_follow(&whole, &x, cjk, next + FURTHER < end ? next + FURTHER : end);
        }
        out[n++] = (struct piece){(uint32_t)at, (uint32_t)next};
        at = next;
    }
    *pos = at;
    return n;
}
