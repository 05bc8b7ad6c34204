/* The way back through the layers, pair by pair with decoder_forward.c. */
#include <string.h>

#include "compute/activation.h"
#include "compute/ops.h"
#include "model/decoder_internal.h"

/* rows [T, n] of float32 as something to multiply with: in place, or rounded into ws.grad[k]. */
struct to_operand_run {
    const float *p;
    struct operand *out;
};

static void to_operand_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct to_operand_run *run = arg;
    size_t n = run->out->cols;
    for (size_t i = r0; i < r1; i++)
        operand_store(run->out, i, 0, run->p + i * n, n);
}

static struct operand to_operand(struct pass *p, float *rows, size_t n, size_t k)
{
    struct workspace *ws = &p->d->ws;
    if (!gemm_wants_bf16(p->d->gemm))
        return (struct operand){rows, n, false};
    struct operand out = {ws->grad[k].p, n, true};
    struct to_operand_run run = {rows, &out};
    decoder_rows(p->d, p->batch->n, to_operand_rows, &run);
    return out;
}

/* Computes a norm's output again, from what was kept, into ws.normed. */
struct renorm_run {
    struct pass *p;
    const struct norm *norm;
    const float *rstd;
    const struct operand *x;
};

static void renorm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct renorm_run *run = arg;
    size_t h = run->x->cols;
    for (size_t i = r0; i < r1; i++) {
        const float *x = operand_row(run->x, i, tmp + h);
        norm_again(run->norm, tmp, x, h, run->rstd[i]);
        operand_store(&run->p->d->ws.normed, i, 0, tmp, h);
    }
}

static void unnorm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct renorm_run *run = arg;
    struct workspace *ws = &run->p->d->ws;
    size_t h = run->x->cols;
    for (size_t i = r0; i < r1; i++)
        norm_backward(run->norm, ws->dx + i * h, ws->dn + i * h, operand_row(run->x, i, tmp), h,
                      run->rstd[i]);
}

/* dg and du in wide[1] and wide[2] from da in wide[0]; the activation again in ws.act. */
static void unswiglu_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    size_t f = p->d->config.ffn;
    for (size_t i = r0; i < r1; i++) {
        const float *g = operand_row(&a->gate, i, tmp), *u = operand_row(&a->up, i, tmp + f);
        activation_backward(ACTIVATION_SILU, ws->wide[1] + i * f, ws->wide[2] + i * f, tmp + 2 * f,
                            ws->wide[0] + i * f, g, u, f);
        operand_store(&ws->act, i, 0, tmp + 2 * f, f);
    }
}

static void feed_forward_backward(struct pass *p)
{
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct model_config *c = &p->d->config;
    size_t n = p->batch->n;
    struct renorm_run run = {p, &p->d->layers[p->layer].mlp_norm, a->rstd_mid, &a->x_mid};

    struct operand dy = to_operand(p, ws->dx, c->hidden, 0);
    struct operand *const d_down[] = {&dy};
    linear_backward_low(p, &group_down, d_down);
    linear_backward_input(p, &group_down, d_down, c->ffn, ws->wide[0]);
    decoder_rows(p->d, n, unswiglu_rows, p); /* brings back the input of down_proj */
    linear_backward_adapters(p, &group_down, &ws->act, d_down);

    struct operand dg = to_operand(p, ws->wide[1], c->ffn, 1),
                   du = to_operand(p, ws->wide[2], c->ffn, 2);
    struct operand *const d_gate_up[] = {&dg, &du};
    decoder_rows(p->d, n, renorm_rows, &run);
    linear_backward_low(p, &group_gate_up, d_gate_up);
    linear_backward_adapters(p, &group_gate_up, &ws->normed, d_gate_up);
    linear_backward_input(p, &group_gate_up, d_gate_up, c->hidden, ws->dn);
    decoder_rows(p->d, n, unnorm_rows, &run);
}

/* Turns the gradients of rotated queries (wide[1]) and keys (wide[2]) back. */
static void unrotate_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    const struct model_config *c = &p->d->config;
    size_t half = c->head_dim / 2;
    for (size_t i = r0; i < r1; i++) {
        const float *cos_ = p->d->cos_ + ws->positions[i] * half;
        const float *sin_ = p->d->sin_ + ws->positions[i] * half;
        rope_backward(ws->wide[1] + i * c->n_heads * c->head_dim, c->n_heads, c->head_dim, half,
                      cos_, sin_);
        rope_backward(ws->wide[2] + i * c->n_kv_heads * c->head_dim, c->n_kv_heads, c->head_dim,
                      half, cos_, sin_);
    }
}

/* `below`: something under this layer still wants a gradient. */
static int attend_backward(struct pass *p, bool below)
{
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct model_config *c = &p->d->config;
    const struct batch *b = p->batch;
    size_t q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim;
    struct renorm_run run = {p, &p->d->layers[p->layer].attn_norm, a->rstd_in, &a->x_in};

    struct operand dy = to_operand(p, ws->dx, c->hidden, 0);
    struct operand *const d_o[] = {&dy};
    linear_backward_low(p, &group_o, d_o);
    linear_backward_adapters(p, &group_o, &a->out, d_o);
    if (!below && !group_is_adapted(p, &group_qkv))
        return 0;
    linear_backward_input(p, &group_o, d_o, q, ws->wide[0]);
    if (attention_backward(p->d->attention, &a->q, &a->k, &a->v, &a->out, a->lse, b->lengths,
                           b->n_documents, ATTENTION_ALL, ws->wide[0], ws->wide[1], ws->wide[2],
                           ws->dv, p->err))
        return -1;
    decoder_rows(p->d, b->n, unrotate_rows, p);

    struct operand dq = to_operand(p, ws->wide[1], q, 0), dk = to_operand(p, ws->wide[2], k, 1),
                   dv_op = to_operand(p, ws->dv, k, 2);
    struct operand *const d_qkv[] = {&dq, &dk, &dv_op};
    decoder_rows(p->d, b->n, renorm_rows, &run);
    linear_backward_low(p, &group_qkv, d_qkv);
    linear_backward_adapters(p, &group_qkv, &ws->normed, d_qkv);
    if (!below)
        return 0;
    linear_backward_input(p, &group_qkv, d_qkv, c->hidden, ws->dn);
    decoder_rows(p->d, b->n, unnorm_rows, &run);
    return 0;
}

static bool attention_is_adapted(const struct pass *p)
{
    return group_is_adapted(p, &group_qkv) || group_is_adapted(p, &group_o);
}

int pass_backward(struct pass *p)
{
    for (size_t i = p->d->config.n_layers; i-- > p->lowest;) {
        p->layer = i;
        feed_forward_backward(p);
        bool below = i > p->lowest;
        if ((below || attention_is_adapted(p)) && attend_backward(p, below))
            return -1;
    }
    return 0;
}
