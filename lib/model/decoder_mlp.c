/* The MLP half of a layer, both ways: gated or plain, its first matrices apart or in one. */
#include "compute/activation.h"
#include "model/decoder_internal.h"

static const struct linear_group group_gate_up = {{SLOT_GATE, SLOT_UP}, 2};
static const struct linear_group group_fused = {{SLOT_GATE_UP}, 1};
static const struct linear_group group_up = {{SLOT_UP}, 1};
static const struct linear_group group_down = {{SLOT_DOWN}, 1};

static const struct linear_group *first_group(const struct pass *p)
{
    const struct model_config *c = &p->d->config;
    return !c->gated ? &group_up : c->fused_gate_up ? &group_fused : &group_gate_up;
}

/* A row's gate and up: in two arrays, side by side in the first, or up alone in the first. */
struct mlp_row {
    float *gate, *up;
};

static struct mlp_row row_in(const struct model_config *c, size_t i, float *first, float *second)
{
    size_t f = c->ffn;
    if (!c->gated)
        return (struct mlp_row){NULL, first + i * f};
    if (c->fused_gate_up)
        return (struct mlp_row){first + i * 2 * f, first + i * 2 * f + f};
    return (struct mlp_row){first + i * f, second + i * f};
}

static void activate_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct model_config *c = &p->d->config;
    for (size_t i = r0; i < r1; i++) {
        struct mlp_row row = row_in(c, i, ws->wide[0], ws->wide[1]);
        activation_forward(c->activation, tmp, row.gate, row.up, c->ffn);
        operand_store(&ws->act, i, 0, tmp, c->ffn);
        if (!a->lse) /* nothing is kept of this layer */
            continue;
        operand_store(&a->up, i, 0, row.up, c->ffn);
        if (c->gated)
            operand_store(&a->gate, i, 0, row.gate, c->ffn);
    }
}

void mlp_half(struct pass *p, struct half_output out)
{
    struct workspace *ws = &p->d->ws;
    float *const to[] = {out.y};
    if (pass_layer(p)->experts.gate) {
        experts_half(p, out);
        return;
    }
    linear_forward(p, first_group(p), &ws->normed, ws->wide, false);
    decoder_rows(p->d, p->batch->n, activate_rows, p);
    linear_forward(p, &group_down, &ws->act, to, out.add);
}

/* Gradients of gate and up in wide[1] and wide[2] from the activation's in wide[0]; the activation
 * again in ws.act. */
static void unactivate_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    struct activations *a = pass_activations(p);
    const struct model_config *c = &p->d->config;
    size_t f = c->ffn;
    for (size_t i = r0; i < r1; i++) {
        struct mlp_row d = row_in(c, i, ws->wide[1], ws->wide[2]);
        const float *gate = c->gated ? operand_row(&a->gate, i, tmp) : NULL,
                    *up = operand_row(&a->up, i, tmp + f);
        activation_backward(c->activation, d.gate, d.up, tmp + 2 * f, ws->wide[0] + i * f, gate, up,
                            f);
        operand_store(&ws->act, i, 0, tmp + 2 * f, f);
    }
}

void mlp_half_backward(struct pass *p, float *d_out, bool below)
{
    struct workspace *ws = &p->d->ws;
    const struct model_config *c = &p->d->config;
    const struct linear_group *first = first_group(p);
    if (pass_layer(p)->experts.gate) {
        if (below)
            experts_half_backward(p, d_out);
        return;
    }

    struct operand dy = pass_operand(p, d_out, c->hidden, 0);
    struct operand *const d_down[] = {&dy};
    linear_backward_low(p, &group_down, d_down);
    linear_backward_input(p, &group_down, d_down, c->ffn, ws->wide[0]);
    decoder_rows(p->d, p->batch->n, unactivate_rows, p); /* brings back the input of down */
    linear_backward_adapters(p, &group_down, &ws->act, d_down);
    if (!below && !group_is_adapted(p, first))
        return;

    struct operand d_first =
                       pass_operand(p, ws->wide[1], first == &group_fused ? 2 * c->ffn : c->ffn, 1),
                   d_second = {0};
    if (first->n == 2)
        d_second = pass_operand(p, ws->wide[2], c->ffn, 2);
    struct operand *const d[] = {&d_first, &d_second};
    half_renorm(p, HALF_MLP);
    linear_backward_low(p, first, d);
    linear_backward_adapters(p, first, &ws->normed, d);
    if (!below)
        return;
    linear_backward_input(p, first, d, c->hidden, ws->dn);
    half_unnorm(p, HALF_MLP);
}
