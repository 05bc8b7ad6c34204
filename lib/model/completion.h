/*
 * completion: the tokens of one completion becoming text as they come.
 *
 * A token can hold part of a character, and decoders treat the first token of a text in their own
 * way. So tokens are decoded behind those before them, the last of the prompt included, and text
 * comes out when its characters are whole: all of it together is the decoding of all tokens.
 */
#ifndef MODEL_COMPLETION_H
#define MODEL_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/sample.h"
#include "text/tokenizer.h"

struct completion_options {
    const struct tokenizer *tokenizer; /* NULL: ids alone */
    bool keep_special;                 /* special tokens show in the text */
    const char *const *stops; /* [n_stops] strings that end the completion; not part of it */
    size_t n_stops;
    size_t n_top; /* likeliest tokens that are kept at each place */
};

struct completion {
    const struct completion_options *options;
    uint32_t *window; /* some of the prompt's last tokens, then the completion's */
    size_t n_window, window_cap, n_context;
    size_t from, to;  /* window[from..to) is decoded into text or context already */
    double *logprobs; /* [completion_count] */
    size_t logprobs_cap;
    struct token_chance *top; /* [completion_count, options.n_top] */
    size_t top_cap;
    struct buf text;
    bool stopped; /* a stop string was found, and the text cut there */
};

/* options must outlive the completion; of the prompt [n] a few ids are copied. */
void completion_init(struct completion *c, const struct completion_options *options,
                     const uint32_t *prompt, size_t n);
void completion_release(struct completion *c);

/* top [options.n_top] may be NULL if that is 0. 1 when a stop string ends it, else 0; -1 on
 * failure. */
int completion_add(struct completion *c, uint32_t id, double logprob,
                   const struct token_chance *top, struct err *err);
/* Decodes what is left, an unfinished character included. */
int completion_end(struct completion *c, struct err *err);

/* The likeliest tokens at place i, [options.n_top]. */
const struct token_chance *completion_top(const struct completion *c, size_t i);
size_t completion_count(const struct completion *c);
const uint32_t *completion_ids(const struct completion *c);
/* How much of the text stays whatever comes: not the beginning of a stop string. */
size_t completion_settled(const struct completion *c);

#endif
