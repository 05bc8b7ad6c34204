/*
 * norm: RMSNorm and LayerNorm of a row, forward and backward.
 *
 * RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467): y_i = w_i x_i r, r = 1/sqrt(mean(x^2) + eps).
 * LayerNorm (Ba et al. 2016, arXiv:1607.06450): y_i = w_i (x_i - m) r + b_i, m = mean(x), r =
 * 1/sqrt(mean((x - m)^2) + eps). Backward needs x and r; m is cheap to have again.
 */
#ifndef COMPUTE_NORM_H
#define COMPUTE_NORM_H

#include <stdbool.h>
#include <stddef.h>

struct norm {
    float *w;     /* [n]; NULL: there is no norm here */
    float *b;     /* [n] or NULL */
    bool centred; /* LayerNorm */
    float eps;
};

/* y, x [n]. Returns r. y may be x. */
float norm_forward(const struct norm *norm, float *y, const float *x, size_t n);
/* The same y again from the r of the first time. */
void norm_again(const struct norm *norm, float *y, const float *x, size_t n, float r);
/* dx += (r (g - mean(g)) - r xh mean(g xh)) with g = w dy, xh = (x - m) r; RMSNorm has m = 0 and
 * no mean(g), since dr/dx_i = -x_i r^3/n and dm/dx_i = 1/n. */
void norm_backward(const struct norm *norm, float *dx, const float *dy, const float *x, size_t n,
                   float r);

#endif
