/* The attention half of a layer: projections, norms and rotation of queries and keys, both ways. */
#include <string.h>

#include "compute/ops.h"
#include "model/decoder_internal.h"

static const struct linear_group group_q_k_v = {{SLOT_Q, SLOT_K, SLOT_V}, 3};
static const struct linear_group group_qkv = {{SLOT_QKV}, 1};
static const struct linear_group group_o = {{SLOT_O}, 1};

static const struct linear_group *projections(const struct pass *p)
{
    return p->d->config.qkv == QKV_SEPARATE ? &group_q_k_v : &group_qkv;
}

bool attention_is_adapted(const struct pass *p)
{
    return group_is_adapted(p, projections(p)) || group_is_adapted(p, &group_o);
}

/* Where the heads of one row are in what the projections gave, in floats from a row's start. */
struct qkv_row {
    float *q, *k, *v;
    size_t step; /* from a head to the next */
};

/* In separate arrays, or all in one. */
static struct qkv_row row_in(const struct model_config *c, size_t i, float *q, float *k, float *v)
{
    size_t d = c->head_dim, wide_q = query_width(c), wide_k = key_width(c);
    float *row = q + i * (wide_q + 2 * wide_k);
    switch (c->qkv) {
    case QKV_BLOCKS:
        return (struct qkv_row){row, row + wide_q, row + wide_q + wide_k, d};
    case QKV_PER_HEAD:
        return (struct qkv_row){row, row + d, row + 2 * d, 3 * d};
    case QKV_SEPARATE:
        break;
    }
    return (struct qkv_row){q + i * wide_q, k + i * wide_k, v + i * wide_k, d};
}

static void gather_heads(float *to, const float *from, size_t n_heads, size_t d, size_t step)
{
    for (size_t h = 0; h < n_heads; h++)
        memcpy(to + h * d, from + h * step, d * sizeof *to);
}

static void scatter_heads(float *to, const float *from, size_t n_heads, size_t d, size_t step)
{
    for (size_t h = 0; h < n_heads; h++)
        memcpy(to + h * step, from + h * d, d * sizeof *to);
}

void attention_gather(const struct pass *p, size_t row, float *q, float *k, float *v)
{
    const struct model_config *c = &p->d->config;
    float *const *wide = p->d->ws.wide;
    struct qkv_row from = row_in(c, row, wide[0], wide[1], wide[2]);
    gather_heads(q, from.q, c->n_heads, c->head_dim, from.step);
    gather_heads(k, from.k, c->n_kv_heads, c->head_dim, from.step);
    gather_heads(v, from.v, c->n_kv_heads, c->head_dim, from.step);
}

/* Norms and rotation. */

/* How many numbers a norm of queries or keys takes at a time. */
static size_t norm_width(const struct model_config *c, size_t wide)
{
    return c->qk_norm == QK_NORM_HEAD ? c->head_dim : wide;
}

static void norm_heads(const struct norm *norm, float *x, size_t n, size_t wide)
{
    for (size_t at = 0; norm->w && at < n; at += wide)
        norm_forward(norm, x + at, x + at, wide);
}

/* dy becomes dx; tmp [wide]. */
static void norm_heads_backward(const struct norm *norm, float *dy, const float *x, size_t n,
                                size_t wide, float *tmp)
{
    for (size_t at = 0; norm->w && at < n; at += wide) {
        float r = norm_forward(norm, tmp, x + at, wide);
        memset(tmp, 0, wide * sizeof *tmp);
        norm_backward(norm, tmp, dy + at, x + at, wide, r);
        memcpy(dy + at, tmp, wide * sizeof *tmp);
    }
}

void attention_turn(const struct pass *p, size_t row, float *q, float *k)
{
    const struct model_config *c = &p->d->config;
    const struct layer *l = pass_layer(p);
    size_t wide_q = query_width(c), wide_k = key_width(c);
    norm_heads(&l->norm[SLOT_Q_NORM], q, wide_q, norm_width(c, wide_q));
    norm_heads(&l->norm[SLOT_K_NORM], k, wide_k, norm_width(c, wide_k));
    if (!l->rotation)
        return;
    struct angles a = rotation_angles(l->rotation, &p->d->ws, row);
    rope_forward(q, c->n_heads, c->head_dim, l->rotation->half, a.cos_, a.sin_);
    rope_forward(k, c->n_kv_heads, c->head_dim, l->rotation->half, a.cos_, a.sin_);
}

