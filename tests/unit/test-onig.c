/* onig: which characters a pattern of tokenizer.json matches; as `tokenizers` 0.23, whose engine is
 * Oniguruma. */
#include "tap.h"

#include <string.h>

#include "text/regex.h"

/* Characters of `from` that the pattern matches alone, in a row; "refused" if it can't be read. */
static const char *matched(const char *pattern, const char *const *from)
{
    static char found[256];
    struct err err;
    struct regex *re = regex_new(pattern, strlen(pattern), &err);
    struct regex_scratch *s = regex_scratch_new();
    found[0] = 0;
    for (; re && *from; from++) {
        struct regex_cursor c;
        size_t start, end;
        regex_start(&c, *from, strlen(*from));
        if (regex_next(re, s, &c, &start, &end, &err) == 1 && !start && end == strlen(*from))
            strcat(found, *from);
    }
    if (!re)
        strcpy(found, "refused");
    regex_scratch_free(s);
    regex_free(re);
    return found;
}

int main(void)
{
    /* Latin-1: number, fraction, ordinal, micro, pilcrow, connector, letter, digit; a mark, a digit
     * of another script, a circled letter and number, a joiner, a Roman numeral, a space, a letter
     * newer than PCRE2's tables (U+1C89) */
    static const char *const chars[] = {"\u00b2", "\u00bd", "\u00aa", "\u00b5", "\u00b6", "_",
                                        "a",      "5",      "\u0301", "\u0663", "\u24b6", "\u2461",
                                        "\u200d", "\u2160", " ",      "\u1c89", NULL};
    static const struct {
        const char *pattern, *want;
    } cases[] = {
        {"\\w", "\u00b2\u00bd\u00aa\u00b5_a5\u0301\u0663\u24b6\u2160\u1c89"},
        {"\\W", "\u00b6\u2461\u200d "},
        {"[\\w]", "\u00aa\u00b5_a5\u0301\u0663\u24b6\u2160\u1c89"},
        {"[^\\w]", "\u00b2\u00bd\u00b6\u2461\u200d "},
        {"[\\W]", "\u00b2\u00bd\u00b6\u2461\u200d "},
        {"[^\\W]", "\u00aa\u00b5_a5\u0301\u0663\u24b6\u2160\u1c89"},
        {"[^\\W\\d_]", "\u00aa\u00b5a\u0301\u24b6\u2160\u1c89"},
        {"[\\D]", "\u00b2\u00bd\u00aa\u00b5\u00b6_a\u0301\u24b6\u2461\u200d\u2160 \u1c89"},
        {"[\\H5]", "\u00b2\u00bd\u00aa\u00b5\u00b6_5\u0301\u0663\u24b6\u2461\u200d\u2160 \u1c89"},
        {"[^\\s\\w]", "\u00b2\u00bd\u00b6\u2461\u200d"},
        {"[[:alpha:]]", "refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        tap_is_str(cases[i].pattern, matched(cases[i].pattern, chars), cases[i].want);
    return tap_done();
}
