/* Generation: new tokens of several sequences at once against their caches. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

struct kv_cache {
    size_t n_slots, max_tokens, width; /* width = n_kv_heads * D */
    size_t n_layers;
    /* [n_slots] of [2, n_layers, max_tokens, width], rotated keys and values; NULL until the slot
     * is used. */
    float **rows;
    uint32_t *ids;          /* [n_slots, max_tokens] */
    size_t *lengths;        /* [n_slots] */
    size_t whole_positions; /* a sequence up to that length is turned by the same angles as its
                               beginning, a longer one may not be */
};

int kv_cache_new(struct kv_cache **out, const struct decoder *d, size_t n_slots, size_t max_tokens,
                 struct err *err)
{
    const struct model_config *c = &d->config;
    struct kv_cache *cache = xcalloc(1, sizeof *cache);
    size_t n;
    *out = NULL;
    *cache = (struct kv_cache){.n_slots = n_slots,
                               .max_tokens = max_tokens,
                               .width = key_width(c),
                               .n_layers = c->n_layers,
                               .whole_positions = rope_depends_on_length(&c->rope)
                                                      ? c->rope.original_positions
                                                      : SIZE_MAX};
    cache->rows = xcalloc(n_slots, sizeof *cache->rows);
    cache->lengths = xcalloc(n_slots, sizeof *cache->lengths);
    cache->ids = mem_array(size_mul(n_slots, max_tokens, &n) ? n : SIZE_MAX, sizeof *cache->ids,
                           "token cache", err);
    if (!cache->ids) {
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
    for (size_t i = 0; i < cache->n_slots; i++)
        free(cache->rows[i]);
    free(cache->rows);
    free(cache->ids);
    free(cache->lengths);
    free(cache);
}

void kv_cache_clear(struct kv_cache *cache, size_t slot)
{
    cache->lengths[slot] = 0;
}

size_t kv_cache_keep(struct kv_cache *cache, size_t slot, const uint32_t *ids, size_t n)
{
    const uint32_t *held = cache->ids + slot * cache->max_tokens;
    size_t same = 0, most = size_min(n, cache->lengths[slot]);
    while (same < most && held[same] == ids[same])
        same++;
    /* Keys of a sequence that grew beyond the original positions are turned by other angles. */
    if (same < cache->lengths[slot] && cache->lengths[slot] > cache->whole_positions)
        same = 0;
    return cache->lengths[slot] = same;
}

size_t kv_cache_length(const struct kv_cache *cache, size_t slot)
{
    return cache->lengths[slot];
}

enum held { KEYS, VALUES };

/* The layer's rows of a slot. */
static float *cache_at(const struct kv_cache *cache, enum held what, size_t layer, size_t slot)
{
    return cache->rows[slot] + (what * cache->n_layers + layer) * cache->max_tokens * cache->width;
}

static int cache_reserve(struct kv_cache *cache, size_t slot, struct err *err)
{
    size_t n;
    if (cache->rows[slot])
        return 0;
    if (!size_mul(2 * cache->n_layers * cache->width, cache->max_tokens, &n))
        n = SIZE_MAX;
    cache->rows[slot] = mem_array(n, sizeof(float), "keys and values", err);
    return cache->rows[slot] ? 0 : err_prefix(err, "a sequence of %zu tokens", cache->max_tokens);
}

struct extend {
    struct pass pass;
    struct kv_cache *cache;
    const size_t *slots, *counts;
    size_t n;
    uint32_t *ids;   /* [T] */
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
        size_t layer = e->pass.layer, slot = e->slot_of[i], at = ws->positions[i] * width;
        attention_gather(&e->pass, i, q, k, v);
        attention_turn(&e->pass, i, q, k);
        memcpy(e->queries + i * wide_q, q, wide_q * sizeof *q);
        memcpy(cache_at(e->cache, KEYS, layer, slot) + at, k, width * sizeof *k);
        memcpy(cache_at(e->cache, VALUES, layer, slot) + at, v, width * sizeof *v);
    }
}

/* The heads of one row that share a key head. */
static void attend_heads(void *arg, size_t i, size_t thread)
{
    const struct extend *e = arg;
    struct decoder *d = e->pass.d;
    struct workspace *ws = &d->ws;
    struct attention_shape shape = attention_shape_of(d->attention);
    size_t row = i / shape.n_kv_heads, head = i % shape.n_kv_heads;
    size_t q = query_width(&d->config), layer = e->pass.layer, slot = e->slot_of[row];
    size_t part = q / shape.n_kv_heads;
    float *out = ws->thread_rows[thread];
    attention_decode(&shape, head, e->queries + row * q, cache_at(e->cache, KEYS, layer, slot),
                     cache_at(e->cache, VALUES, layer, slot), ws->positions[row] + 1,
                     pass_layer(&e->pass)->window, out, e->scores + thread * e->cache->max_tokens);
    operand_store(&pass_activations(&e->pass)->out, row, head * part, out + head * part, part);
}

