/*
 * What stands around attention and MLP, both ways: the embedding, norms, multipliers and the
 * residual stream.
 */
#include <math.h>
#include <string.h>

#include "compute/rows.h"
#include "model/decoder_internal.h"

/* The embedding. */

static int check_positions(const struct pass *p)
{
    const struct model_config *c = &p->d->config;
    for (size_t i = 0; c->learned_positions && i < p->batch->n; i++)
        if (p->d->ws.positions[i] >= c->max_positions)
            return err_set(p->err,
                           "a sequence of more than %zu tokens, which is all that the "
                           "model has positions for",
                           c->max_positions);
    return 0;
}

/* longrope's angles are chosen by a document's whole length, as transformers does. */
static void mark_long_documents(struct pass *p)
{
    const struct batch *b = p->batch;
    for (size_t i = 0, row = 0; i < b->n_documents; i++)
        for (size_t t = 0; t < b->lengths[i]; t++)
            p->d->ws.beyond[row++] = b->lengths[i] > p->d->config.rope.original_positions;
}

static void embed_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    const struct decoder *d = p->d;
    size_t h = d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        float *x = d->ws.x + i * h;
        matrix_floats(&d->embed, p->batch->ids[i], 1, 0, h, x, h);
        if (d->config.embed_scale != 1)
            row_scale(x, h, (float)d->config.embed_scale);
        if (d->config.learned_positions) {
            matrix_floats(&d->position_embed, d->ws.positions[i], 1, 0, h, tmp, h);
            row_add(x, tmp, h, 1);
        }
    }
}

int pass_embed(struct pass *p)
{
    if (check_positions(p))
        return -1;
    if (p->batch->lengths && rope_depends_on_length(&p->d->config.rope))
        mark_long_documents(p);
    decoder_rows(p->d, p->batch->n, embed_rows, p);
    return 0;
}

/* Norms before either half. */

struct activations *pass_activations(const struct pass *p)
{
    struct workspace *ws = &p->d->ws;
    if (!p->training || p->layer < ws->first_saved)
        return &ws->saved[0];
    return &ws->saved[1 + p->layer - ws->first_saved];
}

static bool is_parallel(const struct pass *p)
{
    return p->d->config.residual != RESIDUAL_SEQUENTIAL;
}

static enum slot norm_slot(const struct pass *p, enum half half)
{
    bool own = half == HALF_MLP && p->d->config.residual != RESIDUAL_SHARED_NORM;
    return own ? SLOT_MLP_NORM : SLOT_ATTN_NORM;
}

static const struct norm *norm_before(const struct pass *p, enum half half)
{
    return &pass_layer(p)->norm[norm_slot(p, half)];
}

static enum slot post_norm_slot(enum half half)
{
    return half == HALF_MLP ? SLOT_MLP_POST_NORM : SLOT_ATTN_POST_NORM;
}

static const struct norm *norm_after(const struct pass *p, enum half half)
{
    return &pass_layer(p)->norm[post_norm_slot(half)];
}

/* Halves that read the same x keep it once. */
static struct half_activations *kept_input(const struct pass *p, enum half half)
{
    return &pass_activations(p)->half[is_parallel(p) ? HALF_ATTENTION : half];
}

struct half_run {
    struct pass *p;
    const struct norm *norm;
    const struct half_activations *kept;
};

static void norm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct half_run *run = arg;
    const struct workspace *ws = &run->p->d->ws;
    size_t h = run->p->d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        const float *x = ws->x + i * h;
        float r = run->norm->w ? norm_forward(run->norm, tmp, x, h) : 1;
        operand_store(&ws->normed, i, 0, run->norm->w ? tmp : x, h);
        if (run->kept->rstd) {
            run->kept->rstd[i] = r;
            operand_store(&run->kept->x, i, 0, x, h);
        }
    }
}

static void half_norm(struct pass *p, enum half half)
{
    struct half_run run = {p, norm_before(p, half), kept_input(p, half)};
    decoder_rows(p->d, p->batch->n, norm_rows, &run);
}

static void renorm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct half_run *run = arg;
    size_t h = run->p->d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        const float *x = operand_row(&run->kept->x, i, tmp + h);
        if (run->norm->w)
            norm_again(run->norm, tmp, x, h, run->kept->rstd[i]);
        operand_store(&run->p->d->ws.normed, i, 0, run->norm->w ? tmp : x, h);
    }
}

void half_renorm(struct pass *p, enum half half)
{
    struct half_run run = {p, norm_before(p, half), kept_input(p, half)};
    decoder_rows(p->d, p->batch->n, renorm_rows, &run);
}

