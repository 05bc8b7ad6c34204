/*
 * generate: completions of many prompts at once.
 *
 * Sequences are decoded together, one token each a step; one that ends gives its place to the next
 * prompt, so that the machine stays busy whatever their lengths. Each has its own random sequence,
 * and its prompt is cut into the same chunks whatever runs beside it: what it is decoded with
 * changes nothing but, perhaps, the rounding of the matrix products.
 */
#ifndef MODEL_GENERATE_H
#define MODEL_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/decoder.h"
#include "model/sample.h"

enum finish {
    FINISH_STOP,    /* an end token, or the receiver said so */
    FINISH_LENGTH,  /* max_tokens */
    FINISH_CONTEXT, /* the model has no more positions */
};

/* A token that was chosen; chances are of the model's own distribution, before any filter. */
struct generated_token {
    uint32_t id;
    double logprob;                 /* NaN unless asked for */
    const struct token_chance *top; /* [options.n_top] the likeliest at its place */
};

/* Who gets the tokens of one prompt, in order. */
struct generate_receiver {
    /* A token, not an end token. 0 to go on, 1 to stop here, -1 to fail. */
    int (*token)(void *arg, const struct generated_token *token, struct err *err);
    int (*done)(void *arg, enum finish finish, struct err *err); /* 0 or -1 */
    void *arg;
};

struct generate_options {
    struct sampling sampling;
    uint64_t seed;
    size_t max_tokens;       /* of a completion, at least 1 */
    size_t slots;            /* sequences decoded together, at least 1 */
    const uint32_t *end_ids; /* [n_end_ids] end a completion and are no part of it */
    size_t n_end_ids;
    bool logprobs;
    size_t n_top; /* of the likeliest tokens, how many are handed out too; up to the vocabulary */
    bool reuse;   /* what a prompt shares with the one before it in its slot isn't computed again;
                     the rounding then depends on which that was */
};

struct generator;

/* Decoder, adapter (NULL: none) and end_ids must outlive the generator. */
struct generator *generator_new(struct decoder *d, const struct lora *lora,
                                const struct generate_options *options);
void generator_free(struct generator *g); /* NULL is allowed; prompts that run end without a word */

/*
 * Queues a prompt; ids [n] are copied. `stream` numbers its random sequence. A prompt without
 * tokens, with ids outside of the vocabulary, or that leaves no position to generate is an error.
 */
int generator_submit(struct generator *g, const uint32_t *ids, size_t n, uint64_t stream,
                     const struct generate_receiver *receiver, struct err *err);

size_t generator_waiting(const struct generator *g); /* prompts that have no slot yet */
size_t generator_running(const struct generator *g); /* prompts that have one */

/* Runs the decoder once over every running sequence and hands out the tokens that this gives. */
int generator_step(struct generator *g, struct err *err);

#endif
