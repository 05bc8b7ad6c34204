/*
 * respond: completions for a run of prompts, by one model or by several side by side.
 *
 * Prompts are asked for when there is a place to generate, so that a pipe need not end first;
 * responses are handed on in the order of the prompts.
 */
#ifndef MODEL_RESPOND_H
#define MODEL_RESPOND_H

#include <stddef.h>

#include "base/err.h"
#include "model/completion.h"
#include "model/decoder.h"
#include "model/generate.h"
#include "model/lora.h"
#include "text/prompt.h"

enum { RESPOND_MAX_SIDES = 2 };

/* What one model made of it. */
struct response_side {
    struct completion completion;
    enum finish finish;
    bool done;
};

struct response {
    const struct prompt *prompt;
    size_t sample; /* which completion of this prompt, from 0 */
    struct response_side sides[RESPOND_MAX_SIDES];
};

struct respond_options {
    struct decoder *decoder;
    struct lora *const *sides; /* [n_sides]: the adapter of each, NULL for the base alone */
    size_t n_sides;            /* 1 to RESPOND_MAX_SIDES */
    size_t samples;            /* completions of each prompt, 1 to 65536 */
    struct generate_options generate;
    struct completion_options text;

    /* The next prompt: 1, 0 at the end, -1. respond() releases it. */
    int (*next)(void *arg, struct prompt *p, struct err *err);
    /* A response that is complete: 0 or -1. */
    int (*put)(void *arg, const struct response *r, struct err *err);
    /* Called after every step with the number of tokens generated so far; may be NULL. A step's
     * responses have all been put. 0 or -1. */
    int (*step)(void *arg, uint64_t tokens, struct err *err);
    /* A token of a response that is not complete, for showing it as it comes; may be NULL. 0 to go
     * on, 1 to end that side of it here, -1. */
    int (*grown)(void *arg, const struct response *r, struct err *err);
    void *arg;
};

/* The random sequence of a sample follows from the seed, the prompt's number and the sample's. */
int respond(const struct respond_options *options, struct err *err);

#endif
