#include "text/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Symbols; above, a heap finds the next merge. */
enum { FEW_BITS = 6, FEW = 1 << FEW_BITS };

int merge_table_init(struct merge_table *t, size_t most, struct err *err)
{
    *t = (struct merge_table){.n_buckets = 2, .shift = 63, .in_order = true, .most = most};
    if (most >= MERGE_LIMIT)
        return err_set(err, "%zu merges are more than %u", most, MERGE_LIMIT - 1);
    for (; t->n_buckets * MERGE_BUCKET < most + most / 4; t->n_buckets *= 2)
        t->shift--;
    t->buckets = mem_array(t->n_buckets, sizeof *t->buckets, "merges", err);
    t->hints = mem_array(t->n_buckets, sizeof *t->hints, "merges", err);
    t->ids = mem_array(most + 1, sizeof *t->ids, "merges", err);
    return t->buckets && t->hints && t->ids ? 0 : -1;
}

void merge_table_release(struct merge_table *t)
{
    if (!t->borrowed) {
        free(t->buckets);
        free(t->hints);
        free(t->ids);
    }
    memset(t, 0, sizeof *t);
}

/* The slot of the pair, from a bucket on, or NULL; the bucket is then that where it would go. */
static uint32_t *find_slot(const struct merge_table *t, uint64_t pair, size_t *bucket)
{
    for (;; *bucket = (*bucket + 1) & (t->n_buckets - 1)) {
        const uint32_t *slot = merge_slot(&t->buckets[*bucket], pair);
        if (slot || !t->buckets[*bucket].slots[MERGE_BUCKET - 1])
            return (uint32_t *)(uintptr_t)slot;
    }
}

int merge_table_add(struct merge_table *t, uint32_t left, uint32_t right, uint32_t id)
{
    uint64_t pair = merge_pair(left, right);
    size_t bucket = merge_bucket_of(t, pair);
    if (t->n == t->most || t->borrowed)
        return -1;
    t->hints[bucket] |= merge_hint(t, pair);
    uint32_t *slot = find_slot(t, pair, &bucket);
    if (!slot) {
        struct merge_bucket *b = &t->buckets[bucket];
        for (slot = b->slots; *slot; slot++)
            ;
        b->tags[slot - b->slots] = (uint32_t)pair;
    }
    *slot = merge_slot_top(pair) << MERGE_BITS | (uint32_t)t->n;
    if (!t->n)
        t->first_id = id;
    t->in_order &= id == t->first_id + t->n;
    t->ids[t->n++] = id;
    return 0;
}

uint32_t merge_rank_further(const struct merge_table *t, uint64_t pair, size_t bucket)
{
    bucket = (bucket + 1) & (t->n_buckets - 1);
    const uint32_t *slot = find_slot(t, pair, &bucket);
    return slot ? *slot & (MERGE_LIMIT - 1) : NO_MERGE;
}

void merge_table_put(const struct merge_table *t, struct image_writer *w)
{
    image_put(w, "merges.buckets", t->buckets, t->n_buckets, sizeof *t->buckets);
    image_put(w, "merges.hints", t->hints, t->n_buckets, sizeof *t->hints);
    image_put(w, "merges.ids", t->ids, t->n, sizeof *t->ids);
}

/* Each rank is one, and there is a bucket that isn't full, at which a search ends. */
static bool slots_hold(const struct merge_table *t)
{
    size_t outside = 0, open = 0;
    for (size_t i = 0; i < t->n_buckets; i++) {
        const uint32_t *slots = t->buckets[i].slots;
        for (size_t j = 0; j < MERGE_BUCKET; j++)
            outside += slots[j] && (slots[j] & (MERGE_LIMIT - 1)) >= t->n;
        open += !slots[MERGE_BUCKET - 1];
    }
    return !outside && open;
}

static bool ids_hold(struct merge_table *t, size_t n_ids)
{
    size_t outside = 0, elsewhere = 0;
    t->first_id = t->n ? t->ids[0] : 0;
    for (size_t i = 0; i < t->n; i++) {
        outside += t->ids[i] >= n_ids;
        elsewhere += t->ids[i] != t->first_id + i;
    }
    t->in_order = !elsewhere;
    return !outside;
}

