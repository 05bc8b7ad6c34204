/* Weights of an adapter in place of the base's tensors, and their gradients. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/norm.h"
#include "compute/rows.h"
#include "model/decoder_internal.h"

static struct norm *norm_of(struct decoder *d, enum slot slot, size_t layer)
{
    if (slot == SLOT_NORM)
        return &d->norm;
    return slot_in_layer(slot) && !slot_is_linear(slot) ? &d->layers[layer].norm[slot] : NULL;
}

static struct place place_of(struct decoder *d, enum slot slot, size_t layer)
{
    enum slot owner = slot_owner(slot);
    struct norm *norm = norm_of(d, owner, layer);
    if (norm)
        return (struct place){.vector = slot_is_bias(slot) ? &norm->b : &norm->w};
    if (slot_is_bias(slot))
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): d is never NULL */
        return (struct place){.vector = &d->layers[layer].bias[owner]};
    return (struct place){.matrix = slot == SLOT_EMBED       ? &d->embed
                                    : slot == SLOT_POSITIONS ? &d->position_embed
                                    : slot == SLOT_HEAD      ? &d->head
                                                             : &d->layers[layer].w[slot]};
}

void decoder_base_values(struct decoder *d, enum slot slot, size_t layer, float *out)
{
    struct tensor_name name;
    struct place at = place_of(d, slot, layer);
    decoder_wear(d, NULL);
    names_describe(&d->config, slot, layer, &name);
    if (at.matrix) {
        matrix_floats(at.matrix, 0, at.matrix->rows, 0, at.matrix->cols, out, at.matrix->cols);
        return;
    }
    float *vector = decoder_stored_vector(d, slot, layer);
    bool whole = d->config.norm_plus_one && checkpoint_gguf(d->checkpoint) && slot_is_norm(slot);
    for (size_t i = 0; i < name.rows; i++)
        out[i] = whole ? vector[i] - 1 : vector[i];
    free(vector);
}

/* Where Hugging Face folders keep a norm's w - 1, so does the adapter: w itself is made for the
 * decoder. */
static float *shifted(const struct decoder *d, const struct lora_weight *w)
{
    if (!d->config.norm_plus_one || !slot_is_norm(w->slot))
        return NULL;
    float *values = xcalloc(w->rows, sizeof *values);
    for (size_t i = 0; i < w->rows; i++)
        values[i] = w->values[i] + 1;
    return values;
}

static void displace(struct decoder *d, struct place at, const struct lora_weight *w)
{
    struct displaced *was = &d->displaced[d->n_displaced++];
    *was = (struct displaced){.at = at, .shifted = shifted(d, w)};
    if (at.matrix) {
        was->matrix = *at.matrix;
        *at.matrix = matrix_of_floats(w->values, w->rows, w->cols);
    } else {
        was->vector = *at.vector;
        *at.vector = was->shifted ? was->shifted : w->values;
    }
}

void decoder_wear(struct decoder *d, const struct lora *l)
{
    while (d->n_displaced) {
        const struct displaced *was = &d->displaced[--d->n_displaced];
        if (was->at.matrix)
            *was->at.matrix = was->matrix;
        else
            *was->at.vector = was->vector;
        free(was->shifted);
    }
    d->d_head = NULL;
    if (!l || !l->n_weights)
        return;
    d->displaced = xreallocarray(d->displaced, l->n_weights + 1, sizeof *d->displaced);
    for (size_t i = 0; i < l->n_weights; i++) {
        const struct lora_weight *w = &l->weights[i];
        const bool tied = w->slot == SLOT_EMBED && d->config.tied;
        displace(d, place_of(d, w->slot, w->layer), w);
        if (tied)
            displace(d, (struct place){.matrix = &d->head}, w);
        if (tied || w->slot == SLOT_HEAD)
            d->d_head = w->grad;
    }
}

/* ---- gradients ---- */

bool pass_trains_weights(const struct pass *p)
{
    return p->training && p->lora->n_weights;
}

/* The gradient of a weight in the pass's layer; NULL if it isn't trained. */
static float *gradient_of(const struct pass *p, enum slot slot)
{
    const struct lora_weight *w = lora_find_weight(p->lora, p->layer, slot);
    return w ? w->grad : NULL;
}

void trained_matrix_backward(struct pass *p, enum slot slot, const struct operand *x,
                             const struct operand *dy)
{
    float *grad = gradient_of(p, slot);
    if (grad)
        gemm_grad_w(p->d->gemm, x, p->batch->n, dy, grad);
}

/* Sums down the columns: each task has some of them, and goes through the rows in order. */
enum { COLUMNS = 64 };

struct columns_run {
    struct pass *p;
    const struct operand *dy;
    const float *dn;
    const uint32_t *ids; /* of the rows of grad; NULL: positions */
    float *grad, scale;
    size_t n, rows; /* columns, rows */
};

static void run_columns(struct columns_run *run, void (*task)(void *arg, size_t i, size_t thread))
{
    pool_run(run->p->d->pool, (run->n + COLUMNS - 1) / COLUMNS, task, run);
}

static void bias_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct columns_run *run = arg;
    size_t c0 = i * COLUMNS, c = size_min(COLUMNS, run->n - c0);
    float dy[COLUMNS];
    double sum[COLUMNS] = {0};
    for (size_t t = 0; t < run->rows; t++) {
        operand_load(run->dy, t, c0, dy, c);
        for (size_t k = 0; k < c; k++)
            sum[k] += (double)dy[k];
    }
    for (size_t k = 0; k < c; k++)
        run->grad[c0 + k] += (float)sum[k];
}

