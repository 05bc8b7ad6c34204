/* The decoder's life: binding weights, buffers, and the public calls. */
#include "model/decoder.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/ops.h"
#include "model/decoder_internal.h"

/* Tokens in a pass: enough rows for the matrix products, few enough for the memory; bf16 halves
 * what a row needs, and its panels are worth more rows. */
enum { PASS_TOKENS = 512, PASS_TOKENS_BF16 = 1024, ROW_BLOCK = 8 };

const struct model_config *decoder_config(const struct decoder *d)
{
    return &d->config;
}

enum backend decoder_backend(const struct decoder *d)
{
    return d->backend;
}

size_t decoder_widest(const struct model_config *c)
{
    size_t q = query_width(c), f = c->fused_gate_up ? 2 * c->ffn : c->ffn;
    if (c->qkv != QKV_SEPARATE)
        q += 2 * key_width(c);
    if (c->n_experts)
        f = size_max(f, size_max(2 * c->expert_ffn, c->n_experts));
    return size_max(c->hidden, size_max(q, f));
}

bool decoder_has_branch(const struct model_config *c)
{
    return c->residual != RESIDUAL_SEQUENTIAL || c->post_norms || c->residual_scale != 1;
}

size_t batch_targets(const struct batch *b)
{
    size_t n = 0;
    for (size_t i = 0, start = 0; i < b->n_documents; start += b->lengths[i++])
        for (size_t t = 1; t < b->lengths[i]; t++)
            n += !b->trained || b->trained[start + t];
    return n;
}

/* Binding. */

const struct tensor *decoder_stored_tensor(const struct decoder *d, const struct tensor_name *name)
{
    return names_tensor(d->checkpoint, name);
}

static struct matrix bind_expert(const struct decoder *d, enum slot slot, size_t layer,
                                 size_t expert)
{
    struct tensor_name name;
    names_describe_expert(&d->config, slot, layer, expert, &name);
    const struct tensor *t = decoder_stored_tensor(d, &name);
    bool gguf = checkpoint_gguf(d->checkpoint) != NULL;
    return (struct matrix){
        .dtype = t->dtype,
        .data = t->data,
        .rows = (size_t)name.rows,
        .cols = (size_t)name.cols,
        .row_bytes = t->bytes / (size_t)t->shape[0],
        .transposed = name.transposed && !gguf,
        .order = gguf ? name.gguf_rows : (struct row_order){0},
    };
}

static struct matrix bind_matrix(const struct decoder *d, enum slot slot, size_t layer)
{
    return bind_expert(d, slot, layer, 0);
}

float *decoder_stored_vector(const struct decoder *d, enum slot slot, size_t layer)
{
    struct tensor_name name;
    names_describe(&d->config, slot, layer, &name);
    const struct tensor *t = decoder_stored_tensor(d, &name);
    size_t n = (size_t)name.rows;
    float *stored = xcalloc(n, sizeof *stored), *out = xcalloc(n, sizeof *out);
    dtypes[t->dtype].to_float(t->data, stored, n);
    bool gguf = checkpoint_gguf(d->checkpoint) != NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = stored[gguf ? matrix_stored_row(i, name.gguf_rows) : i];
    free(stored);
    return out;
}

static struct norm bind_norm(const struct decoder *d, enum slot slot, size_t layer)
{
    const struct model_config *c = &d->config;
    struct norm norm = {.centred = c->norm == NORM_LAYER, .eps = (float)c->norm_eps};
    if (!names_has(c, slot, layer))
        return norm;
    struct tensor_name name;
    names_describe(c, slot, layer, &name);
    norm.w = decoder_stored_vector(d, slot, layer);
    for (size_t i = 0; c->norm_plus_one && !checkpoint_gguf(d->checkpoint) && i < name.rows; i++)
        norm.w[i] += 1;
    if (names_has(c, SLOT_BIAS(slot), layer))
        norm.b = decoder_stored_vector(d, SLOT_BIAS(slot), layer);
    return norm;
}

/* A vector in a block format would have to be a whole number of blocks. */
static int check_vectors(const struct decoder *d, struct err *err)
{
    struct tensor_name name;
    for (size_t i = 0; i < names_count(&d->config); i++) {
        names_at(&d->config, i, &name);
        const struct tensor *t = decoder_stored_tensor(d, &name);
        if (name.n_dims == 1 && dtypes[t->dtype].block != 1)
            return err_set(err, "%s: tensor %s: a vector of type %s", t->file, t->name,
                           dtypes[t->dtype].name);
    }
    return 0;
}

