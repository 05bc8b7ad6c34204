/* Linear layers with their low-rank adapters, forward and backward, in groups that share an input.
 */
#include <string.h>

#include "compute/dropout.h"
#include "compute/rows.h"
#include "model/decoder_internal.h"

struct operand_run {
    const float *p;
    struct operand *out;
};

static void operand_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct operand_run *run = arg;
    size_t n = run->out->cols;
    for (size_t i = r0; i < r1; i++)
        operand_store(run->out, i, 0, run->p + i * n, n);
}

struct operand pass_operand(struct pass *p, float *rows, size_t n, size_t k)
{
    if (!gemm_wants_bf16(p->d->gemm))
        return (struct operand){rows, n, false};
    struct operand out = {p->d->ws.grad[k].p, n, true};
    struct operand_run run = {rows, &out};
    decoder_rows(p->d, p->batch->n, operand_rows, &run);
    return out;
}

struct dropout_run {
    struct pass *p;
    const struct operand *x;
    size_t n; /* columns */
    uint64_t stream;
};

/* Keeps a value with probability 1 - p and scales it by 1/(1 - p); the mask is a function of the
 * key, the layer, the group and the place, so that the way back finds it again. */
static void dropout_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct dropout_run *run = arg;
    const struct pass *p = run->p;
    struct operand out = p->d->ws.dropped;
    out.cols = run->n;
    for (size_t i = r0; i < r1; i++) {
        operand_load(run->x, i, 0, tmp, run->n);
        dropout_row(tmp, run->n, p->lora->dropout, p->dropout_key, run->stream, i);
        operand_store(&out, i, 0, tmp, run->n);
    }
}

static uint64_t dropout_stream(const struct pass *p, const struct linear_group *group)
{
    return ((uint64_t)0x64726f70 << 32) + slot_stream(group->slots[0], p->layer);
}

/* What the adapters of a group multiply: x itself, or x after dropout. */
static struct operand adapter_input(struct pass *p, const struct linear_group *group,
                                    const struct operand *x)
{
    if (!p->training || !(p->lora->dropout > 0))
        return *x;
    struct dropout_run run = {p, x, x->cols, dropout_stream(p, group)};
    decoder_rows(p->d, p->batch->n, dropout_rows, &run);
    struct operand dropped = p->d->ws.dropped;
    dropped.cols = x->cols;
    return dropped;
}

bool group_is_adapted(const struct pass *p, const struct linear_group *group)
{
    for (size_t j = 0; j < group->n; j++)
        if (lora_find(p->lora, p->layer, group->slots[j]))
            return true;
    return false;
}

static bool group_has_dora(const struct pass *p, const struct linear_group *group)
{
    return p->lora && p->lora->dora && group_is_adapted(p, group);
}

/* The matrices of a group that rows are multiplied with: the base's, and the adapters' A, which
 * reads inputs, and B, which makes outputs. */
enum factors { BASE = 1, A = 2, B = 4 };

static void profile_group(const struct pass *p, const struct linear_group *group, bool back,
                          double begun, unsigned factors)
{
    double n = 0;
    if (!p->d->profile)
        return;
    for (size_t j = 0; j < group->n; j++) {
        const struct matrix *w = &p->d->layers[p->layer].w[group->slots[j]];
        const struct lora_pair *pair = lora_find(p->lora, p->layer, group->slots[j]);
        size_t r = pair ? pair->r : 0;
        n += factors & BASE ? (double)w->rows * (double)w->cols : 0;
        n += factors & A ? (double)(r * w->cols) : 0;
        n += factors & B ? (double)(r * w->rows) : 0;
    }
    profile_end(p->d->profile, factors & BASE ? PROFILE_LINEAR : PROFILE_ADAPTERS, back, begun,
                2 * n * (double)p->batch->n);
}

void linear_forward(struct pass *p, const struct linear_group *group, const struct operand *x,
                    float *const y[], bool add)
{
    const struct layer *l = &p->d->layers[p->layer];
    struct activations *a = pass_activations(p);
    struct gemm_forward jobs[3];
    size_t m = p->batch->n;
    double begun = profile_begin(p->d->profile);
    struct operand low = *x;
    if (group_is_adapted(p, group))
        low = adapter_input(p, group, x);
    for (size_t j = 0; j < group->n; j++) {
        enum slot s = group->slots[j];
        const struct lora_pair *pair = lora_find(p->lora, p->layer, s);
        jobs[j] = (struct gemm_forward){.w = &l->w[s], .bias = l->bias[s], .y = y[j], .add = add};
        if (!pair)
            continue;
        gemm_down(p->d->gemm, &low, m, pair->a, pair->r, pair->scale, a->h[s]);
        jobs[j].lora = (struct gemm_low_rank){pair->b, a->h[s], pair->r};
    }
    profile_group(p, group, false, begun, A);
    begun = profile_begin(p->d->profile);
    if (group_has_dora(p, group))
        dora_forward(p, group, x, &low, jobs);
    else
        gemm_forward(p->d->gemm, x, m, jobs, group->n);
    profile_group(p, group, false, begun, BASE | B);
}

