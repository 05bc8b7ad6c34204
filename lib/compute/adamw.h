/*
 * adamw: Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm
 * 2), in float32 as torch.optim.AdamW computes it, and the clipping that goes before it.
 *
 * Every function is one pass in a fixed order, so results don't depend on threads. The passes are
 * bound by memory, not by arithmetic.
 */
#ifndef COMPUTE_ADAMW_H
#define COMPUTE_ADAMW_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct adamw {
    double beta1, beta2, eps, weight_decay;
    size_t n;
    float *m, *v;  /* [n] running means of the gradient and of its square; owned */
    uint64_t step; /* steps begun so far */
    double correction1, correction2; /* 1 - beta^step */
};

/* Moments of zero for n parameters. Fails when memory is out. */
int adamw_init(struct adamw *o, size_t n, double beta1, double beta2, double eps,
               double weight_decay, struct err *err);
void adamw_release(struct adamw *o);

/*
 * One update of p [n] with the gradient scale * g [n]:
 *     p -= lr*weight_decay*p;  m = b1*m + (1-b1)*g;  v = b2*v + (1-b2)*g*g
 *     p -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 */
void adamw_update(struct adamw *o, float *p, const float *g, double scale, double lr);

/* The same in parts: a step begins, then parameters [first, first + count) are updated, each once
 * or not at all. */
void adamw_begin(struct adamw *o);
void adamw_update_part(struct adamw *o, size_t first, size_t count, float *p, const float *g,
                       double scale, double lr);

/* sqrt of the sum of g[i]^2, summed in double. Infinite or NaN as soon as one of g is. */
double gradient_norm(const float *g, size_t n);

/* What to multiply gradients of that norm with, as torch.nn.utils.clip_grad_norm_ does:
 * min(1, most / (norm + 1e-6)); 1 when most is 0. */
double gradient_clip(double norm, double most);

#endif