static const enum slot norm_slots[] = {SLOT_ATTN_NORM,     SLOT_ATTN_POST_NORM, SLOT_MLP_NORM,
                                       SLOT_MLP_POST_NORM, SLOT_Q_NORM,         SLOT_K_NORM};

static struct experts bind_experts(const struct decoder *d, size_t layer)
{
    struct experts x = {0};
    struct matrix **const matrices[] = {&x.gate, &x.up, &x.down};
    if (!names_has(&d->config, SLOT_ROUTER, layer))
        return x;
    x.router = bind_matrix(d, SLOT_ROUTER, layer);
    for (size_t k = 0; k < ARRAY_SIZE(matrices); k++) {
        *matrices[k] = xcalloc(d->config.n_experts, sizeof **matrices[k]);
        for (size_t e = 0; e < d->config.n_experts; e++)
            (*matrices[k])[e] = bind_expert(d, (enum slot)(SLOT_EXPERT_GATE + k), layer, e);
    }
    return x;
}

static void bind_layer(struct decoder *d, size_t i)
{
    struct layer *l = &d->layers[i];
    uint8_t flags = d->config.layer_flags[i];
    l->window = flags & LAYER_WINDOW ? d->config.window : ATTENTION_ALL;
    l->rotation = decoder_rotation(d, flags);
    l->experts = bind_experts(d, i);
    for (size_t k = 0; k < ARRAY_SIZE(norm_slots); k++)
        l->norm[norm_slots[k]] = bind_norm(d, norm_slots[k], i);
    for (enum slot s = SLOT_LAYER_FIRST; s < SLOT_WEIGHTS; s++) {
        if (!slot_is_linear(s) || !names_has(&d->config, s, i))
            continue;
        l->w[s] = bind_matrix(d, s, i);
        if (names_has(&d->config, SLOT_BIAS(s), i))
            l->bias[s] = decoder_stored_vector(d, SLOT_BIAS(s), i);
    }
}

static int bind_weights(struct decoder *d, struct err *err)
{
    const struct model_config *c = &d->config;
    if (check_vectors(d, err))
        return -1;
    d->embed = bind_matrix(d, SLOT_EMBED, 0);
    d->head = c->tied ? d->embed : bind_matrix(d, SLOT_HEAD, 0);
    if (c->learned_positions)
        d->position_embed = bind_matrix(d, SLOT_POSITIONS, 0);
    d->norm = bind_norm(d, SLOT_NORM, 0);
    d->layers = xcalloc(c->n_layers, sizeof *d->layers);
    for (size_t i = 0; i < c->n_layers; i++)
        bind_layer(d, i);
    return 0;
}

void decoder_set_pass_tokens(struct decoder *d, size_t pass_tokens)
{
    size_t usual = d->backend == BACKEND_BF16 ? PASS_TOKENS_BF16 : PASS_TOKENS;
    d->pass_tokens = pass_tokens ? pass_tokens : usual;
}

size_t decoder_pass_tokens(const struct decoder *d)
{
    return d->pass_tokens;
}

int decoder_open(struct decoder **out, const struct checkpoint *c,
                 const struct decoder_options *options, struct err *err)
{
    *out = NULL;
    struct decoder *d = xcalloc(1, sizeof *d);
    d->checkpoint = c;
    if (config_load(&d->config, c, err) || names_check(&d->config, c, err) || bind_weights(d, err))
        goto fail;
    d->pool = pool_new(options->threads, err);
    if (!d->pool || gemm_new(&d->gemm, options->backend, d->pool, err))
        goto fail;
    if (decoder_quantise(d, options->base_type, err))
        goto fail;
    d->backend = gemm_wants_bf16(d->gemm) ? BACKEND_BF16 : BACKEND_FP32;
    decoder_set_pass_tokens(d, options->pass_tokens);
    const struct model_config *k = &d->config;
    struct attention_shape shape = {.n_heads = k->n_heads,
                                    .n_kv_heads = k->n_kv_heads,
                                    .head_dim = k->head_dim,
                                    .scale = (float)k->attention_scale,
                                    .softcap = (float)k->attention_softcap};
    if (attention_new(&d->attention, &shape, d->pool, err))
        goto fail;
    *out = d;
    return 0;
fail:
    decoder_close(d);
    return -1;
}

