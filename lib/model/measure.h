/*
 * measure: what the whole distribution at one place says: how sure the model is, whether its
 * likeliest token is the one that comes, and how far it is from another model's distribution.
 */
#ifndef MODEL_MEASURE_H
#define MODEL_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct measured_token {
    float logprob;    /* of the token that comes, natural logarithm */
    float confidence; /* p of the likeliest token, the first of several */
    bool right;       /* it is the one that comes */

    /* against the other distribution, where there is one */
    float divergence; /* KL(other || this), in nats */
    float delta;      /* p of the token that comes, less the other's */
    bool same_top;    /* the likeliest token is the other's */
};

/*
 * Logits [vocab] of this model, and of the other or NULL, which are overwritten; scratch [vocab].
 *
 *   KL(p || q) = sum over v of p_v (log p_v - log q_v), p the other's and q this one's.
 */
void measure_token(const float *logits, float *other, size_t vocab, uint32_t target, float *scratch,
                   struct measured_token *out);

/* log of the sum of exp(logits); scratch [vocab] becomes exp(logits - *max), *max their largest. */
double logits_log_sum(const float *logits, size_t vocab, float *scratch, float *max);

#endif
