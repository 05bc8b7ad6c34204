/*
 * gemm_backend: what gemm.c and the backends share. Private to gemm*.c.
 *
 * gemm.c cuts each product into tiles; a backend computes one tile on one thread, with a scratch
 * buffer of its own. A tile's size depends on the shapes and the backend, never on threads.
 */
#ifndef COMPUTE_GEMM_BACKEND_H
#define COMPUTE_GEMM_BACKEND_H

#include "compute/gemm.h"

/* Makes room; ends the program if memory is out, since a product can't be left half done. */
float *gemm_scratch(struct gemm_scratch *s, size_t n);

/* Rows of x up to which each row of W is expanded and multiplied by itself, in float32 for every
 * backend: reading W is what costs. A row's result doesn't depend on how many rows there are. */
enum { GEMM_FEW = 16 };
void gemm_forward_few(struct gemm_scratch *s, const struct operand *x, size_t m0, size_t m,
                      const struct gemm_forward *job, size_t n0, size_t n1);

/* Puts the bias under a tile that products are added to. */
void gemm_start_tile(const struct gemm_forward *job, size_t m0, size_t m, size_t n0, size_t n1);

struct gemm_ops {
    bool bf16;
    size_t m_block; /* rows of x in a tile */
    size_t n_block; /* rows of W in a tile of forward, columns in a tile of backward */
    void (*forward_tile)(struct gemm_scratch *s, const struct operand *x, size_t m0, size_t m1,
                         const struct gemm_forward *job, size_t n0, size_t n1);
    void (*backward_tile)(struct gemm_scratch *s, float *dx, size_t ld, size_t m0, size_t m1,
                          bool add, const struct gemm_backward *jobs, size_t n_jobs, size_t k0,
                          size_t k1);
    /* c [r, wide] += thin^T v (grad a), or c [wide, r] += v^T thin, columns w0..w1 of v [m, wide].
     */
    void (*grad_tile)(struct gemm_scratch *s, const struct operand *v, size_t m, const float *thin,
                      size_t r, size_t w0, size_t w1, bool thin_first, float *c);
};

extern const struct gemm_ops gemm_fp32_ops, gemm_bf16_ops;

#endif
