/*
 * normalize: what a tokenizer does to text before it cuts it up, by the steps that a
 * tokenizer.json names. Every step keeps track of where each byte came from.
 */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include <jansson.h>

#include "base/err.h"
#include "text/sp_normalize.h"
#include "text/text.h"
#include "text/unicode.h"

struct normalizer;
struct normalizer_scratch;

/* spec: the "normalizer" of tokenizer.json, null or NULL for none. `u` must outlive the result. */
int normalizer_new(struct normalizer **n, const json_t *spec, const struct unicode *u,
                   struct err *err);
/* SentencePiece's own, which takes over the rules. */
struct normalizer *normalizer_new_sp(struct sp_rules *rules, const struct unicode *u);
void normalizer_free(struct normalizer *n);
struct normalizer_scratch *normalizer_scratch_new(const struct normalizer *n);
void normalizer_scratch_free(struct normalizer_scratch *s);

/* Whether normalize never changes anything. */
bool normalizer_is_identity(const struct normalizer *n);
/* *out is *in where nothing changed, else a text valid until the next call. */
int normalize(const struct normalizer *n, struct normalizer_scratch *s, const struct text *in,
              struct text *out, struct err *err);

#endif
