/* The decoder's buffers: sized once for the longest pass, kept between passes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

static void free_operand(struct operand *o)
{
    free(o->p);
    o->p = NULL;
}

static void free_activations(struct activations *a)
{
    free(a->routes.p);
    free(a->routes.expert);
    free(a->routes.weight);
    free(a->routes.at);
    free(a->routes.first);
    struct operand *operands[] = {&a->q, &a->k, &a->v, &a->out, &a->gate, &a->up};
    for (size_t i = 0; i < ARRAY_SIZE(operands); i++)
        free_operand(operands[i]);
    for (size_t i = 0; i < 2; i++) {
        free_operand(&a->half[i].x);
        free_operand(&a->half[i].out);
        free(a->half[i].rstd);
        free(a->half[i].rstd_out);
    }
    free(a->lse);
    for (enum slot s = 0; s < SLOT_WEIGHTS; s++) {
        free(a->h[s]);
        free_operand(&a->u[s]);
    }
}

static void free_pairs(struct pair_rows *p)
{
    struct operand *operands[] = {&p->x, &p->act, &p->d_gate, &p->d_up, &p->d_logits};
    for (size_t i = 0; i < ARRAY_SIZE(operands); i++)
        free_operand(operands[i]);
    free(p->y);
    free(p->wide[0]);
    free(p->wide[1]);
    free(p->d_weight);
}

void decoder_release_workspace(struct decoder *d)
{
    struct workspace *ws = &d->ws;
    for (size_t i = 0; i < ws->n_saved; i++)
        free_activations(&ws->saved[i]);
    free_pairs(&ws->pairs);
    struct operand *operands[] = {&ws->normed,   &ws->dropped, &ws->act,       &ws->predict,
                                  &ws->q,        &ws->k,       &ws->grad[0],   &ws->grad[1],
                                  &ws->grad[2],  &ws->rest,    &ws->scaled[0], &ws->scaled[1],
                                  &ws->scaled[2]};
    for (size_t i = 0; i < ARRAY_SIZE(operands); i++)
        free_operand(operands[i]);
    for (size_t i = 0; i < 3; i++) {
        free(ws->wide[i]);
        free(ws->dh[i]);
        free(ws->product[i]);
    }
    for (size_t i = 0; ws->thread_rows && i < pool_threads(d->pool); i++)
        free(ws->thread_rows[i]);
    free(ws->thread_rows);
    free(ws->x);
    free(ws->dx);
    free(ws->dn);
    free(ws->dv);
    free(ws->branch);
    free(ws->d_branch);
    free(ws->beyond);
    free(ws->low);
    free(ws->d_predict);
    free(ws->positions);
    free(ws->rows_of);
    free(ws->targets);
    free(ws->weights);
    free(ws->logprobs);
    free(ws->mean_logprobs);
    free(ws->saved);
    *ws = (struct workspace){0};
}

/* Allocation that remembers the first failure; or, with `bytes`, only what it would take. */
struct allocator {
    size_t rows;
    bool bf16, failed;
    size_t *bytes;
    struct err *err;
};

static void *array(struct allocator *a, size_t cols, size_t size, const char *what)
{
    size_t n;
    if (!size_mul(a->rows, cols, &n))
        n = SIZE_MAX;
    if (a->bytes) {
        if (!size_add(*a->bytes, mem_array_bytes(n, size), a->bytes))
            *a->bytes = SIZE_MAX / 2;
        return NULL;
    }
    void *p = a->failed ? NULL : mem_array(n, size, what, a->err);
    a->failed = !p;
    return p;
}

static void *floats(struct allocator *a, size_t cols)
{
    return array(a, cols, sizeof(float), "activations");
}

static void *words(struct allocator *a, size_t size)
{
    return array(a, 1, size, "positions");
}

static void operand(struct allocator *a, struct operand *o, size_t cols)
{
    *o = (struct operand){array(a, cols, operand_size(a->bf16), "activations"), cols, a->bf16};
}

static void allocate_half(struct allocator *a, const struct model_config *c,
                          struct half_activations *out, bool input)
{
    if (input) {
        operand(a, &out->x, c->hidden);
        out->rstd = floats(a, 1);
    }
    if (c->post_norms) {
        operand(a, &out->out, c->hidden);
        out->rstd_out = floats(a, 1);
    }
}

/* Of the MLP, or of the experts that may be there instead. */
static void allocate_inner(struct allocator *a, const struct model_config *c,
                           struct activations *out, bool experts)
{
    struct allocator pairs = *a;
    pairs.rows = experts ? a->rows * c->experts_used : a->rows;
    operand(&pairs, &out->up, experts ? c->expert_ffn : c->ffn);
    if (c->gated)
        operand(&pairs, &out->gate, experts ? c->expert_ffn : c->ffn);
    a->failed = pairs.failed;
}

