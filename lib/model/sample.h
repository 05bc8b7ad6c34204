/*
 * sample: the next token from a row of logits.
 *
 * The filters work in the order of transformers' generate(): repetition penalty, temperature,
 * top-k, top-p, min-p. The choice is a pure function of the logits, the context and one uniform
 * number, so it doesn't matter who else is being generated for at the same time.
 */
#ifndef MODEL_SAMPLE_H
#define MODEL_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct sampling {
    double temperature; /* logits are divided by it; 0 takes the likeliest token */
    size_t top_k;       /* only the k likeliest; 0: all */
    double top_p;       /* only the likeliest whose predecessors' probabilities sum to less
                           than p (Holtzman et al. 2020, arXiv:1904.09751); 1: all */
    double min_p;       /* only those at least min_p times as likely as the likeliest; 0: all */
    double repetition_penalty; /* logits of tokens in the context: divided by it if positive, else
                                  multiplied (Keskar et al. 2019, arXiv:1909.05858); 1: none */
};

/* Temperature 0 and no filter. */
void sampling_init(struct sampling *how);

struct sampler; /* work memory for rows of one vocabulary */
struct sampler *sampler_new(size_t vocab);
void sampler_free(struct sampler *s);

/*
 * Picks a token from logits [vocab]. context [n_context] is read for the penalty alone; ids outside
 * of the vocabulary in it are passed over. u is uniform in [0, 1). Of equally likely tokens the
 * lower id comes first. Logits that leave nothing to choose (a NaN, +infinity, all -infinity) are
 * an error.
 */
int sample_token(struct sampler *s, const struct sampling *how, const float *logits,
                 const uint32_t *context, size_t n_context, double u, uint32_t *token,
                 struct err *err);

/* log p of one token: the softmax of the logits [vocab] as they are, summed in double. */
double logits_logprob(const float *logits, size_t vocab, uint32_t token);

struct token_chance {
    uint32_t id;
    double logprob;
};

/* The n likeliest tokens [n], the likeliest first, of equal ones the lower id; n up to vocab. */
void logits_likeliest(const float *logits, size_t vocab, size_t n, struct token_chance *out);

#endif
