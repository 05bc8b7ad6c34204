/* The float32 backend: OpenBLAS on one thread for each tile. */
#include "compute/gemm_backend.h"

#include <cblas.h>

#include "base/mem.h"

enum {
    PANEL_FLOATS = 1 << 19, /* an expanded panel of W should stay in the second-level cache */
    ROW_BLOCK = 256,        /* rows of x in a tile */
    COLUMN_BLOCK = 512,     /* columns of the result in a tile */
    THIN = 64,              /* a result of no more columns is cut into tiles of fewer rows */
    THIN_ROWS = 112,
    NARROW_ROWS = 32, /* no more rows are cut into narrower tiles */
    NARROW = 64,
};

/*
 * The pool runs the threads; OpenBLAS must not start its own. In a static program this comes before
 * OpenBLAS's own constructor, which does nothing the second time.
 */
__attribute__((weak)) void gotoblas_init(void);

__attribute__((constructor)) static void single_threaded_blas(void)
{
    if (gotoblas_init)
        gotoblas_init();
    openblas_set_num_threads(1);
}

void gemm_tile(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha,
               const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
               size_t ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha,
                a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void gemm_add_low_rank(const struct gemm_forward *job, size_t m0, size_t m, size_t n0, size_t n1)
{
    const struct gemm_low_rank *l = &job->lora;
    size_t ldy = job->w->rows;
    if (l->r)
        gemm_tile(false, true, m, n1 - n0, l->r, 1, l->h + m0 * l->r, l->r, l->b + n0 * l->r, l->r,
                  1, job->y + m0 * ldy + n0, ldy);
}

void gemm_start_tile(const struct gemm_forward *job, size_t m0, size_t m, size_t n0, size_t n1)
{
    for (size_t i = m0; i < m0 + m; i++) {
        float *row = job->y + i * job->w->rows;
        for (size_t n = n0; n < n1; n++)
            row[n] = (job->add ? row[n] : 0) + job->bias[n];
    }
}

static void forward_tile(struct gemm_scratch *s, const struct operand *x, size_t m0, size_t m1,
                         const struct gemm_forward *job, size_t n0, size_t n1)
{
    const struct matrix *w = job->w;
    size_t m = m1 - m0, k = w->cols, ldy = w->rows;
    const float *direct = matrix_direct(w), *xs = operand_f32(x, m0);
    size_t step = direct ? n1 - n0 : PANEL_FLOATS / k;
    step = step < 32 ? 32 : step;
    if (job->bias)
        gemm_start_tile(job, m0, m, n0, n1);
    for (size_t n = n0; n < n1; n += step) {
        size_t rows = n + step < n1 ? step : n1 - n;
        float *expanded = direct ? NULL : gemm_scratch(s, rows * k);
        if (!direct)
            matrix_floats(w, n, rows, 0, k, expanded, k);
        float beta = job->add || job->bias ? 1 : 0, *y = job->y + m0 * ldy + n;
        if (direct && w->transposed)
            gemm_tile(false, false, m, rows, k, 1, xs, k, direct + n, ldy, beta, y, ldy);
        else
            gemm_tile(false, true, m, rows, k, 1, xs, k, direct ? direct + n * k : expanded, k,
                      beta, y, ldy);
    }
    gemm_add_low_rank(job, m0, m, n0, n1);
}

static void backward_tile(struct gemm_scratch *s, float *dx, size_t ld, size_t m0, size_t m1,
                          bool add, const struct gemm_backward *jobs, size_t n_jobs, size_t k0,
                          size_t k1)
{
    size_t m = m1 - m0, k = k1 - k0;
    float beta = add ? 1 : 0;
    float *out = dx + m0 * ld + k0;
    for (size_t j = 0; j < n_jobs; j++) {
        const struct gemm_backward *job = &jobs[j];
        const struct matrix *w = job->w;
        const float *dy = operand_f32(job->dy, m0), *direct = matrix_direct(w);
        size_t step = direct ? w->rows : PANEL_FLOATS / k;
        for (size_t n = 0; n < w->rows; n += step) {
            size_t rows = n + step < w->rows ? step : w->rows - n;
            float *expanded = direct ? NULL : gemm_scratch(s, rows * k);
            if (!direct)
                matrix_floats(w, n, rows, k0, k, expanded, k);
            if (direct && w->transposed)
                gemm_tile(false, true, m, k, rows, 1, dy + n, w->rows, direct + k0 * w->rows + n,
                          w->rows, beta, out, ld);
            else
                gemm_tile(false, false, m, k, rows, 1, dy + n, w->rows,
                          direct ? direct + n * w->cols + k0 : expanded, direct ? w->cols : k, beta,
                          out, ld);
            beta = 1;
        }
        if (job->r)
            gemm_tile(false, false, m, k, job->r, 1, job->dh + m0 * job->r, job->r, job->a + k0, ld,
                      1, out, ld);
    }
}

struct tiles_run {
    struct gemm *g;
    size_t m;
    struct cut rows, columns;
    const struct operand *x;
    const struct gemm_forward *forward;
    const struct gemm_backward *backward;
    size_t n_backward, width;
    float *dx;
    bool add;
};

static struct cut cut_rows(size_t m, size_t columns)
{
    return cut_evenly(m, columns <= THIN ? THIN_ROWS : ROW_BLOCK, 1);
}

static void forward_task(void *arg, size_t i, size_t thread)
{
    const struct tiles_run *run = arg;
    size_t m0 = i % run->rows.n * run->rows.size, n0 = i / run->rows.n * run->columns.size;
    forward_tile(&run->g->scratch[thread], run->x, m0, size_min(m0 + run->rows.size, run->m),
                 run->forward, n0, size_min(n0 + run->columns.size, run->width));
}

static void forward(struct gemm *g, const struct operand *x, size_t m,
                    const struct gemm_forward *job)
{
    size_t n = job->w->rows;
    struct tiles_run run = {.g = g,
                            .m = m,
                            .rows = cut_rows(m, n),
                            .columns = cut_evenly(n, m <= NARROW_ROWS ? NARROW : COLUMN_BLOCK, 32),
                            .x = x,
                            .forward = job,
                            .width = n};
    pool_run(g->pool, run.rows.n * run.columns.n, forward_task, &run);
}

static void backward_task(void *arg, size_t i, size_t thread)
{
    const struct tiles_run *run = arg;
    size_t m0 = i % run->rows.n * run->rows.size, k0 = i / run->rows.n * run->columns.size;
    backward_tile(&run->g->scratch[thread], run->dx, run->width, m0,
                  size_min(m0 + run->rows.size, run->m), run->add, run->backward, run->n_backward,
                  k0, size_min(k0 + run->columns.size, run->width));
}

static void backward(struct gemm *g, float *dx, size_t m, bool add,
                     const struct gemm_backward *jobs, size_t n_jobs)
{
    size_t k = jobs[0].w->cols, unit = 32;
    for (size_t j = 0; j < n_jobs; j++)
        if (matrix_block(jobs[j].w) > unit)
            unit = matrix_block(jobs[j].w);
    struct tiles_run run = {.g = g,
                            .m = m,
                            .rows = cut_rows(m, k),
                            .columns = cut_evenly(k, COLUMN_BLOCK, unit),
                            .backward = jobs,
                            .n_backward = n_jobs,
                            .width = k,
                            .dx = dx,
                            .add = add};
    pool_run(g->pool, run.rows.n * run.columns.n, backward_task, &run);
}

static void grad_tile(struct gemm_scratch *s, const struct operand *v, size_t m, const float *thin,
                      size_t r, size_t w0, size_t w1, bool thin_first, float *c)
{
    (void)s;
    const float *wide = operand_f32(v, 0) + w0;
    if (thin_first)
        gemm_tile(true, false, r, w1 - w0, m, 1, thin, r, wide, v->cols, 1, c + w0, v->cols);
    else
        gemm_tile(true, false, w1 - w0, r, m, 1, wide, v->cols, thin, r, 1, c + w0 * r, r);
}

const struct gemm_ops gemm_fp32_ops = {
    .bf16 = false,
    .forward = forward,
    .backward = backward,
    .grad_tile = grad_tile,
};