static void unturn_norms(const struct pass *p, size_t row, float *dq, float *dk, float *tmp)
{
    const struct model_config *c = &p->d->config;
    const struct layer *l = pass_layer(p);
    const struct activations *kept = pass_activations(p);
    size_t wide_q = query_width(c), wide_k = key_width(c);
    if (!c->qk_norm)
        return;
    norm_heads_backward(&l->norm[SLOT_Q_NORM], dq, operand_row(&kept->q, row, tmp), wide_q,
                        norm_width(c, wide_q), tmp + wide_q);
    norm_heads_backward(&l->norm[SLOT_K_NORM], dk, operand_row(&kept->k, row, tmp), wide_k,
                        norm_width(c, wide_k), tmp + wide_q);
}

/*
 * Queries and keys are kept as attention reads them; those with norms as they were before, from
 * which attention's are made again on the way back.
 */

static void keep_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    const struct model_config *c = &p->d->config;
    const struct activations *a = pass_activations(p);
    float *q = tmp, *k = q + query_width(c), *v = k + key_width(c);
    for (size_t i = r0; i < r1; i++) {
        attention_gather(p, i, q, k, v);
        if (!c->qk_norm)
            attention_turn(p, i, q, k);
        operand_store(&a->q, i, 0, q, query_width(c));
        operand_store(&a->k, i, 0, k, key_width(c));
        operand_store(&a->v, i, 0, v, key_width(c));
    }
}

static void turn_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    const struct model_config *c = &p->d->config;
    const struct activations *a = pass_activations(p);
    float *q = tmp, *k = q + query_width(c);
    for (size_t i = r0; i < r1; i++) {
        operand_load(&a->q, i, 0, q, query_width(c));
        operand_load(&a->k, i, 0, k, key_width(c));
        attention_turn(p, i, q, k);
        operand_store(&p->d->ws.q, i, 0, q, query_width(c));
        operand_store(&p->d->ws.k, i, 0, k, key_width(c));
    }
}

struct turned {
    const struct operand *q, *k;
};

static struct turned turned_queries(struct pass *p)
{
    struct activations *a = pass_activations(p);
    if (!p->d->config.qk_norm)
        return (struct turned){&a->q, &a->k};
    decoder_rows(p->d, p->batch->n, turn_rows, p);
    return (struct turned){&p->d->ws.q, &p->d->ws.k};
}

/* So many products of all scores, of which causal attention can't do without half. */
static void profile_attention(const struct pass *p, bool back, double begun, int products)
{
    double scores = 0, window = (double)pass_layer(p)->window;
    if (!p->d->profile)
        return;
    for (size_t i = 0; i < p->batch->n_documents; i++) {
        const double n = (double)p->batch->lengths[i], seen = n < window ? n : window;
        scores += seen * (n - seen / 2);
    }
    profile_end(p->d->profile, PROFILE_ATTENTION, back, begun,
                2 * products * scores * (double)query_width(&p->d->config));
}

int attend_documents(struct pass *p)
{
    struct activations *a = pass_activations(p);
    const struct batch *b = p->batch;
    decoder_rows(p->d, b->n, keep_rows, p);
    struct turned t = turned_queries(p);
    const double begun = profile_begin(p->d->profile);
    int status = attention_forward(p->d->attention, t.q, t.k, &a->v, b->lengths, b->n_documents,
                                   pass_layer(p)->window, &a->out, a->lse, p->err);
    profile_attention(p, false, begun, 2);
    return status;
}

const struct operand *attention_queries(const struct pass *p)
{
    return p->d->config.qk_norm ? &p->d->ws.q : &pass_activations(p)->q;
}

const struct operand *attention_keys(const struct pass *p)
{
    return p->d->config.qk_norm ? &p->d->ws.k : &pass_activations(p)->k;
}

int attention_half(struct pass *p, struct half_output out)
{
    float *const *wide = p->d->ws.wide, *const to[] = {out.y};
    linear_forward(p, projections(p), &p->d->ws.normed, wide, false);
    if (p->attend ? p->attend(p) : attend_documents(p))
        return -1;
    linear_forward(p, &group_o, &pass_activations(p)->out, to, out.add);
    return 0;
}