void decoder_close(struct decoder *d)
{
    if (!d)
        return;
    decoder_release_workspace(d);
    decoder_wear(d, NULL);
    free(d->displaced);
    for (size_t i = 0; d->layers && i < d->config.n_layers; i++) {
        struct layer *l = &d->layers[i];
        free(l->experts.gate);
        free(l->experts.up);
        free(l->experts.down);
        for (enum slot s = 0; s < SLOT_WEIGHTS; s++) {
            free(l->norm[s].w);
            free(l->norm[s].b);
            free(l->bias[s]);
        }
    }
    decoder_release_quantised(d);
    free(d->layers);
    free(d->norm.w);
    free(d->norm.b);
    decoder_release_positions(d);
    xent_free(d->xent);
    attention_free(d->attention);
    gemm_free(d->gemm);
    pool_free(d->pool);
    free(d);
}

/* Blocks of rows. */

struct rows_run {
    struct decoder *d;
    size_t n;
    void (*fn)(void *arg, size_t r0, size_t r1, float *thread_rows);
    void *arg;
};

static void rows_task(void *arg, size_t i, size_t thread)
{
    struct rows_run *run = arg;
    size_t r0 = i * ROW_BLOCK, r1 = r0 + ROW_BLOCK < run->n ? r0 + ROW_BLOCK : run->n;
    run->fn(run->arg, r0, r1, run->d->ws.thread_rows[thread]);
}

void decoder_rows(struct decoder *d, size_t n,
                  void (*fn)(void *arg, size_t r0, size_t r1, float *thread_rows), void *arg)
{
    struct rows_run run = {d, n, fn, arg};
    pool_run(d->pool, (n + ROW_BLOCK - 1) / ROW_BLOCK, rows_task, &run);
}

/* Scoring. */

size_t decoder_find_predictions(struct decoder *d, const struct batch *b, bool all)
{
    struct workspace *ws = &d->ws;
    size_t n = 0;
    for (size_t i = 0, start = 0; i < b->n_documents; start += b->lengths[i++])
        for (size_t t = 0; t < b->lengths[i]; t++) {
            size_t row = start + t;
            ws->positions[row] = t;
            if (t + 1 == b->lengths[i] || (!all && b->trained && !b->trained[row + 1]))
                continue;
            ws->rows_of[n] = row;
            ws->weights[n] = b->weights ? b->weights[row + 1] : 1;
            ws->targets[n++] = b->ids[row + 1];
        }
    return n;
}

static void predict_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct decoder *d = arg;
    struct workspace *ws = &d->ws;
    size_t h = d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        norm_forward(&d->norm, tmp, ws->x + ws->rows_of[i] * h, h);
        operand_store(&ws->predict, i, 0, tmp, h);
    }
}

void decoder_predict(struct decoder *d, size_t n)
{
    decoder_rows(d, n, predict_rows, d);
}

struct cap_run {
    const struct decoder *d;
    float *logits;
};

static void cap_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct cap_run *run = arg;
    const struct model_config *c = &run->d->config;
    for (size_t i = r0; i < r1; i++)
        softcap_forward(run->logits + i * c->vocab, c->vocab, (float)c->logit_scale,
                        (float)c->final_softcap);
}

void decoder_predict_logits(struct decoder *d, size_t n, float *logits)
{
    struct gemm_forward job = {.w = &d->head, .y = logits};
    struct cap_run run = {d, logits};
    decoder_predict(d, n);
    gemm_forward(d->gemm, &d->ws.predict, n, &job, 1);
    if (d->config.logit_scale != 1 || d->config.final_softcap != 0)
        decoder_rows(d, n, cap_rows, &run);
}

int decoder_check_ids(const struct decoder *d, const uint32_t *ids, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= d->config.vocab)
            return err_set(err, "token id %" PRIu32 " is not below the model's vocabulary of %zu",
                           ids[i], d->config.vocab);
    return 0;
}

