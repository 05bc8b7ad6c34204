#include "text/scan.h"

#include <string.h>

#include "base/mem.h"
#include "text/scan_runs.h"

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

static scan_function scan_gpt2, scan_cl100k_tail, scan_llama3, scan_qwen2, scan_o200k;
SCANNER(gpt2)
SCANNER(cl100k_tail)
SCANNER(llama3)
SCANNER(qwen2)
SCANNER(o200k)

const struct scanner scanners[] = {
    {PATTERN_GPT2, scan_gpt2, false},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", scan_gpt2,
     false},
    {PATTERN_LLAMA3, scan_llama3, false},
    {PATTERN_QWEN2, scan_qwen2, false},
    {PATTERN_CL100K, scan_cl100k_tail, false},
    {PATTERN_O200K, scan_o200k, false},
    {PATTERN_DEEPSEEK, scan_deepseek, true},
    {PATTERN_DIGITS, scan_digits, true},
    {PATTERN_CJK, scan_cjk, true},
};
const size_t n_scanners = ARRAY_SIZE(scanners);

const struct scanner *scanner_find(const char *pattern)
{
    for (size_t i = 0; i < n_scanners; i++)
        if (!strcmp(scanners[i].pattern, pattern))
            return &scanners[i];
    return NULL;
}

scan_function *scan_in_one(scan_function *const steps[3])
{
    return steps[0] == scan_digits && steps[1] == scan_cjk && steps[2] == scan_deepseek
               ? scan_deepseek_whole
               : NULL;
}
