#include "text/scan.h"

#include <string.h>

#include "base/mem.h"

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

/* The end of the run, from i, of characters that are of one of the classes. */
static inline size_t run_of(const struct span *s, size_t i, unsigned classes)
{
    unsigned len;
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

/* 's 't 're 've 'm 'll 'd: the end of it, i if there is none. */
static inline size_t contraction(const struct span *s, size_t i)
{
    if (s->p[i] != '\'' || i + 1 >= s->end)
        return i;
    unsigned char c = s->p[i + 1], d = i + 2 < s->end ? s->p[i + 2] : 0;
    if (c == 's' || c == 't' || c == 'm' || c == 'd')
        return i + 2;
    if ((c == 'r' && d == 'e') || (c == 'v' && d == 'e') || (c == 'l' && d == 'l'))
        return i + 3;
    return i;
}

/* The same in either case, which for s takes in U+017F, the long s. */
static inline size_t contraction_any_case(const struct span *s, size_t i)
{
    if (s->p[i] != '\'' || i + 1 >= s->end)
        return i;
    unsigned char c = s->p[i + 1], d = i + 2 < s->end ? s->p[i + 2] : 0;
    if (c == 0xc5 && d == 0xbf)
        return i + 3;
    c |= 0x20;
    d |= 0x20;
    if (c == 's' || c == 't' || c == 'm' || c == 'd')
        return i + 2;
    if ((c == 'r' && d == 'e') || (c == 'v' && d == 'e') || (c == 'l' && d == 'l'))
        return i + 3;
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

static inline size_t next_gpt2(const struct span *s, size_t i)
{
    size_t end = contraction(s, i);
    if (end > i)
        return end;
    size_t word = i + (s->p[i] == ' ');
    if (word < s->end) {
        unsigned len, class = class_at(s, word, &len);
        if (class & LETTER)
            return run_of(s, word + len, LETTER);
        if (class & NUMBER)
            return run_of(s, word + len, NUMBER);
        if (!(class & SPACE))
            return run_of_none(s, word + len, WORD_OR_SPACE);
    }
    return spaces(s, i, false);
}

/* cl100k and its kin; they differ in how many digits go together. */
static inline size_t next_cl100k(const struct span *s, size_t i, unsigned digits)
{
    size_t end = contraction_any_case(s, i);
    if (end > i)
        return end;
    unsigned len, after, class = class_at(s, i, &len);
    if (class & LETTER)
        return run_of(s, i + len, LETTER);
    if (class & NUMBER)
        return run_of_some(s, i, NUMBER, digits);
    if (!is_newline(s->p[i]) && i + len < s->end && class_at(s, i + len, &after) & LETTER)
        return run_of(s, i + len + after, LETTER);
    size_t symbols = i + (s->p[i] == ' ');
    if (symbols < s->end && !(class_at(s, symbols, &len) & WORD_OR_SPACE))
        return run_of_newlines(s, run_of_none(s, symbols + len, WORD_OR_SPACE), false);
    return spaces(s, i, true);
}

/* cl100k as tiktoken has it: white space at the end of the text is one piece, newlines and all. */
static inline size_t next_cl100k_tail(const struct span *s, size_t i)
{
    unsigned len;
    size_t end = next_cl100k(s, i, 3);
    if (end < s->end && class_at(s, i, &len) & SPACE && class_at(s, end, &len) & SPACE &&
        run_of(s, end, SPACE) == s->end && run_of(s, i, SPACE) == s->end)
        return s->end;
    return end;
}

static inline size_t next_llama3(const struct span *s, size_t i)
{
    return next_cl100k(s, i, 3);
}

static inline size_t next_qwen2(const struct span *s, size_t i)
{
    return next_cl100k(s, i, 1);
}

/*
 * "[upper]*[lower]+" at i, where letters without case and marks are both; i if there is none. The
 * first half is greedy and gives back from its end until the second can begin.
 */
static inline size_t cased_word(const struct span *s, size_t i)
{
    unsigned len, class;
    size_t at = i, both = i;
    bool seen = false;
    while (at < s->end && (class = class_at(s, at, &len)) & UNICODE_UPPER) {
        if (class & UNICODE_LOWER) {
            both = at + len;
            seen = true;
        }
        at += len;
    }
    size_t end = run_of(s, at, UNICODE_LOWER);
    if (end > at)
        return end;
    return seen ? both : i;
}

static inline size_t next_o200k(const struct span *s, size_t i)
{
    unsigned len, class = class_at(s, i, &len);
    bool may_lead = !is_newline(s->p[i]) && !(class & (LETTER | NUMBER));
    size_t word = i + (may_lead ? len : 0), end = cased_word(s, word);
    if (end == word && may_lead && class & UNICODE_M)
        end = cased_word(s, word = i);
    if (end == word)
        end = run_of(s, word, UNICODE_UPPER); /* capitals only */
    if (end > word)
        return end < s->end ? contraction_any_case(s, end) : end;
    if (class & NUMBER)
        return run_of_some(s, i, NUMBER, 3);
    size_t symbols = i + (s->p[i] == ' ');
    if (symbols < s->end && !(class_at(s, symbols, &len) & WORD_OR_SPACE))
        return run_of_newlines(s, run_of_none(s, symbols + len, WORD_OR_SPACE), true);
    return spaces(s, i, true);
}

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

/* Up to three digits, or the text between digits. */
static inline size_t next_digits(const struct span *s, size_t i)
{
    unsigned len;
    if (class_at(s, i, &len) & NUMBER)
        return run_of_some(s, i, NUMBER, 3);
    return run_of_none(s, i, NUMBER);
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

static inline size_t next_cjk(const struct span *s, size_t i)
{
    bool inside = is_cjk(s, i);
    do
        i += utf8_length(s->p[i]);
    while (i < s->end && is_cjk(s, i) == inside);
    return i;
}

#define SCANNER(name)                                                                              \
    static size_t scan_##name(const struct unicode *u, const char *p, size_t *pos, size_t end,     \
                              struct piece *out, size_t max)                                       \
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

SCANNER(gpt2)
SCANNER(cl100k_tail)
SCANNER(llama3)
SCANNER(qwen2)
SCANNER(o200k)
SCANNER(deepseek)
SCANNER(digits)
SCANNER(cjk)

const struct scanner scanners[] = {
    {PATTERN_GPT2, scan_gpt2, false},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", scan_gpt2,
     false},
    {PATTERN_LLAMA3, scan_llama3, false},
    {PATTERN_QWEN2, scan_qwen2, false},
    {PATTERN_CL100K, scan_cl100k_tail, false},
    {PATTERN_O200K, scan_o200k, false},
    {"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
     "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
     "\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
     scan_deepseek, true},
    {"\\p{N}{1,3}", scan_digits, true},
    {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+", scan_cjk,
     true},
};
const size_t n_scanners = ARRAY_SIZE(scanners);

const struct scanner *scanner_find(const char *pattern)
{
    for (size_t i = 0; i < n_scanners; i++)
        if (!strcmp(scanners[i].pattern, pattern))
            return &scanners[i];
    return NULL;
}
