/*
 * xent: the output matrix and the cross-entropy, in chunks, so that logits are never whole.
 */
#ifndef COMPUTE_XENT_H
#define COMPUTE_XENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/gemm.h"

struct xent; /* chunk buffers */

/* head [V, H] is the output matrix; logits are cap tanh(scale / cap * x head^T), with cap 0 they
 * are scale * x head^T. */
int xent_new(struct xent **x, struct gemm *g, const struct matrix *head, float scale, float cap,
             struct err *err);
/* Bytes that xent_new takes for a vocabulary; capped: with a cap. */
size_t xent_bytes(const struct gemm *g, size_t vocab, bool capped);
void xent_free(struct xent *x);
/* From here on xent_run adds the gradient of the output matrix to d_head [V, H] where it computes
 * gradients; NULL: the matrix isn't trained. */
void xent_train_head(struct xent *x, float *d_head);

/*
 * What is predicted at P positions, and what comes of it. The loss of a row is
 *   weight * ((1 - smoothing) * -log p(target) + smoothing * mean over v of -log p(v)),
 * label smoothing as in Szegedy et al. 2016 (arXiv:1512.00567, section 7), with the uniform
 * distribution over all V tokens.
 */
struct xent_rows {
    const uint32_t *target; /* [P] */
    const float *weight;    /* [P]; NULL: all 1. Of the gradient; the log-probabilities have none */
    float smoothing;        /* 0: none */
    float *logprob;         /* [P] out: log p(target) */
    float *mean_logprob;    /* [P] out: mean over v of log p(v); NULL: not wanted */
    float *d_hidden; /* [P, H] out: gradient of the sum of the rows' losses; NULL: not wanted */
};

/* hidden [P, H]: the last norm's output at the positions that predict. d_hidden = d_logits W with
 * d_logits = weight * (p - (1 - smoothing) * onehot(target) - smoothing / V). */
void xent_run(struct xent *x, const struct operand *hidden, size_t p, const struct xent_rows *rows);

#endif