static void unnorm_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct half_run *run = arg;
    struct workspace *ws = &run->p->d->ws;
    size_t h = run->p->d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        float *dx = ws->dx + i * h, *dn = ws->dn + i * h;
        if (run->norm->w)
            norm_backward(run->norm, dx, dn, operand_row(&run->kept->x, i, tmp), h,
                          run->kept->rstd[i]);
        else
            row_add(dx, dn, h, 1);
    }
}

void half_unnorm(struct pass *p, enum half half)
{
    struct half_run run = {p, norm_before(p, half), kept_input(p, half)};
    if (pass_trains_weights(p) && run.norm->w)
        trained_norm_backward(p, norm_slot(p, half), &run.kept->x, p->d->ws.dn, 1);
    decoder_rows(p->d, p->batch->n, unnorm_rows, &run);
}

/*
 * Back into the residual stream: x += r * post(y). Where nothing stands between, a half adds to x
 * itself; else it writes to ws.branch. Parallel halves add up there.
 */

static bool is_direct(const struct pass *p, enum half half)
{
    return !is_parallel(p) && !norm_after(p, half)->w && p->d->config.residual_scale == 1;
}

static struct half_output output_of(const struct pass *p, enum half half)
{
    struct workspace *ws = &p->d->ws;
    if (is_direct(p, half))
        return (struct half_output){ws->x, true};
    return (struct half_output){ws->branch, is_parallel(p) && half == HALF_MLP};
}

static void join_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct half_run *run = arg;
    const struct workspace *ws = &run->p->d->ws;
    size_t h = run->p->d->config.hidden;
    float scale = (float)run->p->d->config.residual_scale;
    for (size_t i = r0; i < r1; i++) {
        const float *y = ws->branch + i * h;
        if (run->norm->w) {
            float r = norm_forward(run->norm, tmp, y, h);
            if (run->kept->rstd_out) {
                run->kept->rstd_out[i] = r;
                operand_store(&run->kept->out, i, 0, y, h);
            }
            y = tmp;
        }
        row_add(ws->x + i * h, y, h, scale);
    }
}

static void half_join(struct pass *p, enum half half)
{
    struct half_run run = {p, norm_after(p, half), &pass_activations(p)->half[half]};
    if (!is_direct(p, half))
        decoder_rows(p->d, p->batch->n, join_rows, &run);
}

static void unjoin_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct half_run *run = arg;
    const struct workspace *ws = &run->p->d->ws;
    size_t h = run->p->d->config.hidden;
    float scale = (float)run->p->d->config.residual_scale;
    for (size_t i = r0; i < r1; i++) {
        float *dy = ws->d_branch + i * h;
        memcpy(dy, ws->dx + i * h, h * sizeof *dy);
        row_scale(dy, h, scale);
        if (!run->norm->w)
            continue;
        memcpy(tmp, dy, h * sizeof *dy);
        memset(dy, 0, h * sizeof *dy);
        norm_backward(run->norm, dy, tmp, operand_row(&run->kept->out, i, tmp + h), h,
                      run->kept->rstd_out[i]);
    }
}

/* The gradient of what a half gave: [T, H]. */
static float *half_unjoin(struct pass *p, enum half half)
{
    struct half_run run = {p, norm_after(p, half), &pass_activations(p)->half[half]};
    if (is_direct(p, half))
        return p->d->ws.dx;
    if (pass_trains_weights(p) && run.norm->w)
        trained_norm_backward(p, post_norm_slot(half), &run.kept->out, p->d->ws.dx,
                              p->d->config.residual_scale);
    decoder_rows(p->d, p->batch->n, unjoin_rows, &run);
    return p->d->ws.d_branch;
}

/* Layers. */

static int layer_forward(struct pass *p)
{
    half_norm(p, HALF_ATTENTION);
    if (attention_half(p, output_of(p, HALF_ATTENTION)))
        return -1;
    if (!is_parallel(p))
        half_join(p, HALF_ATTENTION);
    half_norm(p, HALF_MLP);
    mlp_half(p, output_of(p, HALF_MLP));
    half_join(p, HALF_MLP);
    return 0;
}

int pass_forward(struct pass *p)
{
    for (p->layer = 0; p->layer < p->d->config.n_layers; p->layer++)
        if (layer_forward(p))
            return -1;
    return 0;
}

/* No further back than to the lowest adapter. */
static int layer_backward(struct pass *p)
{
    bool below = p->layer > p->lowest || p->through, attention = below || attention_is_adapted(p);
    float *dy = half_unjoin(p, HALF_MLP);
    mlp_half_backward(p, dy, below || (attention && !is_parallel(p)));
    if (!attention)
        return 0;
    if (!is_parallel(p))
        dy = half_unjoin(p, HALF_ATTENTION);
    return attention_half_backward(p, dy, below);
}

int pass_backward(struct pass *p)
{
    for (p->layer = p->d->config.n_layers; p->layer-- > p->lowest;)
        if (layer_backward(p))
            return -1;
    return 0;
}
