/*
 * gemm: every matrix product of the decoder, behind one interface for all backends.
 *
 * A weight matrix W [N, K] stays in its file's type; panels of it are expanded into a scratch
 * buffer inside the loops, once for each block of rows of x, so a quantised base is computed with
 * as it is. Work is cut into tiles that depend on the shapes alone; the result is the same for any
 * number of threads. This and gemm_*.c are the only users of OpenBLAS.
 */
#ifndef COMPUTE_GEMM_H
#define COMPUTE_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "compute/backend.h"
#include "compute/matrix.h"
#include "compute/operand.h"

struct gemm; /* a backend with its threads and scratch memory */

int gemm_new(struct gemm **g, enum backend backend, struct pool *pool, struct err *err);
void gemm_free(struct gemm *g);
struct pool *gemm_pool(const struct gemm *g);
bool gemm_wants_bf16(const struct gemm *g); /* the type its operands have */

/* The low-rank part of a linear layer: + h B^T, with h [M, r] = scale * x A^T. */
struct gemm_low_rank {
    const float *b; /* [N, r] */
    const float *h; /* [M, r] */
    size_t r;       /* 0: none */
};

/* One of the products that share an input. */
struct gemm_forward {
    const struct matrix *w; /* [N, K] */
    const float *bias;      /* [N] or NULL */
    struct gemm_low_rank lora;
    float *y; /* [M, N] */
    bool add; /* y += instead of y = */
};

/* y_j = x W_j^T + bias_j + h_j B_j^T for x [M, K] and each job j. M may be 0, here and below. */
void gemm_forward(struct gemm *g, const struct operand *x, size_t m,
                  const struct gemm_forward *jobs, size_t n_jobs);

/* One of the products that add up to the gradient of a shared input. */
struct gemm_backward {
    const struct matrix *w;   /* [N, K] */
    const struct operand *dy; /* [M, N] */
    const float *a;           /* [r, K]; NULL: no low-rank part */
    const float *dh;          /* [M, r]: gradient of x A^T */
    size_t r;
};

/* dx [M, K] = (or +=) sum over jobs of dy_j W_j + dh_j A_j. */
void gemm_backward(struct gemm *g, float *dx, size_t m, bool add, const struct gemm_backward *jobs,
                   size_t n_jobs);

/* h [M, r] = scale * x A^T, A [r, K]. */
void gemm_down(struct gemm *g, const struct operand *x, size_t m, const float *a, size_t r,
               float scale, float *h);
/* dh [M, r] = scale * dy B, B [N, r]. */
void gemm_down_backward(struct gemm *g, const struct operand *dy, size_t m, const float *b,
                        size_t r, float scale, float *dh);

/* out [M, K] += dh A, A [r, K]: where the low-rank part can't join gemm_backward. */
void gemm_up(struct gemm *g, const float *dh, size_t m, const float *a, size_t r, size_t k,
             float *out);

/* Gradients of the low-rank matrices, added: da [r, K] += dh^T x; db [N, r] += dy^T h. */
void gemm_grad_a(struct gemm *g, const struct operand *x, size_t m, const float *dh, size_t r,
                 float *da);
void gemm_grad_b(struct gemm *g, const struct operand *dy, size_t m, const float *h, size_t r,
                 float *db);

/* Gradient of a matrix that is trained itself, added: dw [N, K] += dy^T x, float32. */
void gemm_grad_w(struct gemm *g, const struct operand *x, size_t m, const struct operand *dy,
                 float *dw);

/*
 * A product on the calling thread, for tiles of attention: c [m, n] = alpha * op(a) op(b) + beta *
 * c, row-major float32; op transposes where asked. beta is 0 or 1.
 */
void gemm_tile(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
               const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
               size_t ldc);

#endif
