/* The decoder's life, and the public calls that score. */
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

void decoder_set_pass_tokens(struct decoder *d, size_t pass_tokens)
{
    size_t usual = d->backend == BACKEND_BF16 ? PASS_TOKENS_BF16 : PASS_TOKENS;
    d->pass_tokens = pass_tokens ? pass_tokens : usual;
}

void decoder_run_output(struct decoder *d, size_t n, const struct xent_rows *rows)
{
    const double begun = profile_begin(d->profile);
    const size_t products = rows->d_hidden ? 2 : 1;
    xent_run(d->xent, &d->ws.predict, n, rows);
    profile_end(d->profile, PROFILE_OUTPUT, false, begun,
                2.0 * (double)(products * n * d->config.hidden) * (double)d->config.vocab);
}

void decoder_set_profile(struct decoder *d, struct profile *p)
{
    d->profile = p;
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
    if (config_load(&d->config, c, err) || names_check(&d->config, c, err) || decoder_bind(d, err))
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
    decoder_release_quantised(d);
    decoder_unbind(d);
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
    decoder_run_output(d, *n, &rows);
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
                nll[i] -= b->weights ? (double)ws->weights[k] * (double)ws->logprobs[k]
                                     : (double)ws->logprobs[k];
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