static void allocate_routes(struct allocator *a, const struct model_config *c, struct routes *r)
{
    r->p = floats(a, c->n_experts);
    r->weight = floats(a, c->experts_used);
    r->expert = words(a, c->experts_used * sizeof *r->expert);
    r->at = words(a, c->experts_used * sizeof *r->at);
    r->first = xcalloc(c->n_experts + 1, sizeof *r->first);
}

static void allocate_pairs(struct allocator *a, const struct model_config *c, bool training,
                           struct pair_rows *out)
{
    struct allocator pairs = *a;
    pairs.rows = a->rows * c->experts_used;
    operand(&pairs, &out->x, c->hidden);
    operand(&pairs, &out->act, c->expert_ffn);
    out->y = floats(&pairs, c->hidden);
    for (size_t i = 0; i < 2; i++)
        out->wide[i] = floats(&pairs, c->expert_ffn);
    if (training) {
        operand(&pairs, &out->d_gate, c->expert_ffn);
        operand(&pairs, &out->d_up, c->expert_ffn);
        out->d_weight = floats(&pairs, 1);
        operand(&pairs, &out->d_logits, c->n_experts);
    }
    a->failed = pairs.failed;
}

/* `keep`: what only the way back needs is there too. */
static void allocate_activations(struct allocator *a, const struct decoder *d,
                                 struct activations *out, size_t layer, bool keep)
{
    const struct model_config *c = &d->config;
    bool experts = c->layer_flags[layer] & LAYER_EXPERTS;
    size_t q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim;
    operand(a, &out->q, q);
    operand(a, &out->k, k);
    operand(a, &out->v, k);
    operand(a, &out->out, q);
    if (keep) {
        allocate_inner(a, c, out, experts);
        allocate_half(a, c, &out->half[HALF_ATTENTION], true);
        allocate_half(a, c, &out->half[HALF_MLP], c->residual == RESIDUAL_SEQUENTIAL);
        out->lse = floats(a, c->n_heads);
    }
    if (c->n_experts && (experts || !keep))
        allocate_routes(a, c, &out->routes);
    for (enum slot s = 0; s < SLOT_WEIGHTS && d->ws.rank; s++)
        if (slot_is_linear(s) && (!keep || names_has(c, s, layer)))
            out->h[s] = floats(a, d->ws.rank);
}

/* What DoRA keeps of a layer: the products of its adapted matrices. */
static void allocate_products(struct allocator *a, struct activations *out, const struct lora *lora,
                              size_t layer)
{
    for (enum slot s = 0; s < SLOT_WEIGHTS; s++) {
        const struct lora_pair *pair = lora_find(lora, layer, s);
        if (pair)
            operand(a, &out->u[s], pair->out);
    }
}

static void allocate_training(struct allocator *a, struct workspace *ws,
                              const struct model_config *c, bool dropout)
{
    size_t widest = decoder_widest(c);
    ws->dx = floats(a, c->hidden);
    ws->dn = floats(a, c->hidden);
    ws->dv = floats(a, key_width(c));
    if (decoder_has_branch(c))
        ws->d_branch = floats(a, c->hidden);
    ws->d_predict = floats(a, c->hidden);
    for (size_t i = 0; i < 3; i++) {
        /* float32 gradients are multiplied with where they are. */
        if (a->bf16)
            operand(a, &ws->grad[i], widest);
        ws->dh[i] = ws->rank ? floats(a, ws->rank) : NULL;
    }
    if (dropout)
        ws->low = floats(a, widest);
}

static void allocate_dora(struct allocator *a, struct workspace *ws, size_t widest)
{
    for (size_t i = 0; i < 3; i++) {
        ws->product[i] = floats(a, widest);
        if (ws->training)
            operand(a, &ws->scaled[i], widest);
    }
    if (ws->dropout)
        operand(a, &ws->rest, widest);
}