bool merge_table_restore(struct merge_table *t, const struct image *image, size_t n_ids)
{
    size_t n_hints = 0;
    *t = (struct merge_table){.borrowed = true}; /* so nothing is ever written through these */
    t->buckets =
        (void *)(uintptr_t)image_array(image, "merges.buckets", sizeof *t->buckets, &t->n_buckets);
    t->hints = (void *)(uintptr_t)image_array(image, "merges.hints", sizeof *t->hints, &n_hints);
    t->ids = (void *)(uintptr_t)image_array(image, "merges.ids", sizeof *t->ids, &t->n);
    t->most = t->n;
    for (t->shift = 64; t->shift && (size_t)1 << (64 - t->shift) < t->n_buckets; t->shift--)
        ;
    if (t->buckets && t->hints && t->ids && t->n < MERGE_LIMIT && t->shift > MERGE_HINT_BITS &&
        t->shift < 64 && t->n_buckets == (size_t)1 << (64 - t->shift) && n_hints == t->n_buckets &&
        slots_hold(t) && ids_hold(t, n_ids))
        return true;
    *t = (struct merge_table){.borrowed = true};
    return false;
}

void merge_table_prefetch(const struct merge_table *t, uint32_t left, uint32_t right)
{
    __builtin_prefetch(&t->buckets[merge_bucket_of(t, merge_pair(left, right))], 1);
}

void symbols_reserve(struct symbols *y, size_t n)
{
    if (n <= y->cap)
        return;
    y->cap = n + n / 2;
    y->ids = xreallocarray(y->ids, y->cap, sizeof *y->ids);
    y->spans = xreallocarray(y->spans, y->cap, sizeof *y->spans);
    y->ranks = xreallocarray(y->ranks, y->cap, sizeof *y->ranks);
}

void symbols_release(struct symbols *y)
{
    free(y->ids);
    free(y->spans);
    free(y->ranks);
    memset(y, 0, sizeof *y);
}

void merge_scratch_release(struct merge_scratch *s)
{
    free(s->next);
    free(s->prev);
    free(s->heap);
    memset(s, 0, sizeof *s);
}

void symbols_rank(const struct merge_table *t, struct symbols *y)
{
    enum { AHEAD = 16 };
    struct merge_probe probes[AHEAD];
    for (size_t i = 0; i + 1 < y->n; i += AHEAD) {
        size_t n = y->n - 1 - i < AHEAD ? y->n - 1 - i : AHEAD;
        for (size_t j = 0; j < n; j++)
            probes[j] = merge_probe(t, y->ids[i + j], y->ids[i + j + 1]);
        for (size_t j = 0; j < n; j++)
            y->ranks[i + j] = merge_probe_rank(t, probes[j]);
    }
}

/*
 * A few symbols, where looking at all of them for the lowest rank is faster than keeping order. A
 * key is a rank and below it a position, so that the least key is the leftmost of the lowest rank.
 */
enum { BLOCK = 8 };

struct few {
    uint32_t keys[FEW]; /* UINT32_MAX: no merge here */
    uint8_t next[FEW + 1], prev[FEW + 1];
};

static inline uint32_t few_key(uint32_t rank, size_t at)
{
    return rank == NO_MERGE ? UINT32_MAX : rank << FEW_BITS | (uint32_t)at;
}

static inline uint32_t few_least(const struct few *f, size_t n)
{
    uint32_t least = UINT32_MAX;
    for (const uint32_t *k = f->keys; k < f->keys + n; k += BLOCK)
        least = rank_min(least, rank_min(rank_min(rank_min(k[0], k[1]), rank_min(k[2], k[3])),
                                         rank_min(rank_min(k[4], k[5]), rank_min(k[6], k[7]))));
    return least;
}

static void few_start(struct few *f, const struct symbols *y)
{
    for (size_t i = 0; i < y->n; i++) {
        f->keys[i] = i + 1 < y->n ? few_key(y->ranks[i], i) : UINT32_MAX;
        f->next[i] = (uint8_t)(i + 1);
        f->prev[i] = (uint8_t)(i - 1);
    }
    for (size_t i = y->n; i % BLOCK; i++)
        f->keys[i] = UINT32_MAX;
}

