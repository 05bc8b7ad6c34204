/*
 * vocabulary: whether the ids of a stream are this model's.
 *
 * A stream that was made with another tokenizer has ids that mean other words: nothing fails, and
 * the result is useless. So the hash in its header is compared with the model's own tokenizer.
 */
#ifndef MODEL_VOCABULARY_H
#define MODEL_VOCABULARY_H

#include <stddef.h>

#include "base/err.h"
#include "base/hash.h"
#include "formats/stream.h"
#include "text/tokenizer.h"

struct vocabulary {
    size_t size;              /* rows of the embedding: every id is below it */
    char tokenizer[HASH_HEX]; /* "": the model has no tokenizer, so only ids are checked */
};

/* path: the model, as tokenizer_load takes it. The tokenizer is left in *keep, for the caller to
 * free, NULL where there is none; keep may be NULL. */
int vocabulary_load(struct vocabulary *v, const char *path, size_t size, struct tokenizer **keep,
                    struct err *err);

/* A header that was made with another tokenizer, or for a larger vocabulary, is an error. */
int vocabulary_check(const struct vocabulary *v, const struct stream_header *h, struct err *err);

#endif
