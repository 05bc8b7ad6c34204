#include "compute/gemm.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/gemm_backend.h"

/* Rows of x, and columns of a gradient, in a task. */
enum { FEW_ROWS = 32, GRAD_BLOCK = 192 };
/* Rows and columns in a tile of a whole matrix's gradient. */
enum { GRAD_ROWS = 128, GRAD_COLUMNS = 768 };

int gemm_new(struct gemm **out, enum backend backend, struct pool *pool, struct err *err)
{
    *out = NULL;
    if (backend == BACKEND_AUTO)
        backend = backend_available(BACKEND_BF16) ? BACKEND_BF16 : BACKEND_FP32;
    if (!backend_available(backend))
        return err_set(err, "backend %s: this CPU has no AVX512-BF16", backend_choices[backend]);
    struct gemm *g = xcalloc(1, sizeof *g);
    g->backend = backend;
    g->ops = backend == BACKEND_BF16 ? &gemm_bf16_ops : &gemm_fp32_ops;
    g->kernels = row_kernels();
    g->pool = pool;
    g->scratch = xcalloc(pool_threads(pool), sizeof *g->scratch);
    g->columns = xcalloc(pool_threads(pool), sizeof *g->columns);
    *out = g;
    return 0;
}

void gemm_free(struct gemm *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < pool_threads(g->pool); i++) {
        free(g->scratch[i].p);
        free(g->columns[i].p);
    }
    free(g->scratch);
    free(g->columns);
    free(g->shared.p);
    free(g);
}

struct pool *gemm_pool(const struct gemm *g)
{
    return g->pool;
}

bool gemm_wants_bf16(const struct gemm *g)
{
    return g->ops->bf16;
}

float *gemm_scratch(struct gemm_scratch *s, size_t n)
{
    if (n > s->n) {
        free(s->p);
        s->p = aligned_alloc(64, size_round_up(n * sizeof(float), 64));
        if (!s->p)
            xmalloc(SIZE_MAX); /* reports it and ends */
        s->n = n;
    }
    return s->p;
}

struct cut cut_evenly(size_t total, size_t most, size_t unit)
{
    struct cut c;
    c.n = (total + most - 1) / most;
    if (c.n == 0)
        c.n = 1;
    c.size = (total + c.n - 1) / c.n;
    c.size = size_round_up(c.size, unit);
    c.n = (total + c.size - 1) / c.size;
    return c;
}

void gemm_forward(struct gemm *g, const struct operand *x, size_t m,
                  const struct gemm_forward *jobs, size_t n_jobs)
{
    if (m && m <= GEMM_FEW)
        gemm_forward_few(g, x, m, jobs, n_jobs);
    for (size_t j = 0; m > GEMM_FEW && j < n_jobs; j++)
        g->ops->forward(g, x, m, &jobs[j]);
}

void gemm_backward(struct gemm *g, float *dx, size_t m, bool add, const struct gemm_backward *jobs,
                   size_t n_jobs)
{
    if (m)
        g->ops->backward(g, dx, m, add, jobs, n_jobs);
}

void gemm_down(struct gemm *g, const struct operand *x, size_t m, const float *a, size_t r,
               float scale, float *h)
{
    struct matrix w = matrix_of_floats(a, r, x->cols);
    struct gemm_forward job = {.w = &w, .y = h};
    gemm_forward(g, x, m, &job, 1);
    for (size_t i = 0; i < m * r; i++)
        h[i] *= scale;
}

void gemm_down_backward(struct gemm *g, const struct operand *dy, size_t m, const float *b,
                        size_t r, float scale, float *dh)
{
    struct matrix w = matrix_of_floats(b, dy->cols, r);
    struct gemm_backward job = {.w = &w, .dy = dy};
    gemm_backward(g, dh, m, false, &job, 1);
    for (size_t i = 0; i < m * r; i++)
        dh[i] *= scale;
}

struct up_run {
    const float *dh, *a;
    size_t m, r, k;
    float *out;
};

static void up_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct up_run *run = arg;
    size_t m0 = i * FEW_ROWS, m = size_min(FEW_ROWS, run->m - m0);
    gemm_tile(false, false, m, run->k, run->r, 1, run->dh + m0 * run->r, run->r, run->a, run->k, 1,
              run->out + m0 * run->k, run->k);
}

void gemm_up(struct gemm *g, const float *dh, size_t m, const float *a, size_t r, size_t k,
             float *out)
{
    struct up_run run = {dh, a, m, r, k, out};
    pool_run(g->pool, (m + FEW_ROWS - 1) / FEW_ROWS, up_task, &run);
}

struct grad_run {
    struct gemm *g;
    const struct operand *v;
    const float *thin;
    size_t m, r;
    bool thin_first;
    float *c;
    struct cut columns;
};

static void grad_task(void *arg, size_t i, size_t thread)
{
    const struct grad_run *run = arg;
    size_t w0 = i * run->columns.size;
    run->g->ops->grad_tile(&run->g->scratch[thread], run->v, run->m, run->thin, run->r, w0,
                           size_min(w0 + run->columns.size, run->v->cols), run->thin_first, run->c);
}

static void grad(struct gemm *g, const struct operand *v, size_t m, const float *thin, size_t r,
                 bool thin_first, float *c)
{
    struct grad_run run = {g, v, thin, m, r, thin_first, c, cut_evenly(v->cols, GRAD_BLOCK, 32)};
    if (m)
        pool_run(g->pool, run.columns.n, grad_task, &run);
}

void gemm_grad_a(struct gemm *g, const struct operand *x, size_t m, const float *dh, size_t r,
                 float *da)
{
    grad(g, x, m, dh, r, true, da);
}

void gemm_grad_b(struct gemm *g, const struct operand *dy, size_t m, const float *h, size_t r,
                 float *db)
{
    grad(g, dy, m, h, r, false, db);
}

struct grad_w_run {
    struct gemm *g;
    const struct operand *x, *dy;
    size_t m;
    float *dw;
    struct cut rows, columns;
};

/* Some rows of dw at a time are the gradient of a low-rank matrix: dy's columns are the thin part.
 */
static void grad_w_task(void *arg, size_t i, size_t thread)
{
    const struct grad_w_run *run = arg;
    const size_t k = run->x->cols;
    size_t n0 = i % run->rows.n * run->rows.size, w0 = i / run->rows.n * run->columns.size;
    size_t r = size_min(run->rows.size, run->dy->cols - n0);
    float *thin = gemm_scratch(&run->g->columns[thread], run->m * r);
    for (size_t t = 0; t < run->m; t++)
        operand_load(run->dy, t, n0, thin + t * r, r);
    run->g->ops->grad_tile(&run->g->scratch[thread], run->x, run->m, thin, r, w0,
                           size_min(w0 + run->columns.size, k), true, run->dw + n0 * k);
}

void gemm_grad_w(struct gemm *g, const struct operand *x, size_t m, const struct operand *dy,
                 float *dw)
{
    struct grad_w_run run = {
        g, x, dy, m, dw, cut_evenly(dy->cols, GRAD_ROWS, 1), cut_evenly(x->cols, GRAD_COLUMNS, 32)};
    if (m)
        pool_run(g->pool, run.rows.n * run.columns.n, grad_w_task, &run);
}
