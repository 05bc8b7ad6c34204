/*
 * scan: hand-written scanners for the patterns that most tokenisers split text with.
 *
 * A scanner cuts text into the pieces that its pattern's matches and the gaps between them are. It
 * is chosen by comparing the pattern; any other pattern goes through PCRE2. Each is checked
 * against PCRE2 on random text by tests/unit/test-tokenizer-scan.c.
 */
#ifndef TEXT_SCAN_H
#define TEXT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/unicode.h"

/* Text [start, end). */
struct piece {
    uint32_t start, end;
};

/*
 * Cuts p[*pos, end) into pieces, at most max, moving *pos behind the last; returns their number.
 * Nothing outside [*pos, end) is looked at, so *pos must be where the text or a piece begins.
 */
typedef size_t scan_function(const struct unicode *u, const char *p, size_t *pos, size_t end,
                             struct piece *out, size_t max);

struct scanner {
    const char *pattern;
    scan_function *scan;
    bool gaps; /* the pattern leaves some text unmatched */
};

extern const struct scanner scanners[];
extern const size_t n_scanners;
const struct scanner *scanner_find(const char *pattern); /* NULL: none for this pattern */
/* The scanner that does at once what three do one after the other; NULL where there is none. */
scan_function *scan_in_one(scan_function *const steps[3]);

/* GPT-2's own pattern, which the ByteLevel pre-tokeniser has built in. */
#define PATTERN_GPT2                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

#define PATTERN_CL100K_LIKE(digits)                                                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PATTERN_LLAMA3 PATTERN_CL100K_LIKE("\\p{N}{1,3}")
#define PATTERN_QWEN2 PATTERN_CL100K_LIKE("\\p{N}")
/* tiktoken's cl100k_base of today, which takes white space at the end of a text whole. */
#define PATTERN_CL100K                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"                       \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PATTERN_O200K                                                                              \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"                                  \
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"                                 \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"                                  \
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"                                 \
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* DeepSeek-V3's, one after the other: digits, cjk, deepseek. */
#define PATTERN_DIGITS "\\p{N}{1,3}"
#define PATTERN_CJK "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"
#define PATTERN_DEEPSEEK                                                                           \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"                                       \
    "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"                          \
    "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"

#endif
