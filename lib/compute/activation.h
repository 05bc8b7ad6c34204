/*
 * activation: the function inside an MLP, gated or plain, forward and backward over a row.
 *
 * Gated: a = f(g) u (Shazeer 2020, arXiv:2002.05202); plain: a = f(u).
 */
#ifndef COMPUTE_ACTIVATION_H
#define COMPUTE_ACTIVATION_H

#include <stddef.h>

enum activation {
    ACTIVATION_SILU,      /* x s(x), s the logistic function */
    ACTIVATION_GELU,      /* x Phi(x), Phi the normal distribution (arXiv:1606.08415) */
    ACTIVATION_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    ACTIVATION_RELU,
    ACTIVATION_COUNT,
};

/* a = f(g) u; with g NULL a = f(u). All [n]; a may be g or u. */
void activation_forward(enum activation f, float *a, const float *g, const float *u, size_t n);

/*
 * From da: du = da f(g), dg = da u f'(g); with g NULL du = da f'(u) and dg isn't touched. a is
 * computed again on the way. No two of the arrays may overlap.
 */
void activation_backward(enum activation f, float *restrict dg, float *restrict du,
                         float *restrict a, const float *restrict da, const float *restrict g,
                         const float *restrict u, size_t n);

#endif
