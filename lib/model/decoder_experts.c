/*
 * A mixture of experts as the MLP half of a layer, both ways.
 *
 * Each token goes to `used` experts. The (token, expert) pairs are sorted by expert, so that each
 * expert multiplies all its tokens at once; a pair's place in that order is its row in the buffers
 * here, which have T * used rows. Results are added up token by token, experts in ascending order.
 * The experts and the router are frozen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/activation.h"
#include "compute/rows.h"
#include "model/decoder_internal.h"

static struct route_shape shape_of(const struct model_config *c)
{
    return (struct route_shape){c->n_experts, c->experts_used, c->norm_topk};
}

static void route_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    struct pass *p = arg;
    struct routes *r = &pass_activations(p)->routes;
    struct route_shape s = shape_of(&p->d->config);
    for (size_t i = r0; i < r1; i++)
        route_forward(&s, r->p + i * s.n_experts, r->expert + i * s.used, r->weight + i * s.used);
}

/* Sorts the pairs by expert, tokens of one in order. */
static void place_pairs(const struct model_config *c, struct routes *r, size_t n_pairs)
{
    size_t *next = xcalloc(c->n_experts, sizeof *next);
    for (size_t i = 0; i < n_pairs; i++)
        next[r->expert[i]]++;
    for (size_t e = 0, sum = 0; e < c->n_experts; e++) {
        r->first[e] = sum;
        sum += next[e];
        next[e] = r->first[e];
        r->first[e + 1] = sum;
    }
    for (size_t i = 0; i < n_pairs; i++)
        r->at[i] = (uint32_t)next[r->expert[i]]++;
    free(next);
}

/* Part of an operand or array that belongs to one expert. */
static struct operand rows_of(const struct operand *o, size_t first)
{
    struct operand part = *o;
    part.p = (char *)o->p + first * o->cols * operand_size(o->bf16);
    return part;
}

/* Copies each token's row to its pairs' places. */
static void spread_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    const struct workspace *ws = &p->d->ws;
    const struct routes *r = &pass_activations(p)->routes;
    size_t h = p->d->config.hidden, used = p->d->config.experts_used;
    for (size_t i = r0; i < r1; i++) {
        const float *x = operand_row(&ws->normed, i, tmp);
        for (size_t j = i * used; j < (i + 1) * used; j++)
            operand_store(&ws->pairs.x, r->at[j], 0, x, h);
    }
}

static void activate_pairs(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    const struct pair_rows *pairs = &p->d->ws.pairs;
    const struct activations *a = pass_activations(p);
    size_t f = p->d->config.expert_ffn;
    for (size_t i = r0; i < r1; i++) {
        const float *gate = pairs->wide[0] + i * f, *up = pairs->wide[1] + i * f;
        activation_forward(p->d->config.activation, tmp, gate, up, f);
        operand_store(&pairs->act, i, 0, tmp, f);
        if (!a->lse) /* nothing is kept of this layer */
            continue;
        operand_store(&a->gate, i, 0, gate, f);
        operand_store(&a->up, i, 0, up, f);
    }
}

struct combine_run {
    struct pass *p;
    struct half_output out;
};

static void combine_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct combine_run *run = arg;
    const struct pair_rows *pairs = &run->p->d->ws.pairs;
    const struct routes *r = &pass_activations(run->p)->routes;
    size_t h = run->p->d->config.hidden, used = run->p->d->config.experts_used;
    for (size_t i = r0; i < r1; i++) {
        float *y = run->out.y + i * h;
        if (!run->out.add)
            memset(y, 0, h * sizeof *y);
        for (size_t j = i * used; j < (i + 1) * used; j++)
            row_add(y, pairs->y + r->at[j] * h, h, r->weight[j]);
    }
}

void experts_half(struct pass *p, struct half_output out)
{
    struct decoder *d = p->d;
    struct pair_rows *pairs = &d->ws.pairs;
    struct routes *r = &pass_activations(p)->routes;
    const struct experts *w = &pass_layer(p)->experts;
    size_t m = p->batch->n, n_pairs = m * d->config.experts_used, f = d->config.expert_ffn;
    struct combine_run run = {p, out};
    struct gemm_forward router = {.w = &w->router, .y = r->p};
    gemm_forward(d->gemm, &d->ws.normed, m, &router, 1);
    decoder_rows(d, m, route_rows, p);
    place_pairs(&d->config, r, n_pairs);
    decoder_rows(d, m, spread_rows, p);
    for (size_t e = 0; e < d->config.n_experts; e++) {
        size_t first = r->first[e];
        struct operand x = rows_of(&pairs->x, first);
        struct gemm_forward jobs[] = {{.w = &w->gate[e], .y = pairs->wide[0] + first * f},
                                      {.w = &w->up[e], .y = pairs->wide[1] + first * f}};
        gemm_forward(d->gemm, &x, r->first[e + 1] - first, jobs, 2);
    }
    decoder_rows(d, n_pairs, activate_pairs, p);
    for (size_t e = 0; e < d->config.n_experts; e++) {
        size_t first = r->first[e];
        struct operand act = rows_of(&pairs->act, first);
        struct gemm_forward job = {.w = &w->down[e], .y = pairs->y + first * d->config.hidden};
        gemm_forward(d->gemm, &act, r->first[e + 1] - first, &job, 1);
    }
    decoder_rows(d, m, combine_rows, &run);
}

