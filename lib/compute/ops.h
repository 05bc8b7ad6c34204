/*
 * ops: the decoder's elementwise operations, forward and backward, a row at a time.
 */
#ifndef COMPUTE_OPS_H
#define COMPUTE_OPS_H

#include <stddef.h>

/*
 * RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467): y_i = w_i x_i r with r = 1/sqrt(mean(x^2) +
 * eps). x, w, y [n]. Returns r. y may be x.
 */
float rmsnorm_forward(float *y, const float *x, const float *w, size_t n, float eps);
/* dx_i += r w_i dy_i - x_i r^3/n sum_j(w_j dy_j x_j), from dr/dx_i = -x_i r^3/n. */
void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *w, size_t n,
                      float r);

/*
 * Rotary embedding (Su et al. 2021, arXiv:2104.09864) in the halves layout: the pair (x_i,
 * x_{i+n/2}) of a head of n turns by the angle whose cosine and sine are cos_[i], sin_[i]. The
 * gradient of a rotation is the rotation back.
 */
void rope_forward(float *x, size_t n_heads, size_t n, const float *cos_, const float *sin_);
void rope_backward(float *dx, size_t n_heads, size_t n, const float *cos_, const float *sin_);

/* SwiGLU (Shazeer 2020, arXiv:2002.05202): a = silu(g) u, silu(g) = g s(g), s the logistic
 * function. */
void swiglu_forward(float *a, const float *g, const float *u, size_t n);
/* du = da silu(g), dg = da u s(g) (1 + g (1 - s(g))). a is computed again on the way (a [n]). No
 * two of the arrays may overlap. */
void swiglu_backward(float *restrict dg, float *restrict du, float *restrict a,
                     const float *restrict da, const float *restrict g, const float *restrict u,
                     size_t n);

#endif