/* The way back: first the gradient of x A^T, which both of the others read. */

/* The gradient that a pair sees: with DoRA times the gain. */
static const struct operand *pair_gradient(const struct pass *p, struct operand *const dy[],
                                           size_t j)
{
    return p->lora->dora ? &p->d->ws.scaled[j] : dy[j];
}

void linear_backward_low(struct pass *p, const struct linear_group *group,
                         struct operand *const dy[])
{
    const double begun = profile_begin(p->d->profile);
    if (group_has_dora(p, group))
        dora_backward(p, group, dy);
    for (size_t j = 0; j < group->n; j++) {
        const struct lora_pair *pair = lora_find(p->lora, p->layer, group->slots[j]);
        if (pair)
            gemm_down_backward(p->d->gemm, pair_gradient(p, dy, j), p->batch->n, pair->b, pair->r,
                               pair->scale, p->d->ws.dh[j]);
    }
    profile_group(p, group, true, begun, B);
}

void linear_backward_adapters(struct pass *p, const struct linear_group *group,
                              const struct operand *x, struct operand *const dy[])
{
    struct activations *a = pass_activations(p);
    size_t m = p->batch->n;
    for (size_t j = 0; pass_trains_weights(p) && j < group->n; j++) {
        trained_matrix_backward(p, group->slots[j], x, dy[j]);
        trained_bias_backward(p, group->slots[j], dy[j]);
    }
    if (!group_is_adapted(p, group))
        return;
    const double begun = profile_begin(p->d->profile);
    struct operand low = adapter_input(p, group, x);
    for (size_t j = 0; j < group->n; j++) {
        const struct lora_pair *pair = lora_find(p->lora, p->layer, group->slots[j]);
        if (!pair)
            continue;
        gemm_grad_a(p->d->gemm, &low, m, p->d->ws.dh[j], pair->r, pair->grad_a);
        gemm_grad_b(p->d->gemm, pair_gradient(p, dy, j), m, a->h[pair->slot], pair->r,
                    pair->grad_b);
    }
    profile_group(p, group, true, begun, A | B);
}

static void undrop_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct dropout_run *run = arg;
    const struct pass *p = run->p;
    for (size_t i = r0; i < r1; i++)
        dropout_row(p->d->ws.low + i * run->n, run->n, p->lora->dropout, p->dropout_key,
                    run->stream, i);
}

/* dx += mask * sum of dh_j A_j: the adapters' share when their input went through dropout. */
static void add_dropped(struct pass *p, const struct linear_group *group,
                        struct operand *const dy[], size_t n, const struct gemm_backward *jobs,
                        float *dx)
{
    struct workspace *ws = &p->d->ws;
    size_t m = p->batch->n;
    memset(ws->low, 0, m * n * sizeof *ws->low);
    for (size_t j = 0; j < group->n; j++)
        if (jobs[j].r)
            gemm_up(p->d->gemm, jobs[j].dh, m, jobs[j].a, jobs[j].r, n, ws->low);
    if (p->lora->dora)
        dora_backward_dropped(p, group, dy, jobs);
    struct dropout_run run = {p, NULL, n, dropout_stream(p, group)};
    decoder_rows(p->d, m, undrop_rows, &run);
    for (size_t i = 0; i < m; i++)
        row_add(dx + i * n, ws->low + i * n, n, 1);
}

void linear_backward_input(struct pass *p, const struct linear_group *group,
                           struct operand *const dy[], size_t n, float *dx)
{
    const struct layer *l = &p->d->layers[p->layer];
    struct gemm_backward jobs[3], base[3];
    bool dropping = p->lora->dropout > 0 && group_is_adapted(p, group);
    const double begun = profile_begin(p->d->profile);
    for (size_t j = 0; j < group->n; j++) {
        enum slot s = group->slots[j];
        const struct lora_pair *pair = lora_find(p->lora, p->layer, s);
        base[j] = jobs[j] = (struct gemm_backward){.w = &l->w[s], .dy = dy[j]};
        if (!pair)
            continue;
        jobs[j].a = pair->a;
        jobs[j].dh = p->d->ws.dh[j];
        jobs[j].r = pair->r;
        jobs[j].dy = pair_gradient(p, dy, j);
    }
    gemm_backward(p->d->gemm, dx, p->batch->n, false, dropping ? base : jobs, group->n);
    if (dropping)
        add_dropped(p, group, dy, n, jobs, dx);
    profile_group(p, group, true, begun, BASE | A);
}
