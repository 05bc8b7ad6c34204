/*
 * DoRA: weight-decomposed adapters (Liu et al. 2024, arXiv:2402.09353).
 *
 * Row i of the matrix is m_i V_i / n_i with V = W + scale B A and n_i = |V_i|, which section 4.3
 * takes for a constant on the way back. With u = x V^T, which is the plain product with its
 * low-rank part, y = (m/n) u + bias, dm = sum over rows of dy u / n, and the rest of the way back
 * is LoRA's with (m/n) dy in place of dy.
 *
 * V is never made: |V_i|^2 = |W_i|^2 + 2 scale <W_i, B_i A> + scale^2 |B_i A|^2, where
 * <W_i, B_i A> = B_i . (A W^T)_i and |B_i A|^2 = B_i (A A^T) B_i^T. |W_i|^2 is computed once, the
 * rest when the parameters have changed: the cost of r more rows of input.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/rows.h"
#include "model/decoder_internal.h"

/* ---- gains ---- */

struct gains_run {
    const struct matrix *w;
    const struct lora_pair *pair;
    float **thread_rows; /* [threads][K] */
    const float *wa;     /* [r, out]: A W^T */
    const float *aa;     /* [r, r]: A A^T */
};

enum { GAIN_ROWS = 64 };

static void square_task(void *arg, size_t i, size_t thread)
{
    const struct gains_run *run = arg;
    const struct matrix *w = run->w;
    float *row = run->thread_rows[thread];
    for (size_t n = i * GAIN_ROWS; n < size_min((i + 1) * GAIN_ROWS, w->rows); n++) {
        matrix_floats(w, n, 1, 0, w->cols, row, w->cols);
        double sum = 0;
        for (size_t k = 0; k < w->cols; k++)
            sum += (double)row[k] * (double)row[k];
        run->pair->square[n] = sum;
    }
}

static void gain_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct gains_run *run = arg;
    const struct lora_pair *p = run->pair;
    const double scale = (double)p->scale;
    for (size_t n = i * GAIN_ROWS; n < size_min((i + 1) * GAIN_ROWS, p->out); n++) {
        const float *b = p->b + n * p->r;
        double along = 0, across = 0;
        for (size_t k = 0; k < p->r; k++) {
            along += (double)b[k] * (double)run->wa[k * p->out + n];
            across += (double)b[k] * (double)row_dot(run->aa + k * p->r, b, p->r);
        }
        double square = p->square[n] + 2 * scale * along + scale * scale * across;
        double norm = sqrt(square > (double)FLT_MIN ? square : (double)FLT_MIN);
        p->inverse[n] = (float)(1 / norm);
        p->gain[n] = (float)((double)p->magnitude[n] / norm);
    }
}

static int refresh_pair(struct decoder *d, const struct lora_pair *p, bool first, struct err *err)
{
    struct gains_run run = {.w = &d->layers[p->layer].w[p->slot], .pair = p};
    const size_t blocks = (p->out + GAIN_ROWS - 1) / GAIN_ROWS, threads = pool_threads(d->pool);
    struct operand a;
    float *wa = mem_array(p->r * p->out, sizeof *wa, "row norms", err);
    float *aa = xcalloc(p->r * p->r, sizeof *aa);
    int status = wa ? operand_new(&a, p->r, p->in, gemm_wants_bf16(d->gemm), "row norms", err) : -1;
    if (!status) {
        struct gemm_forward job = {.w = run.w, .y = wa};
        for (size_t i = 0; i < p->r; i++) {
            operand_store(&a, i, 0, p->a + i * p->in, p->in);
            for (size_t k = 0; k < p->r; k++)
                aa[i * p->r + k] = row_dot(p->a + i * p->in, p->a + k * p->in, p->in);
        }
        gemm_forward(d->gemm, &a, p->r, &job, 1);
        free(a.p);
        run.wa = wa;
        run.aa = aa;
        run.thread_rows = xcalloc(threads, sizeof *run.thread_rows);
        for (size_t i = 0; i < threads; i++)
            run.thread_rows[i] = xcalloc(p->in, sizeof(float));
        if (first)
            pool_run(d->pool, blocks, square_task, &run);
        pool_run(d->pool, blocks, gain_task, &run);
        for (size_t i = 0; i < threads; i++)
            free(run.thread_rows[i]);
        free(run.thread_rows);
    }
    free(aa);
    free(wa);
    return status;
}

int decoder_refresh_gains(struct decoder *d, const struct lora *l, struct err *err)
{
    if (!l || !l->dora || l->gains_version == l->version)
        return 0;
    for (size_t i = 0; i < l->n_pairs; i++)
        if (refresh_pair(d, &l->pairs[i], !l->gains_version, err))
            return -1;
    /* Gains are no part of what the adapter is: a cache that its reader keeps. */
    ((struct lora *)(uintptr_t)l)->gains_version = l->version;
    return 0;
}

int decoder_init_magnitudes(struct decoder *d, struct lora *l, struct err *err)
{
    if (!l->dora)
        return 0;
    decoder_wear(d, l);
    if (decoder_refresh_gains(d, l, err))
        return -1;
    for (size_t i = 0; i < l->n_pairs; i++)
        for (size_t n = 0; n < l->pairs[i].out; n++)
            l->pairs[i].magnitude[n] = 1 / l->pairs[i].inverse[n];
    lora_changed(l);
    return 0;
}

/* ---- forward ---- */

