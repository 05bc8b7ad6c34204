/*
 * Products with few rows of x, as in generation: W is read once and multiplied as it comes.
 *
 * One row of x is multiplied with rows of W in their stored type (compute/row_product.h). For more
 * rows, some rows of W at a time become floats that stay in the first-level cache. A sum runs over
 * 16 lanes in a fixed order whatever the way, so a row's result doesn't depend on the others.
 */
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/gemm_backend.h"
#include "compute/row_product.h"
#include "compute/rows.h"

enum {
    STEP = ROW_TILE,        /* rows of W, and of x, that are multiplied at a time */
    TASK_NUMBERS = 1 << 14, /* of W in a task: some microseconds of work */
    TURNED_ROWS = 16,       /* rows of a transposed W that share its cache lines */
};

typedef float lanes __attribute__((vector_size(64), aligned(4)));

/* One row of w against four rows of x, each sum made as row_dot makes it. */
SIMD_CLONES static void dot4(const float *w, const float *x, size_t ldx, size_t n, float out[STEP])
{
    lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    const float *x1 = x + ldx, *x2 = x1 + ldx, *x3 = x2 + ldx;
    size_t k = 0;
    for (; k + SIMD_LANES <= n; k += SIMD_LANES) {
        lanes v = *(const lanes *)(w + k);
        s0 += v * *(const lanes *)(x + k);
        s1 += v * *(const lanes *)(x1 + k);
        s2 += v * *(const lanes *)(x2 + k);
        s3 += v * *(const lanes *)(x3 + k);
    }
    out[0] = simd_sum((const float *)&s0);
    out[1] = simd_sum((const float *)&s1);
    out[2] = simd_sum((const float *)&s2);
    out[3] = simd_sum((const float *)&s3);
    for (; k < n; k++) {
        out[0] += w[k] * x[k];
        out[1] += w[k] * x1[k];
        out[2] += w[k] * x2[k];
        out[3] += w[k] * x3[k];
    }
}

/* rows <= STEP rows of floats w against x [m, n]: sums[r][i] = w_r . x_i. */
static void multiply_floats(row_tile *fastest, const float *w, size_t rows, const float *x,
                            size_t m, size_t n, float sums[STEP][GEMM_FEW])
{
    row_tile *tile = rows == STEP ? fastest : NULL;
    float out[STEP][STEP];
    size_t i = 0;
    for (; i + STEP <= m; i += STEP) {
        if (tile)
            tile(w, n, x + i * n, n, n, out);
        for (size_t r = 0; r < rows; r++)
            if (tile)
                memcpy(&sums[r][i], out[r], sizeof out[r]);
            else
                dot4(w + r * n, x + i * n, n, n, &sums[r][i]);
    }
    for (; i < m; i++)
        for (size_t r = 0; r < rows; r++)
            sums[r][i] = row_dot(w + r * n, x + i * n, n);
}

/* Rows n0..n1 of W as they are stored against one row of x. */
static void multiply_stored(row_product *product, const float *x, const struct gemm_forward *job,
                            size_t n0, size_t n1)
{
    const struct matrix *w = job->w;
    for (size_t n = n0; n < n1; n++) {
        float sum = product(w->data + matrix_stored_row(n, w->order) * w->row_bytes, x, w->cols);
        job->y[n] = (job->add ? job->y[n] : 0) + (job->bias ? job->bias[n] : 0) + sum;
    }
}

/* Rows n.. of W as floats. */
static void expand_rows(const struct row_kernels *kernels, const struct matrix *w, size_t n,
                        size_t rows, float *out)
{
    row_expand *expand = w->transposed || w->nf4 ? NULL : kernels->expand[w->dtype];
    for (size_t r = 0; expand && r < rows; r++)
        expand(w->data + matrix_stored_row(n + r, w->order) * w->row_bytes, out + r * w->cols,
               w->cols);
    if (!expand)
        matrix_floats(w, n, rows, 0, w->cols, out, w->cols);
}

/* The same by way of floats, against m rows of x. n0 is a multiple of STEP and TURNED_ROWS. */
static void multiply_expanded(const struct gemm *g, size_t thread, const float *x, size_t m,
                              const struct gemm_forward *job, size_t n0, size_t n1)
{
    const struct matrix *w = job->w;
    size_t held = w->transposed ? TURNED_ROWS : STEP; /* rows that are floats at a time */
    float *floats = gemm_scratch(&g->scratch[thread], held * w->cols), sums[STEP][GEMM_FEW];
    for (size_t n = n0; n < n1; n += STEP) {
        size_t rows = size_min(STEP, n1 - n), at = (n - n0) % held;
        if (!at)
            expand_rows(g->kernels, w, n, size_min(held, n1 - n), floats);
        multiply_floats(g->kernels->tile, floats + at * w->cols, rows, x, m, w->cols, sums);
        for (size_t i = 0; i < m; i++)
            for (size_t r = 0; r < rows; r++) {
                float *to = &job->y[i * w->rows + n + r];
                *to = (job->add ? *to : 0) + (job->bias ? job->bias[n + r] : 0) + sums[r][i];
            }
    }
}

static void multiply_rows(const struct gemm *g, size_t thread, const float *x, size_t m,
                          const struct gemm_forward *job, size_t n0, size_t n1)
{
    const struct matrix *w = job->w;
    row_product *product = w->transposed || w->nf4 ? NULL : g->kernels->product[w->dtype];
    if (m == 1 && product)
        multiply_stored(product, x, job, n0, n1);
    else
        multiply_expanded(g, thread, x, m, job, n0, n1);
    gemm_add_low_rank(job, 0, m, n0, n1);
}

struct few_run {
    struct gemm *g;
    const float *x; /* [m, K] */
    size_t m;
    const struct gemm_forward *jobs;
};

static size_t task_rows(const struct gemm_forward *job)
{
    size_t rows = TASK_NUMBERS / size_max(job->w->cols, 1);
    return size_round_up(size_max(rows, 1), job->w->transposed ? TURNED_ROWS : STEP);
}

static size_t count_tasks(const struct gemm_forward *job)
{
    return (job->w->rows + task_rows(job) - 1) / task_rows(job);
}

static void few_task(void *arg, size_t i, size_t thread)
{
    const struct few_run *run = arg;
    const struct gemm_forward *job = run->jobs;
    for (; i >= count_tasks(job); job++)
        i -= count_tasks(job);
    size_t rows = task_rows(job);
    multiply_rows(run->g, thread, run->x, run->m, job, i * rows,
                  size_min((i + 1) * rows, job->w->rows));
}

void gemm_forward_few(struct gemm *g, const struct operand *x, size_t m,
                      const struct gemm_forward *jobs, size_t n_jobs)
{
    struct few_run run = {.g = g, .m = m, .jobs = jobs};
    size_t tasks = 0;
    if (x->bf16) {
        float *widened = gemm_scratch(&g->shared, m * x->cols);
        bf16_to_floats(operand_bf16(x, 0), widened, m * x->cols);
        run.x = widened;
    } else {
        run.x = operand_f32(x, 0);
    }
    for (size_t j = 0; j < n_jobs; j++)
        tasks += count_tasks(&jobs[j]);
    pool_run(g->pool, tasks, few_task, &run);
}