static void merge_few(const struct merge_table *table, struct symbols *y)
{
    const struct merge_table t = *table; /* which nothing that is written here can change */
    uint32_t *ids = y->ids, *spans = y->spans, key;
    size_t n = y->n, kept = 0;
    struct few f;
    few_start(&f, y);
    while ((key = few_least(&f, n)) != UINT32_MAX) {
        size_t at = key & (FEW - 1), right = f.next[at], after = f.next[right], before = f.prev[at];
        uint32_t id = merge_made(&t, key >> FEW_BITS);
        struct merge_probe behind = merge_probe(&t, id, ids[after < n ? after : at]);
        struct merge_probe ahead = merge_probe(&t, ids[at ? before : at], id);
        ids[at] = id;
        spans[at] += spans[right];
        f.next[at] = (uint8_t)after;
        f.prev[after] = (uint8_t)at;
        f.keys[right] = f.keys[at] = UINT32_MAX;
        if (after < n)
            f.keys[at] = few_key(merge_probe_rank(&t, behind), at);
        if (at)
            f.keys[before] = few_key(merge_probe_rank(&t, ahead), before);
    }
    for (size_t i = 0; i < n; i = f.next[i]) {
        ids[kept] = ids[i];
        spans[kept++] = spans[i];
    }
    y->n = kept;
}

static void heap_push(struct merge_scratch *s, uint64_t item)
{
    ARRAY_GROW(s->heap, s->n_heap, s->heap_cap);
    size_t i = s->n_heap++;
    while (i && s->heap[(i - 1) / 4] > item) {
        s->heap[i] = s->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    s->heap[i] = item;
}

static uint64_t heap_pop(struct merge_scratch *s)
{
    uint64_t top = s->heap[0], item = s->heap[--s->n_heap];
    size_t i = 0, n = s->n_heap;
    for (;;) {
        size_t least = 4 * i + 1;
        if (least >= n)
            break;
        for (size_t j = least + 1; j < 4 * i + 5 && j < n; j++)
            if (s->heap[j] < s->heap[least])
                least = j;
        if (s->heap[least] >= item)
            break;
        s->heap[i] = s->heap[least];
        i = least;
    }
    if (n)
        s->heap[i] = item;
    return top;
}

static void offer(struct merge_scratch *s, const struct symbols *y, size_t at)
{
    if (y->ranks[at] != NO_MERGE)
        heap_push(s, (uint64_t)y->ranks[at] << 32 | at);
}

static void scratch_start(struct merge_scratch *s, struct symbols *y)
{
    if (y->n > s->cap) {
        s->cap = y->n + y->n / 2;
        s->next = xreallocarray(s->next, s->cap, sizeof *s->next);
        s->prev = xreallocarray(s->prev, s->cap, sizeof *s->prev);
    }
    s->n_heap = 0;
    y->ranks[y->n - 1] = NO_MERGE;
    for (size_t i = 0; i < y->n; i++) {
        s->next[i] = (uint32_t)i + 1;
        s->prev[i] = (uint32_t)i - 1;
        offer(s, y, i);
    }
}

/* Many symbols: they are a linked list, the candidates a heap; an entry whose rank is no longer
 * that of its place is stale. A symbol that was merged into the one before has a span of 0. */
static void merge_many(const struct merge_table *t, struct merge_scratch *s, struct symbols *y)
{
    size_t n = y->n, kept = 0;
    scratch_start(s, y);
    while (s->n_heap) {
        uint64_t top = heap_pop(s);
        size_t at = top & UINT32_MAX;
        if (!y->spans[at] || y->ranks[at] != top >> 32)
            continue;
        size_t right = s->next[at], after = s->next[right];
        y->ids[at] = merge_made(t, y->ranks[at]);
        y->spans[at] += y->spans[right];
        y->spans[right] = 0;
        y->ranks[at] = NO_MERGE;
        s->next[at] = (uint32_t)after;
        if (after < n) {
            s->prev[after] = (uint32_t)at;
            y->ranks[at] = merge_rank(t, y->ids[at], y->ids[after]);
            offer(s, y, at);
        }
        if (at) {
            size_t before = s->prev[at];
            y->ranks[before] = merge_rank(t, y->ids[before], y->ids[at]);
            offer(s, y, before);
        }
    }
    for (size_t i = 0; i < n; i = s->next[i]) {
        y->ids[kept] = y->ids[i];
        y->spans[kept++] = y->spans[i];
    }
    y->n = kept;
}

void symbols_merge(const struct merge_table *t, struct merge_scratch *s, struct symbols *y)
{
    if (y->n > FEW)
        merge_many(t, s, y);
    else
        merge_few(t, y);
}
