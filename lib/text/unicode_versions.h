/*
 * unicode_versions: where the Unicode data of `tokenizers` are of another version than utf8proc's.
 *
 * Tokens must not depend on which utf8proc is installed, and must be those that a model was trained
 * with. `tokenizers` 0.23 matches patterns by Unicode 16, but normalises, strips accents and finds
 * punctuation by Unicode 8 and 9, as the libraries that it's built from have it. The ranges were
 * found by comparing it with Unicode 17 over all code points; they also take in code points for
 * which it makes no difference, so that there are few of them.
 */
#ifndef TEXT_UNICODE_VERSIONS_H
#define TEXT_UNICODE_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of characters that came with a newer Unicode than an operation of `tokenizers` knows. */
enum unicode_news {
    NEWS_FORMS,       /* normal forms leave them as they are */
    NEWS_PUNCTUATION, /* punctuation that isn't taken for such */
    NEWS_NONSPACING,  /* \p{Mn} that BertNormalizer keeps */
    NEWS_MARKS,       /* \p{M} that StripAccents keeps */
    NEWS_FORMAT,      /* \p{Cf} that BertNormalizer keeps */
    N_NEWS,
};

bool unicode_is_news(enum unicode_news which, uint32_t c);

/* Characters [first, last] that came with Unicode 15 to 16 and their general category, in order. */
struct unicode_addition {
    uint32_t first, last;
    const char *category;
};
extern const struct unicode_addition unicode_additions[];
extern const size_t n_unicode_additions;
/* The first addition that doesn't end before c. */
size_t unicode_addition_from(uint32_t c);

/* The lower case of one character, by Unicode 17; U+0130 has none of one character. */
uint32_t unicode_lower(uint32_t c);

#endif
