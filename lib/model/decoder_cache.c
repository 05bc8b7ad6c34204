/* Generation: new tokens of several sequences at once against their caches. */
#include <string.h>

#include "base/mem.h"
#include "compute/ops.h"
#include "model/decoder_internal.h"

#include <stdlib.h>

struct kv_cache {
    size_t n_slots, max_tokens, width; /* width = n_kv_heads * D */
    size_t n_layers;
    float *keys, *values; /* [n_layers, n_slots, max_tokens, width], rotated keys */
    size_t *lengths;      /* [n_slots] */
};

int kv_cache_new(struct kv_cache **out, const struct decoder *d, size_t n_slots, size_t max_tokens,
                 struct err *err)
{
    const struct model_config *c = &d->config;
    struct kv_cache *cache = xcalloc(1, sizeof *cache);
    size_t n;
    *out = NULL;
    *cache = (struct kv_cache){n_slots, max_tokens, c->n_kv_heads * c->head_dim, c->n_layers, NULL,
                               NULL,    NULL};
    if (!size_mul(c->n_layers * cache->width, n_slots, &n) || !size_mul(n, max_tokens, &n))
        n = SIZE_MAX;
    cache->keys = mem_array(n, sizeof(float), "key cache", err);
    cache->values = cache->keys ? mem_array(n, sizeof(float), "value cache", err) : NULL;
    cache->lengths = xcalloc(n_slots, sizeof *cache->lengths);
    if (!cache->values) {
        kv_cache_free(cache);
        return err_prefix(err, "%zu sequences of %zu tokens", n_slots, max_tokens);
    }
    *out = cache;
    return 0;
}

void kv_cache_free(struct kv_cache *cache)
{
    if (!cache)
        return;
    free(cache->keys);
    free(cache->values);
    free(cache->lengths);
    free(cache);
}

void kv_cache_clear(struct kv_cache *cache, size_t slot)
{
    cache->lengths[slot] = 0;
}

size_t kv_cache_length(const struct kv_cache *cache, size_t slot)
{
    return cache->lengths[slot];
}

/* Where the layer's rows of a slot begin. */
static size_t cache_at(const struct kv_cache *cache, size_t layer, size_t slot)
{
    return (layer * cache->n_slots + slot) * cache->max_tokens * cache->width;
}

struct extend {
    struct pass pass;
    struct kv_cache *cache;
    const size_t *slots, *counts;
    size_t n;
    size_t *slot_of; /* [T]: slot of each row */
    float *queries;  /* [T, n_heads D] */
    float *scores;   /* [threads, max_tokens] */
};

/* Stores keys and values of the new rows in the cache. */
static void cache_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    const struct extend *e = arg;
    const struct workspace *ws = &e->pass.d->ws;
    size_t width = e->cache->width, wide_q = query_width(&e->pass.d->config);
    float *q = tmp, *k = q + wide_q, *v = k + width;
    for (size_t i = r0; i < r1; i++) {
        size_t at = cache_at(e->cache, e->pass.layer, e->slot_of[i]) + ws->positions[i] * width;
        attention_gather(&e->pass, i, q, k, v);
        attention_turn(&e->pass, i, q, k);
        memcpy(e->queries + i * wide_q, q, wide_q * sizeof *q);
        memcpy(e->cache->keys + at, k, width * sizeof *k);
        memcpy(e->cache->values + at, v, width * sizeof *v);
    }
}

static void attend_row(void *arg, size_t i, size_t thread)
{
    const struct extend *e = arg;
    struct decoder *d = e->pass.d;
    struct workspace *ws = &d->ws;
    struct attention_shape shape = attention_shape_of(d->attention);
    size_t q = query_width(&d->config), at = cache_at(e->cache, e->pass.layer, e->slot_of[i]);
    float *out = ws->thread_rows[thread];
    attention_decode(&shape, e->queries + i * q, e->cache->keys + at, e->cache->values + at,
                     ws->positions[i] + 1, pass_layer(&e->pass)->window, out,
                     e->scores + thread * e->cache->max_tokens);
    operand_store(&pass_activations(&e->pass)->out, i, 0, out, q);
}

/* The pass is the first thing in struct extend. */
static int attend_cached(struct pass *p)
{
    struct extend *e = (struct extend *)(void *)p;
    decoder_rows(p->d, p->batch->n, cache_rows, e);
    pool_run(p->d->pool, p->batch->n, attend_row, e);
    return 0;
}

/* Fills in where each new row belongs, and which rows are the last of their part. */
static int place_rows(struct extend *e, struct err *err)
{
    struct workspace *ws = &e->pass.d->ws;
    size_t row = 0;
    for (size_t i = 0; i < e->n; i++) {
        size_t length = e->cache->lengths[e->slots[i]];
        if (e->counts[i] > e->cache->max_tokens - length)
            return err_set(err,
                           "a sequence of %zu tokens is more than the %zu that there is room for",
                           length + e->counts[i], e->cache->max_tokens);
        for (size_t k = 0; k < e->counts[i]; k++, row++) {
            ws->positions[row] = length + k;
            e->slot_of[row] = e->slots[i];
        }
        ws->rows_of[i] = row - 1;
    }
    return 0;
}

int decoder_extend(struct decoder *d, const struct lora *lora, struct kv_cache *cache,
                   const size_t *slots, const size_t *counts, size_t n, const uint32_t *ids,
                   float *logits, struct err *err)
{
    struct batch b = {.ids = ids};
    for (size_t i = 0; i < n; i++)
        b.n += counts[i];
    if (decoder_check_ids(d, ids, b.n, err))
        return -1;
    struct extend e = {
        .pass = {.d = d, .lora = lora, .batch = &b, .attend = attend_cached, .err = err},
        .cache = cache,
        .slots = slots,
        .counts = counts,
        .n = n};
    if (decoder_reserve(d, b.n, lora, false, err) ||
        decoder_reserve_positions(d, cache->max_tokens, err))
        return -1;
    e.slot_of = xcalloc(b.n, sizeof *e.slot_of);
    e.queries = xcalloc(b.n * query_width(&d->config), sizeof *e.queries);
    e.scores = xcalloc(pool_threads(d->pool) * cache->max_tokens, sizeof *e.scores);
    int status = place_rows(&e, err);
    if (!status)
        status = pass_embed(&e.pass) || pass_forward(&e.pass) ? -1 : 0;
    if (!status) {
        decoder_predict_logits(d, n, logits);
        for (size_t i = 0; i < n; i++)
            cache->lengths[slots[i]] += counts[i];
    }
    free(e.slot_of);
    free(e.queries);
    free(e.scores);
    return status;
}
