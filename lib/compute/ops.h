/*
 * ops: the decoder's elementwise operations, forward and backward, a row at a time.
 */
#ifndef COMPUTE_OPS_H
#define COMPUTE_OPS_H

#include <stddef.h>

/*
 * Rotary embedding (Su et al. 2021, arXiv:2104.09864) in the halves layout: of each head of n
 * numbers the first 2 half turn, the pair (x_i, x_{i+half}) by the angle whose cosine and sine are
 * cos_[i], sin_[i]. Both may carry a factor (yarn, longrope): backward is the transpose, so it is
 * in there too.
 */
void rope_forward(float *x, size_t n_heads, size_t n, size_t half, const float *cos_,
                  const float *sin_);
void rope_backward(float *dx, size_t n_heads, size_t n, size_t half, const float *cos_,
                   const float *sin_);

/* Soft cap (Gemma Team 2024, arXiv:2408.00118): x = cap tanh(x scale / cap), or x scale with cap 0.
 */
void softcap_forward(float *x, size_t n, float scale, float cap);
/* dx *= d capped / dx = scale (1 - (y / cap)^2), from y = capped. */
void softcap_backward(float *dx, const float *y, size_t n, float scale, float cap);

#endif
