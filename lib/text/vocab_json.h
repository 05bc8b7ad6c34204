/*
 * vocab_json: a tokenizer.json, its two long lists read in one pass, the rest of it by Jansson.
 *
 * model.vocab and model.merges are nearly all of a file of ten megabytes, and reading them decides
 * how soon a program starts. They are flat lists of strings and numbers, so a reader of their own
 * is short; everything else is handed to the JSON library with null in their place.
 */
#ifndef TEXT_VOCAB_JSON_H
#define TEXT_VOCAB_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/vocab.h"

struct vocab_json {
    json_t *rest; /* the file without the lists */
    struct buf rest_text;
    struct vocab vocab;
    double *scores; /* [vocab.n] where vocab is a list of [token, score] in order of id */
    size_t scores_cap;
    uint32_t (*merges)[2]; /* left and right */
    size_t n_merges, merges_cap;
    bool has_vocab, has_merges, has_scores;
};

/* Errors give the line. Scores are the numbers that `tokenizers` reads, which may differ in the
 * last bit from the nearest ones: near ties are decided by it. */
int vocab_json_read(struct vocab_json *v, const char *text, size_t len, struct err *err);
void vocab_json_release(struct vocab_json *v);

#endif