/* The way back. */

struct spread_run {
    struct pass *p;
    const float *d_out;
};

static void spread_gradient_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct spread_run *run = arg;
    const struct routes *r = &pass_activations(run->p)->routes;
    size_t h = run->p->d->config.hidden, used = run->p->d->config.experts_used;
    for (size_t i = r0; i < r1; i++)
        for (size_t j = i * used; j < (i + 1) * used; j++)
            operand_store(&run->p->d->ws.pairs.x, r->at[j], 0, run->d_out + i * h, h);
}

/*
 * From D = d_out W_down of each pair in wide[0] (the weight w not in it yet): the gradient of w is
 * D . a, with a the activation; those of gate and up come from w D.
 */
static void unactivate_pairs(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct pair_rows *pairs = &p->d->ws.pairs;
    const struct activations *a = pass_activations(p);
    const struct routes *r = &a->routes;
    size_t f = p->d->config.expert_ffn, used = p->d->config.experts_used;
    for (size_t i = r0; i < r1; i++)
        for (size_t j = i * used; j < (i + 1) * used; j++) {
            size_t at = r->at[j];
            float *d = pairs->wide[0] + at * f, *act = tmp, *dg = tmp + f, *du = tmp + 2 * f;
            float *row = tmp + 3 * f;
            const float *gate = operand_row(&a->gate, at, row),
                        *up = operand_row(&a->up, at, row + f);
            activation_forward(p->d->config.activation, act, gate, up, f);
            pairs->d_weight[j] = row_dot(d, act, f);
            row_scale(d, f, r->weight[j]);
            activation_backward(p->d->config.activation, dg, du, act, d, gate, up, f);
            operand_store(&pairs->d_gate, at, 0, dg, f);
            operand_store(&pairs->d_up, at, 0, du, f);
        }
}

/* The gradients of tokens' rows and of the router's logits. */
static void combine_gradient_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    const struct routes *r = &pass_activations(p)->routes;
    struct route_shape s = shape_of(&p->d->config);
    size_t h = p->d->config.hidden, used = s.used;
    for (size_t i = r0; i < r1; i++) {
        float *dn = ws->dn + i * h;
        memset(dn, 0, h * sizeof *dn);
        for (size_t j = i * used; j < (i + 1) * used; j++)
            row_add(dn, ws->pairs.y + r->at[j] * h, h, 1);
        route_backward(&s, r->p + i * s.n_experts, r->expert + i * used, r->weight + i * used,
                       ws->pairs.d_weight + i * used, tmp);
        operand_store(&ws->pairs.d_logits, i, 0, tmp, s.n_experts);
    }
}

void experts_half_backward(struct pass *p, float *d_out)
{
    struct decoder *d = p->d;
    struct pair_rows *pairs = &d->ws.pairs;
    const struct routes *r = &pass_activations(p)->routes;
    const struct experts *w = &pass_layer(p)->experts;
    size_t m = p->batch->n, f = d->config.expert_ffn, h = d->config.hidden;
    struct spread_run run = {p, d_out};
    decoder_rows(d, m, spread_gradient_rows, &run);
    for (size_t e = 0; e < d->config.n_experts; e++) {
        size_t first = r->first[e];
        struct operand dy = rows_of(&pairs->x, first);
        struct gemm_backward job = {.w = &w->down[e], .dy = &dy};
        gemm_backward(d->gemm, pairs->wide[0] + first * f, r->first[e + 1] - first, false, &job, 1);
    }
    decoder_rows(d, m, unactivate_pairs, p);
    for (size_t e = 0; e < d->config.n_experts; e++) {
        size_t first = r->first[e];
        struct operand dg = rows_of(&pairs->d_gate, first), du = rows_of(&pairs->d_up, first);
        struct gemm_backward jobs[] = {{.w = &w->gate[e], .dy = &dg}, {.w = &w->up[e], .dy = &du}};
        gemm_backward(d->gemm, pairs->y + first * h, r->first[e + 1] - first, false, jobs, 2);
    }
    decoder_rows(d, m, combine_gradient_rows, p);
    struct gemm_backward router = {.w = &w->router, .dy = &pairs->d_logits};
    gemm_backward(d->gemm, d->ws.dn, m, true, &router, 1);
    half_unnorm(p, HALF_MLP);
}
