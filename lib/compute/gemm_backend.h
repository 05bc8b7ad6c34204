/*
 * gemm_backend: what gemm.c and the backends share. Private to gemm*.c.
 *
 * A backend cuts its products into tasks of the pool. How it cuts depends on the shapes alone, and
 * each thread has scratch memory of its own.
 */
#ifndef COMPUTE_GEMM_BACKEND_H
#define COMPUTE_GEMM_BACKEND_H

#include "compute/gemm.h"
#include "compute/row_product.h"

struct gemm_ops;

struct gemm_scratch {
    float *p; /* aligned to 64; freed by the owner */
    size_t n; /* floats */
};

struct gemm {
    enum backend backend;
    const struct gemm_ops *ops;
    const struct row_kernels *kernels; /* for few rows */
    struct pool *pool;
    struct gemm_scratch *scratch; /* one for each thread */
    struct gemm_scratch *columns; /* the same, for gemm_grad_w */
    struct gemm_scratch shared;   /* what all threads read during a product */
};

/* Makes room; ends the program if memory is out, since a product can't be left half done. */
float *gemm_scratch(struct gemm_scratch *s, size_t n);

/* total in equal parts of at most `most`, each a multiple of `unit` but the last. */
struct cut {
    size_t n, size;
};
struct cut cut_evenly(size_t total, size_t most, size_t unit);

/* Rows of x up to which rows of W are multiplied as they are read, in float32 for every backend:
 * reading W is what costs. A row's result doesn't depend on how many rows there are. */
enum { GEMM_FEW = 16 };
void gemm_forward_few(struct gemm *g, const struct operand *x, size_t m,
                      const struct gemm_forward *jobs, size_t n_jobs);

/* Adds the low-rank part to columns n0..n1 of rows m0..m0 + m. */
void gemm_add_low_rank(const struct gemm_forward *job, size_t m0, size_t m, size_t n0, size_t n1);

/* Puts the bias under columns n0..n1 of m rows that products are added to. */
void gemm_start_tile(const struct gemm_forward *job, size_t m0, size_t m, size_t n0, size_t n1);

struct gemm_ops {
    bool bf16;
    /* One job for more than GEMM_FEW rows. */
    void (*forward)(struct gemm *g, const struct operand *x, size_t m,
                    const struct gemm_forward *job);
    void (*backward)(struct gemm *g, float *dx, size_t m, bool add,
                     const struct gemm_backward *jobs, size_t n_jobs);
    /* c [r, wide] += thin^T v (grad a), or c [wide, r] += v^T thin, columns w0..w1 of v [m, wide].
     */
    void (*grad_tile)(struct gemm_scratch *s, const struct operand *v, size_t m, const float *thin,
                      size_t r, size_t w0, size_t w1, bool thin_first, float *c);
};

extern const struct gemm_ops gemm_fp32_ops, gemm_bf16_ops;

#endif
