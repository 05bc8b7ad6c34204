/*
 * pretokenize: cuts normalised text into the words that a model sees, by the steps that a
 * tokenizer.json names.
 *
 * A step either splits every piece that it gets, or rewrites it (Metaspace, ByteLevel's prefix
 * space). Words come in batches, so that memory doesn't grow with the text where the first step is
 * a plain split.
 */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/cuts.h"
#include "text/scan.h"
#include "text/text.h"

struct pretokenizer;
struct pretokenizer_scratch;

/*
 * spec: the "pre_tokenizer" of tokenizer.json, null or NULL for none. byte_model: the model takes
 * bytes, so that a final ByteLevel need not spell them as characters. `u` must outlive the result.
 */
int pretokenizer_new(struct pretokenizer **p, const json_t *spec, bool byte_model,
                     const struct unicode *u, struct err *err);
void pretokenizer_free(struct pretokenizer *p);
/* Whether spec ends in a ByteLevel step, so that a model of byte-level strings may take bytes. */
bool pretokenizer_ends_in_bytes(const json_t *spec);

/* Adds a last step that cuts wherever it may. `c` must outlive the pretokenizer. */
int pretokenizer_add_cuts(struct pretokenizer *p, const struct cuts *c, struct err *err);

struct pretokenizer_scratch *pretokenizer_scratch_new(const struct pretokenizer *p);
void pretokenizer_scratch_free(struct pretokenizer_scratch *s);

void pretokenize_start(struct pretokenizer_scratch *s, const struct text *t);
/* The next words: pieces of *t, which is the text that was given or a rewritten one, valid until
 * the next call. 1, 0 at the end, -1 if a pattern asks for too much. */
int pretokenize_next(const struct pretokenizer *p, struct pretokenizer_scratch *s, struct text *t,
                     const struct piece **pieces, size_t *n, struct err *err);

#endif