struct gain_run {
    struct pass *p;
    const struct lora_pair *pair;
    const float *u, *bias;
    float *y;
    bool add;
    const struct operand *keep;
};

static void gain_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct gain_run *run = arg;
    size_t n = run->pair->out;
    const float *gain = run->pair->gain;
    for (size_t i = r0; i < r1; i++) {
        const float *u = run->u + i * n;
        float *y = run->y + i * n;
        if (run->keep->p)
            operand_store(run->keep, i, 0, u, n);
        for (size_t k = 0; k < n; k++)
            y[k] = (run->add ? y[k] : 0) + (run->bias ? run->bias[k] : 0) + gain[k] * u[k];
    }
}

/* out = a - b, rows of n. */
struct difference_run {
    const struct operand *a, *b;
    struct operand out;
};

static void difference_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct difference_run *run = arg;
    size_t n = run->out.cols;
    for (size_t i = r0; i < r1; i++) {
        operand_load(run->a, i, 0, tmp, n);
        operand_load(run->b, i, 0, tmp + n, n);
        row_add(tmp, tmp + n, n, -1);
        operand_store(&run->out, i, 0, tmp, n);
    }
}

static struct operand difference(struct pass *p, const struct operand *a, const struct operand *b)
{
    struct difference_run run = {a, b, p->d->ws.rest};
    run.out.cols = a->cols;
    decoder_rows(p->d, p->batch->n, difference_rows, &run);
    return run.out;
}

/* With dropout, which PEFT applies to the base's part of the change too, y = W (x - low) + bias +
 * gain * (W + scale B A) low. */
void dora_forward(struct pass *p, const struct linear_group *group, const struct operand *x,
                  const struct operand *low, const struct gemm_forward *jobs)
{
    struct gemm_forward plain[3], products[3], rests[3];
    size_t n_plain = 0, n_products = 0, m = p->batch->n;
    const bool dropping = low->p != x->p;
    for (size_t j = 0; j < group->n; j++) {
        if (!jobs[j].lora.r) {
            plain[n_plain++] = jobs[j];
            continue;
        }
        rests[n_products] = jobs[j];
        rests[n_products].lora.r = 0;
        products[n_products++] =
            (struct gemm_forward){.w = jobs[j].w, .lora = jobs[j].lora, .y = p->d->ws.product[j]};
    }
    if (n_plain)
        gemm_forward(p->d->gemm, x, m, plain, n_plain);
    gemm_forward(p->d->gemm, low, m, products, n_products);
    if (dropping) {
        struct operand rest = difference(p, x, low);
        gemm_forward(p->d->gemm, &rest, m, rests, n_products);
    }
    for (size_t j = 0; j < group->n; j++) {
        struct gain_run run = {.p = p,
                               .pair = lora_find(p->lora, p->layer, group->slots[j]),
                               .u = p->d->ws.product[j],
                               .bias = dropping ? NULL : jobs[j].bias,
                               .y = jobs[j].y,
                               .add = dropping || jobs[j].add,
                               .keep = &pass_activations(p)->u[group->slots[j]]};
        if (run.pair)
            decoder_rows(p->d, m, gain_rows, &run);
    }
}

/* ---- backward ---- */

enum { COLUMNS = 64 };

struct magnitude_run {
    struct pass *p;
    const struct lora_pair *pair;
    const struct operand *dy, *u;
    struct operand *scaled;
};

/* Some columns: dm += sum of dy u / n, in the order of the rows; scaled = gain dy. */
static void magnitude_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct magnitude_run *run = arg;
    const struct lora_pair *pair = run->pair;
    size_t c0 = i * COLUMNS, c = size_min(COLUMNS, pair->out - c0);
    float dy[COLUMNS], u[COLUMNS];
    double sum[COLUMNS] = {0};
    for (size_t t = 0; t < run->p->batch->n; t++) {
        operand_load(run->dy, t, c0, dy, c);
        operand_load(run->u, t, c0, u, c);
        for (size_t k = 0; k < c; k++) {
            sum[k] += (double)(dy[k] * u[k]);
            dy[k] *= pair->gain[c0 + k];
        }
        operand_store(run->scaled, t, c0, dy, c);
    }
    for (size_t k = 0; k < c; k++)
        pair->grad_magnitude[c0 + k] += (float)(sum[k] * (double)pair->inverse[c0 + k]);
}

void dora_backward(struct pass *p, const struct linear_group *group, struct operand *const dy[])
{
    for (size_t j = 0; j < group->n; j++) {
        const struct lora_pair *pair = lora_find(p->lora, p->layer, group->slots[j]);
        if (!pair)
            continue;
        struct operand *scaled = &p->d->ws.scaled[j];
        scaled->cols = pair->out;
        struct magnitude_run run = {p, pair, dy[j], &pass_activations(p)->u[pair->slot], scaled};
        pool_run(p->d->pool, (pair->out + COLUMNS - 1) / COLUMNS, magnitude_task, &run);
    }
}

void dora_backward_dropped(struct pass *p, const struct linear_group *group,
                           struct operand *const dy[], const struct gemm_backward *jobs)
{
    for (size_t j = 0; j < group->n; j++) {
        if (!jobs[j].r)
            continue;
        struct operand change = difference(p, &p->d->ws.scaled[j], dy[j]);
        struct gemm_backward job = {.w = jobs[j].w, .dy = &change};
        gemm_backward(p->d->gemm, p->d->ws.low, p->batch->n, true, &job, 1);
    }
}