int decoder_check_batch(const struct decoder *d, const struct batch *b, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_documents; i++)
        if (!b->lengths[i] || !size_add(n, b->lengths[i], &n))
            return err_set(err, "a document of %zu tokens", b->lengths[i]);
    if (n != b->n)
        return err_set(err, "documents of %zu tokens in a row of %zu", n, b->n);
    return decoder_check_ids(d, b->ids, n, err);
}

int decoder_reserve_xent(struct decoder *d, struct err *err)
{
    if (!d->xent && xent_new(&d->xent, d->gemm, &d->head, (float)d->config.logit_scale,
                             (float)d->config.final_softcap, err))
        return -1;
    xent_train_head(d->xent, d->d_head);
    return 0;
}

/* Forward up to the log-probabilities of the n predictions. */
static int score_pass(struct pass *p, bool all, size_t *n)
{
    struct decoder *d = p->d;
    const struct xent_rows rows = {.target = d->ws.targets, .logprob = d->ws.logprobs};
    if (decoder_reserve_xent(d, p->err))
        return -1;
    *n = decoder_find_predictions(d, p->batch, all);
    if (pass_embed(p) || pass_forward(p))
        return -1;
    decoder_predict(d, *n);
    xent_run(d->xent, &d->ws.predict, *n, &rows);
    return 0;
}

static size_t sum_lengths(const struct batch *b, size_t first, size_t n)
{
    size_t sum = 0;
    for (size_t i = first; i < first + n; i++)
        sum += b->lengths[i];
    return sum;
}

struct batch decoder_next_part(const struct decoder *d, const struct batch *b, size_t first,
                               size_t start, size_t group, size_t *last)
{
    size_t n = sum_lengths(b, first, group);
    *last = first + group;
    while (*last < b->n_documents && n + sum_lengths(b, *last, group) <= d->pass_tokens) {
        n += sum_lengths(b, *last, group);
        *last += group;
    }
    return (struct batch){
        .ids = b->ids + start,
        .trained = b->trained ? b->trained + start : NULL,
        .weights = b->weights ? b->weights + start : NULL,
        .n = n,
        .lengths = b->lengths + first,
        .n_documents = *last - first,
    };
}

/* Sums -log p over each document's targets of one pass; logprob, if wanted, at every token. */
static void collect_scores(const struct pass *p, size_t n, double *nll, float *logprob)
{
    const struct batch *b = p->batch;
    const struct workspace *ws = &p->d->ws;
    for (size_t t = 0; logprob && t < b->n; t++)
        logprob[t] = NAN;
    size_t k = 0;
    for (size_t i = 0, start = 0; i < b->n_documents; start += b->lengths[i++]) {
        nll[i] = 0;
        for (; k < n && ws->rows_of[k] < start + b->lengths[i]; k++) {
            size_t token = ws->rows_of[k] + 1;
            if (logprob)
                logprob[token] = ws->logprobs[k];
            if (!b->trained || b->trained[token])
                nll[i] -= (double)ws->logprobs[k];
        }
    }
}

int decoder_score(struct decoder *d, const struct lora *lora, const struct batch *b, double *nll,
                  float *logprob, struct err *err)
{
    if (decoder_check_batch(d, b, err))
        return -1;
    size_t start = 0, last, n;
    for (size_t first = 0; first < b->n_documents; first = last) {
        struct batch part = decoder_next_part(d, b, first, start, 1, &last);
        struct pass p = {.d = d, .lora = lora, .batch = &part, .err = err};
        if (decoder_reserve(d, part.n, lora, false, err) || score_pass(&p, logprob != NULL, &n))
            return -1;
        collect_scores(&p, n, nll + first, logprob ? logprob + start : NULL);
        start += part.n;
    }
    return 0;
}

int decoder_logits(struct decoder *d, const struct lora *lora, const struct batch *b, float *logits,
                   struct err *err)
{
    struct pass p = {.d = d, .lora = lora, .batch = b, .err = err};
    if (decoder_check_batch(d, b, err) || decoder_reserve(d, b->n, lora, false, err))
        return -1;
    decoder_find_predictions(d, b, true);
    if (pass_embed(&p) || pass_forward(&p))
        return -1;
    for (size_t i = 0; i < b->n; i++)
        d->ws.rows_of[i] = i;
    decoder_predict_logits(d, b->n, logits);
    return 0;
}