/* bytes: as the allocator's. */
static int allocate(struct decoder *d, size_t rows, const struct lora *lora, bool training,
                    size_t *bytes, struct err *err)
{
    const struct model_config *c = &d->config;
    struct workspace *ws = &d->ws;
    struct allocator a = {rows, gemm_wants_bf16(d->gemm), false, bytes, err};
    size_t widest = decoder_widest(c), threads = pool_threads(d->pool);
    ws->rows = rows;
    ws->rank = lora_max_rank(lora);
    ws->training = training;
    ws->dropout = training && lora->dropout > 0;
    ws->dora = lora && lora->dora;
    ws->x = floats(&a, c->hidden);
    operand(&a, &ws->normed, c->hidden);
    if (decoder_has_branch(c))
        ws->branch = floats(&a, c->hidden);
    if (c->qk_norm) {
        operand(&a, &ws->q, query_width(c));
        operand(&a, &ws->k, key_width(c));
    }
    operand(&a, &ws->act, c->ffn);
    operand(&a, &ws->predict, c->hidden);
    for (size_t i = 0; i < 3; i++)
        ws->wide[i] = floats(&a, widest);
    if (ws->dropout)
        operand(&a, &ws->dropped, widest);
    ws->positions = words(&a, sizeof *ws->positions);
    ws->rows_of = words(&a, sizeof *ws->rows_of);
    ws->beyond = words(&a, sizeof *ws->beyond);
    ws->targets = words(&a, sizeof *ws->targets);
    ws->weights = floats(&a, 1);
    ws->logprobs = floats(&a, 1);
    ws->mean_logprobs = floats(&a, 1);
    if (training)
        allocate_training(&a, ws, c, ws->dropout);
    if (ws->dora)
        allocate_dora(&a, ws, widest);
    ws->thread_rows = xcalloc(threads, sizeof *ws->thread_rows);
    for (size_t i = 0; i < threads; i++)
        ws->thread_rows[i] = xcalloc(4 * widest, sizeof(float));
    /* saved[0] serves all layers that nothing is kept of. */
    ws->first_saved = training ? lora_first_layer(lora, d->config.n_layers) : c->n_layers;
    ws->n_saved = 1 + c->n_layers - ws->first_saved;
    ws->saved = xcalloc(ws->n_saved, sizeof *ws->saved);
    allocate_activations(&a, d, &ws->saved[0], 0, false);
    for (size_t i = 1; i < ws->n_saved; i++)
        allocate_activations(&a, d, &ws->saved[i], ws->first_saved + i - 1, true);
    if (c->n_experts)
        allocate_pairs(&a, c, training, &ws->pairs);
    for (size_t i = 1; i < ws->n_saved && ws->dora; i++)
        allocate_products(&a, &ws->saved[i], lora, ws->first_saved + i - 1);
    return a.failed ? -1 : 0;
}

/* Whether there is room for what an adapter with DoRA keeps. */
static bool has_products(const struct workspace *ws, const struct lora *lora)
{
    if (!lora || !lora->dora)
        return true;
    for (size_t i = 0; i < lora->n_pairs && ws->training && ws->dora; i++) {
        const struct lora_pair *p = &lora->pairs[i];
        if (p->layer < ws->first_saved || !ws->saved[1 + p->layer - ws->first_saved].u[p->slot].p)
            return false;
    }
    return ws->dora;
}

int decoder_reserve(struct decoder *d, size_t rows, const struct lora *lora, bool training,
                    struct err *err)
{
    struct workspace *ws = &d->ws;
    decoder_wear(d, lora);
    if (decoder_reserve_positions(d, rows, err) || decoder_refresh_gains(d, lora, err))
        return -1;
    /* Scoring between two steps finds what it needs in the workspace of training. */
    bool fits = ws->rows >= rows && ws->rank >= lora_max_rank(lora) && ws->training >= training &&
                has_products(ws, lora) &&
                (!training || (ws->first_saved <= lora_first_layer(lora, d->config.n_layers) &&
                               (ws->dropout || !(lora->dropout > 0))));
    if (fits)
        return 0;
    if (rows < ws->rows)
        rows = ws->rows;
    decoder_release_workspace(d);
    if (allocate(d, rows, lora, training, NULL, err)) {
        decoder_release_workspace(d);
        return err_prefix(err, "a pass of %zu tokens", rows);
    }
    return 0;
}

/* What isn't in the workspace: logits, attention's copies of heads, positions, panels of products.
 */
static size_t other_bytes(const struct decoder *d, size_t rows)
{
    const struct model_config *c = &d->config;
    const size_t panels = 10 << 20, of_a_thread = 1 << 20, q = query_width(c), k = key_width(c);
    size_t bytes = xent_bytes(d->gemm, c->vocab, c->final_softcap != 0);
    bytes += rows * (3 * q * sizeof(float) + k * sizeof(uint16_t));
    for (size_t i = 0; i < ARRAY_SIZE(d->rotations); i++)
        if (d->rotations[i].rope)
            bytes += 2 * rows * c->rotary_dim * sizeof(float);
    /* Rows that would crowd each other out of the cache are multiplied as copies (gemm_bf16.c). */
    if (gemm_wants_bf16(d->gemm))
        bytes += rows * (size_min(decoder_widest(c), 2048) + 64) * sizeof(uint16_t);
    return bytes + panels + pool_threads(d->pool) * (of_a_thread + rows * 512);
}

size_t decoder_training_bytes(const struct decoder *d, const struct lora *lora, size_t pass_tokens)
{
    struct decoder copy = *d;
    size_t bytes = 0;
    copy.ws = (struct workspace){0};
    allocate(&copy, pass_tokens, lora, true, &bytes, NULL);
    decoder_release_workspace(&copy);
    return bytes + other_bytes(d, pass_tokens) + lora->n_params * 2 * sizeof(float);
}