void trained_bias_backward(struct pass *p, enum slot slot, const struct operand *dy)
{
    float *grad = gradient_of(p, SLOT_BIAS(slot));
    struct columns_run run = {.p = p, .dy = dy, .grad = grad, .n = dy->cols, .rows = p->batch->n};
    if (grad)
        run_columns(&run, bias_task);
}

/*
 * Norms: y = w * xh + b with xh = (x - m) r (compute/norm.h), of a whole row or of each head in it
 * by itself: dw = sum of dy xh over rows and heads, db = sum of dy.
 */
struct norm_run {
    struct pass *p;
    const struct norm *norm;
    const struct operand *x;
    const size_t *rows_of; /* of x, where dn has rows for some only; else NULL */
    const float *dn;       /* [rows, heads * n] */
    size_t rows, heads, n;
    double scale;       /* of dn */
    float *mean, *rstd; /* [rows, heads] */
    float *dw, *db;     /* [n] or NULL */
};

static size_t input_row(const struct norm_run *run, size_t t)
{
    return run->rows_of ? run->rows_of[t] : t;
}

static void moment_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct norm_run *run = arg;
    size_t wide = run->heads * run->n;
    for (size_t t = r0; t < r1; t++) {
        const float *x = operand_row(run->x, input_row(run, t), tmp);
        for (size_t h = 0; h < run->heads; h++) {
            const float *head = x + h * run->n;
            size_t at = t * run->heads + h;
            run->rstd[at] = norm_forward(run->norm, tmp + wide, head, run->n);
            run->mean[at] = run->norm->centred ? row_sum(head, run->n) / (float)run->n : 0;
        }
    }
}

static void norm_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct norm_run *run = arg;
    size_t c0 = i * COLUMNS, c = size_min(COLUMNS, run->n - c0);
    float x[COLUMNS];
    double dw[COLUMNS] = {0}, db[COLUMNS] = {0};
    for (size_t t = 0; t < run->rows * run->heads; t++) {
        size_t column = t % run->heads * run->n + c0;
        const float *dn = run->dn + t * run->n + c0;
        operand_load(run->x, input_row(run, t / run->heads), column, x, c);
        for (size_t k = 0; k < c; k++) {
            dw[k] += (double)(dn[k] * ((x[k] - run->mean[t]) * run->rstd[t]));
            db[k] += (double)dn[k];
        }
    }
    for (size_t k = 0; k < c; k++) {
        if (run->dw)
            run->dw[c0 + k] += (float)(run->scale * dw[k]);
        if (run->db)
            run->db[c0 + k] += (float)(run->scale * db[k]);
    }
}

static void run_norm(struct norm_run *run, enum slot slot)
{
    struct decoder *d = run->p->d;
    const struct lora_weight *w, *b, *either;
    size_t layer = slot_in_layer(slot) ? run->p->layer : 0;
    w = lora_find_weight(run->p->lora, layer, slot);
    b = lora_find_weight(run->p->lora, layer, SLOT_BIAS(slot));
    either = w ? w : b;
    if (!either)
        return;
    run->norm = norm_of(d, slot, layer);
    run->dw = w ? w->grad : NULL;
    run->db = b ? b->grad : NULL;
    run->n = either->rows;
    run->heads = run->x->cols / run->n;
    run->mean = xcalloc(2 * run->rows * run->heads, sizeof *run->mean);
    run->rstd = run->mean + run->rows * run->heads;
    decoder_rows(d, run->rows, moment_rows, run);
    pool_run(d->pool, (run->n + COLUMNS - 1) / COLUMNS, norm_task, run);
    free(run->mean);
}

void trained_norm_backward(struct pass *p, enum slot slot, const struct operand *x, const float *dn,
                           double scale)
{
    struct norm_run run = {.p = p, .x = x, .dn = dn, .rows = p->batch->n, .scale = scale};
    run_norm(&run, slot);
}

/* The last norm's inputs are rows of ws.x. */
void trained_last_norm_backward(struct pass *p, size_t n)
{
    const struct workspace *ws = &p->d->ws;
    const struct operand x = {ws->x, p->d->config.hidden, false};
    struct norm_run run = {
        .p = p, .x = &x, .rows_of = ws->rows_of, .dn = ws->d_predict, .rows = n, .scale = 1};
    run_norm(&run, SLOT_NORM);
}

static void embedding_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct columns_run *run = arg;
    const size_t *positions = run->p->d->ws.positions;
    size_t c0 = i * COLUMNS, c = size_min(COLUMNS, run->n - c0);
    for (size_t t = 0; t < run->rows; t++)
        row_add(run->grad + (run->ids ? run->ids[t] : positions[t]) * run->n + c0,
                run->dn + t * run->n + c0, c, run->scale);
}

void trained_embedding_backward(struct pass *p)
{
    const struct lora_weight *tokens = lora_find_weight(p->lora, 0, SLOT_EMBED);
    const struct lora_weight *positions = lora_find_weight(p->lora, 0, SLOT_POSITIONS);
    struct columns_run run = {.p = p,
                              .dn = p->d->ws.dx,
                              .ids = p->batch->ids,
                              .scale = (float)p->d->config.embed_scale,
                              .n = p->d->config.hidden,
                              .rows = p->batch->n};
    if (tokens) {
        run.grad = tokens->grad;
        run_columns(&run, embedding_task);
    }
    if (positions) {
        run.grad = positions->grad;
        run.ids = NULL;
        run.scale = 1;
        run_columns(&run, embedding_task);
    }
}
