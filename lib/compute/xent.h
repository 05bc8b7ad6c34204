/*
 * xent: the output matrix and the cross-entropy, in chunks, so that logits are never whole.
 */
#ifndef COMPUTE_XENT_H
#define COMPUTE_XENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/gemm.h"

struct xent; /* chunk buffers */

/* head [V, H] is the output matrix. */
int xent_new(struct xent **x, struct gemm *g, const struct matrix *head, struct err *err);
void xent_free(struct xent *x);

/*
 * hidden [P, H] (the last norm's output at the positions that predict), target [P].
 * logprob [P] = log p(target). With d_hidden [P, H] not NULL also the gradient of the sum of
 * -log p over all P: dh = (p - onehot(target)) W.
 */
void xent_run(struct xent *x, const struct operand *hidden, size_t p, const uint32_t *target,
              float *logprob, float *d_hidden);

#endif