/* The gradients of rotated queries (wide[1]) and keys (wide[2]) become those before it. */
static void unrotate_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    struct pass *p = arg;
    const struct model_config *c = &p->d->config;
    const struct rotation *r = pass_layer(p)->rotation;
    for (size_t i = r0; r && i < r1; i++) {
        struct angles a = rotation_angles(r, &p->d->ws, i);
        rope_backward(p->d->ws.wide[1] + i * query_width(c), c->n_heads, c->head_dim, r->half,
                      a.cos_, a.sin_);
        rope_backward(p->d->ws.wide[2] + i * key_width(c), c->n_kv_heads, c->head_dim, r->half,
                      a.cos_, a.sin_);
    }
}

/* The gradients of attention's queries (wide[1]), keys (wide[2]) and values (dv) become those of
 * the projections; fused ones are put together in wide[0]. */
static void unturn_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    const struct model_config *c = &p->d->config;
    size_t d = c->head_dim;
    for (size_t i = r0; i < r1; i++) {
        float *dq = ws->wide[1] + i * query_width(c), *dk = ws->wide[2] + i * key_width(c),
              *dv = ws->dv + i * key_width(c);
        unturn_norms(p, i, dq, dk, tmp);
        if (c->qkv == QKV_SEPARATE)
            continue;
        struct qkv_row to = row_in(c, i, ws->wide[0], NULL, NULL);
        scatter_heads(to.q, dq, c->n_heads, d, to.step);
        scatter_heads(to.k, dk, c->n_kv_heads, d, to.step);
        scatter_heads(to.v, dv, c->n_kv_heads, d, to.step);
    }
}

/* From the gradients of what the projections gave. */
static void projections_backward(struct pass *p, bool below)
{
    struct workspace *ws = &p->d->ws;
    const struct model_config *c = &p->d->config;
    const struct linear_group *group = projections(p);
    size_t q = query_width(c), k = key_width(c);
    struct operand d[3];
    if (c->qkv == QKV_SEPARATE) {
        d[0] = pass_operand(p, ws->wide[1], q, 0);
        d[1] = pass_operand(p, ws->wide[2], k, 1);
        d[2] = pass_operand(p, ws->dv, k, 2);
    } else {
        d[0] = pass_operand(p, ws->wide[0], q + 2 * k, 0);
    }
    struct operand *const dy[] = {&d[0], &d[1], &d[2]};
    half_renorm(p, HALF_ATTENTION);
    linear_backward_low(p, group, dy);
    linear_backward_adapters(p, group, &ws->normed, dy);
    if (!below)
        return;
    linear_backward_input(p, group, dy, c->hidden, ws->dn);
    half_unnorm(p, HALF_ATTENTION);
}

int attention_half_backward(struct pass *p, float *d_out, bool below)
{
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct batch *b = p->batch;
    struct operand dy = pass_operand(p, d_out, p->d->config.hidden, 0);
    struct operand *const d_o[] = {&dy};
    linear_backward_low(p, &group_o, d_o);
    linear_backward_adapters(p, &group_o, &a->out, d_o);
    if (!below && !group_is_adapted(p, projections(p)))
        return 0;
    linear_backward_input(p, &group_o, d_o, query_width(&p->d->config), ws->wide[0]);
    struct turned t = turned_queries(p);
    const double begun = profile_begin(p->d->profile);
    int status = attention_backward(p->d->attention, t.q, t.k, &a->v, &a->out, a->lse, b->lengths,
                                    b->n_documents, pass_layer(p)->window, ws->wide[0], ws->wide[1],
                                    ws->wide[2], ws->dv, p->err);
    profile_attention(p, true, begun, 5);
    if (status)
        return -1;
    decoder_rows(p->d, b->n, unrotate_rows, p);
    if (pass_trains_weights(p) && p->d->config.qk_norm) {
        trained_norm_backward(p, SLOT_Q_NORM, &a->q, ws->wide[1], 1);
        trained_norm_backward(p, SLOT_K_NORM, &a->k, ws->wide[2], 1);
    }
    decoder_rows(p->d, b->n, unturn_rows, p);
    projections_backward(p, below);
    return 0;
}
