/*
 * detokenize: from tokens' strings back to text, by the steps that a tokenizer.json names.
 */
#ifndef TEXT_DETOKENIZE_H
#define TEXT_DETOKENIZE_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* A list of strings in one buffer. */
struct token_strings {
    struct buf text;
    size_t *ends; /* [n] where each one ends in text */
    size_t n, cap;
};

void token_strings_init(struct token_strings *s);
void token_strings_release(struct token_strings *s);
void token_strings_add(struct token_strings *s, const char *p, size_t len);

struct detokenizer;

/* spec: the "decoder" of tokenizer.json; null or NULL joins with spaces, as `tokenizers` does. */
int detokenizer_new(struct detokenizer **d, const json_t *spec, struct err *err);
void detokenizer_free(struct detokenizer *d);
/* Appends to out what the tokens' strings, which are used up, decode to. */
int detokenize(const struct detokenizer *d, struct token_strings *tokens, struct buf *out,
               struct err *err);

#endif
