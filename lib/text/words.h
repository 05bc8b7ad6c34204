/*
 * words: from words to tokens, through a cache.
 *
 * A model encodes one word; most words of a text are words that it saw before. The cache is of
 * fixed size, so an endless text takes no more memory than a short one.
 */
#ifndef TEXT_WORDS_H
#define TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/scan.h"
#include "text/text.h"

/* The tokens of one word, and the bytes of text behind each. */
struct word_tokens {
    uint32_t *ids, *lengths; /* [n] */
    size_t n, cap;
};

void word_tokens_reserve(struct word_tokens *w, size_t n); /* room for n in all */
void word_tokens_release(struct word_tokens *w);

static inline void word_tokens_put(struct word_tokens *w, uint32_t id, size_t length)
{
    w->ids[w->n] = id;
    w->lengths[w->n++] = (uint32_t)length;
}

struct word_model {
    /* Replaces *out by the tokens of a word, which is not empty. */
    int (*encode)(const void *model, void *scratch, const char *word, size_t len,
                  struct word_tokens *out, struct err *err);
    const void *model;
    /* [highest id + 1]: bytes of text behind a token wherever it appears; 0 where that differs
     * from place to place, and then a word with it isn't cached. */
    const uint32_t *lengths;
};

struct word_cache;
struct word_cache *word_cache_new(void);
void word_cache_free(struct word_cache *c);

/* Appends the tokens of the pieces of t. `scratch` is the model's. */
int words_encode(const struct word_model *m, struct word_cache *c, void *scratch,
                 const struct text *t, const struct piece *pieces, size_t n, struct token_list *out,
                 struct err *err);

#endif