/* The pass is the first thing in struct extend. */
static int attend_cached(struct pass *p)
{
    struct extend *e = (struct extend *)(void *)p;
    decoder_rows(p->d, p->batch->n, cache_rows, e);
    pool_run(p->d->pool, p->batch->n * p->d->config.n_kv_heads, attend_heads, e);
    return 0;
}

/* Where the rows of part i begin: behind what its slot holds. But if the angles depend on the whole
 * length, a sequence that grows beyond the original positions is computed again from its start. */
static size_t first_row(const struct extend *e, size_t i)
{
    const struct rope_config *rope = &e->pass.d->config.rope;
    size_t held = e->cache->lengths[e->slots[i]];
    bool again = rope_depends_on_length(rope) && held <= rope->original_positions &&
                 held + e->counts[i] > rope->original_positions;
    return again ? 0 : held;
}

/* Number of rows; ids are kept with their slots, which get their memory. */
static int take_ids(const struct extend *e, const uint32_t *ids, size_t *rows, struct err *err)
{
    struct kv_cache *cache = e->cache;
    *rows = 0;
    for (size_t i = 0; i < e->n; ids += e->counts[i++]) {
        size_t held = cache->lengths[e->slots[i]];
        if (e->counts[i] > cache->max_tokens - held)
            return err_set(err,
                           "a sequence of %zu tokens is more than the %zu that there is room for",
                           held + e->counts[i], cache->max_tokens);
        if (cache_reserve(cache, e->slots[i], err))
            return -1;
        memcpy(cache->ids + e->slots[i] * cache->max_tokens + held, ids,
               e->counts[i] * sizeof *ids);
        *rows += held + e->counts[i] - first_row(e, i);
    }
    return 0;
}

/* Fills in what each row is and where it belongs, and which rows are the last of their part. */
static void place_rows(struct extend *e)
{
    struct workspace *ws = &e->pass.d->ws;
    const struct model_config *c = &e->pass.d->config;
    size_t row = 0;
    for (size_t i = 0; i < e->n; i++) {
        size_t length = e->cache->lengths[e->slots[i]] + e->counts[i];
        for (size_t t = first_row(e, i); t < length; t++, row++) {
            ws->positions[row] = t;
            ws->beyond[row] =
                rope_depends_on_length(&c->rope) && length > c->rope.original_positions;
            e->slot_of[row] = e->slots[i];
            e->ids[row] = e->cache->ids[e->slots[i] * e->cache->max_tokens + t];
        }
        ws->rows_of[i] = row - 1;
    }
}

/* The rows are placed; appends them and computes the logits. */
static int extend(struct extend *e, float *logits)
{
    struct pass *p = &e->pass;
    place_rows(e);
    if (pass_embed(p) || pass_forward(p))
        return -1;
    decoder_predict_logits(p->d, e->n, logits);
    for (size_t i = 0; i < e->n; i++)
        e->cache->lengths[e->slots[i]] += e->counts[i];
    return 0;
}

int decoder_extend(struct decoder *d, const struct lora *lora, struct kv_cache *cache,
                   const size_t *slots, const size_t *counts, size_t n, const uint32_t *ids,
                   float *logits, struct err *err)
{
    struct batch b = {0};
    struct extend e = {
        .pass = {.d = d, .lora = lora, .batch = &b, .attend = attend_cached, .err = err},
        .cache = cache,
        .slots = slots,
        .counts = counts,
        .n = n,
    };
    size_t given = 0;
    for (size_t i = 0; i < n; i++)
        given += counts[i];
    if (decoder_check_ids(d, ids, given, err) || take_ids(&e, ids, &b.n, err) ||
        decoder_reserve(d, b.n, lora, false, err) ||
        decoder_reserve_positions(d, cache->max_tokens, err))
        return -1;
    b.ids = e.ids = xcalloc(b.n, sizeof *e.ids);
    e.slot_of = xcalloc(b.n, sizeof *e.slot_of);
    e.queries = xcalloc(b.n * query_width(&d->config), sizeof *e.queries);
    e.scores = xcalloc(pool_threads(d->pool) * cache->max_tokens, sizeof *e.scores);
    int status = extend(&e, logits);
    free(e.ids);
    free(e.slot_of);
    free(e.queries);
    free(e.scores);
    return status;
}
