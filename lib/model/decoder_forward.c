/* The way forward through the layers. */
#include "compute/activation.h"
#include "compute/ops.h"
#include "model/decoder_internal.h"

struct activations *pass_activations(const struct pass *p)
{
    struct workspace *ws = &p->d->ws;
    if (!p->training || p->layer < ws->first_saved)
        return &ws->saved[0];
    return &ws->saved[1 + p->layer - ws->first_saved];
}

static const struct layer *pass_layer(const struct pass *p)
{
    return &p->d->layers[p->layer];
}

static void embed_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    struct pass *p = arg;
    size_t h = p->d->config.hidden;
    for (size_t i = r0; i < r1; i++)
        matrix_floats(&p->d->embed, p->batch->ids[i], 1, 0, h, p->d->ws.x + i * h, h);
}

int pass_embed(struct pass *p)
{
    decoder_rows(p->d, p->batch->n, embed_rows, p);
    return 0;
}

/* Norms. */

struct norm_run {
    struct pass *p;
    const struct norm *norm;
    const struct operand *keep;
    float *rstd;
};

static void norm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct norm_run *run = arg;
    struct workspace *ws = &run->p->d->ws;
    const struct model_config *c = &run->p->d->config;
    for (size_t i = r0; i < r1; i++) {
        const float *x = ws->x + i * c->hidden;
        float r = norm_forward(run->norm, tmp, x, c->hidden);
        operand_store(&ws->normed, i, 0, tmp, c->hidden);
        if (run->rstd) {
            run->rstd[i] = r;
            operand_store(run->keep, i, 0, x, c->hidden);
        }
    }
}

void pass_norm(struct pass *p, const struct norm *norm, const struct operand *keep, float *rstd)
{
    struct norm_run run = {p, norm, keep, rstd};
    decoder_rows(p->d, p->batch->n, norm_rows, &run);
}

/* Attention. */

static void rotate_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    const struct model_config *c = &p->d->config;
    struct activations *a = pass_activations(p);
    size_t half = c->head_dim / 2, q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim;
    for (size_t i = r0; i < r1; i++) {
        const float *cos_ = p->d->cos_ + ws->positions[i] * half;
        const float *sin_ = p->d->sin_ + ws->positions[i] * half;
        rope_forward(ws->wide[0] + i * q, c->n_heads, c->head_dim, half, cos_, sin_);
        rope_forward(ws->wide[1] + i * k, c->n_kv_heads, c->head_dim, half, cos_, sin_);
        operand_store(&a->q, i, 0, ws->wide[0] + i * q, q);
        operand_store(&a->k, i, 0, ws->wide[1] + i * k, k);
        operand_store(&a->v, i, 0, ws->wide[2] + i * k, k);
    }
}

static int attend(struct pass *p)
{
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct batch *b = p->batch;
    float *const y[] = {ws->wide[0], ws->wide[1], ws->wide[2]}, *const residual[] = {ws->x};
    pass_norm(p, &pass_layer(p)->attn_norm, &a->x_in, a->rstd_in);
    linear_forward(p, &group_qkv, &ws->normed, y, false);
    decoder_rows(p->d, b->n, rotate_rows, p);
    if (attention_forward(p->d->attention, &a->q, &a->k, &a->v, b->lengths, b->n_documents,
                          ATTENTION_ALL, &a->out, a->lse, p->err))
        return -1;
    linear_forward(p, &group_o, &a->out, residual, true);
    return 0;
}

/* The MLP. */

static void swiglu_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    size_t f = p->d->config.ffn;
    for (size_t i = r0; i < r1; i++) {
        const float *g = ws->wide[0] + i * f, *u = ws->wide[1] + i * f;
        activation_forward(ACTIVATION_SILU, tmp, g, u, f);
        operand_store(&ws->act, i, 0, tmp, f);
        if (a->rstd_mid) {
            operand_store(&a->gate, i, 0, g, f);
            operand_store(&a->up, i, 0, u, f);
        }
    }
}

void pass_feed_forward(struct pass *p)
{
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    float *const y[] = {ws->wide[0], ws->wide[1]}, *const residual[] = {ws->x};
    pass_norm(p, &pass_layer(p)->mlp_norm, &a->x_mid, a->rstd_mid);
    linear_forward(p, &group_gate_up, &ws->normed, y, false);
    decoder_rows(p->d, p->batch->n, swiglu_rows, p);
    linear_forward(p, &group_down, &ws->act, residual, true);
}

int pass_forward(struct pass *p)
{
    for (p->layer = 0; p->layer < p->d->config.n_layers; p->layer++) {
        if (attend(p))
            return -1;
        pass_feed_forward(p);
    }
    return 0;
}
