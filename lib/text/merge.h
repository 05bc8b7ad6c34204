/*
 * merge: the merges of a byte pair encoding, and carrying them out.
 *
 * Of all neighbouring symbols, the pair whose merge has the lowest rank, the leftmost of several,
 * becomes one symbol, until no pair has a merge.
 */
#ifndef TEXT_MERGE_H
#define TEXT_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/image.h"

/* Ids and ranks are below 2^MERGE_BITS. */
#define MERGE_BITS 21
#define MERGE_LIMIT (1u << MERGE_BITS)
#define NO_MERGE UINT32_MAX

/*
 * Pairs and the ranks of their merges: a hash table of buckets, each a line of the processor's
 * cache, which is compared at once, so that nothing has to be guessed on the way to an answer. A
 * slot holds the pair plus 1 and below it the rank, or 0; a bucket fills from its front, and a full
 * one goes on in the next. Most pairs that are looked for have no merge, which a bit in a much
 * smaller table nearly always tells.
 */
enum { MERGE_BUCKET = 8, MERGE_HINT_BITS = 5 };

struct merge_table {
    uint64_t *slots;
    size_t n_buckets; /* a power of two */
    unsigned shift;   /* of a 64-bit product, to a bucket */
    uint32_t *hints;  /* [n_buckets] a bit by further bits of the product: clear means no merge */
    uint32_t *ids;    /* [n] by rank: the symbol that a merge makes */
    bool in_order;    /* which in most files is first_id + rank */
    uint32_t first_id;
    size_t n, most;
    bool borrowed; /* the arrays are an image's: nothing can be added */
};

int merge_table_init(struct merge_table *t, size_t most, struct err *err);
void merge_table_release(struct merge_table *t);
/* The merge of the next rank; a pair that is there already gets it. Fails when there are more than
 * were announced. */
int merge_table_add(struct merge_table *t, uint32_t left, uint32_t right, uint32_t id);
/* Into an image; and out of one, which must outlive it. False where that has no table, or one that
 * makes symbols of n_ids and above. */
void merge_table_put(const struct merge_table *t, struct image_writer *w);
bool merge_table_restore(struct merge_table *t, const struct image *image, size_t n_ids);
void merge_table_prefetch(const struct merge_table *t, uint32_t left, uint32_t right);
/* As merge_rank, from the bucket behind a full one on. */
uint32_t merge_rank_further(const struct merge_table *t, uint64_t pair, size_t bucket);

static inline uint64_t merge_pair(uint32_t left, uint32_t right)
{
    return ((uint64_t)left << MERGE_BITS | right) + 1;
}

static inline size_t merge_bucket(const struct merge_table *t, uint64_t pair)
{
    return (size_t)(pair * 0x9e3779b97f4a7c15u >> t->shift);
}

static inline uint32_t merge_hint(const struct merge_table *t, uint64_t pair)
{
    return (uint32_t)1 << (pair * 0x9e3779b97f4a7c15u >> (t->shift - MERGE_HINT_BITS) & 31);
}

/* A pair that is looked for: what it takes is on its way from memory, which is what it costs. */
struct merge_probe {
    uint64_t pair;
    size_t bucket;
};

static inline struct merge_probe merge_probe(const struct merge_table *t, uint32_t left,
                                             uint32_t right)
{
    uint64_t pair = merge_pair(left, right);
    size_t bucket = merge_bucket(t, pair);
    __builtin_prefetch(&t->hints[bucket]);
    __builtin_prefetch(&t->slots[MERGE_BUCKET * bucket]);
    return (struct merge_probe){pair, bucket};
}

/* The rank of its merge, or NO_MERGE. */
static inline uint32_t merge_probe_rank(const struct merge_table *t, struct merge_probe p)
{
    uint64_t found = 0;
    const uint64_t *slots = t->slots + MERGE_BUCKET * p.bucket;
    if (!(t->hints[p.bucket] & merge_hint(t, p.pair)))
        return NO_MERGE;
#pragma GCC unroll 8
    for (size_t i = 0; i < MERGE_BUCKET; i++)
        found |= slots[i] >> MERGE_BITS == p.pair ? slots[i] : 0;
    if (__builtin_expect(!found && slots[MERGE_BUCKET - 1], 0))
        return merge_rank_further(t, p.pair, p.bucket);
    return found ? (uint32_t)found & (MERGE_LIMIT - 1) : NO_MERGE;
}

static inline uint32_t merge_rank(const struct merge_table *t, uint32_t left, uint32_t right)
{
    return merge_probe_rank(t, merge_probe(t, left, right));
}

/* The symbol that the merge of that rank makes. */
static inline uint32_t merge_made(const struct merge_table *t, uint32_t rank)
{
    return t->in_order ? t->first_id + rank : t->ids[rank];
}

/* Symbols that are to be merged, and how many first symbols each is made of. */
struct symbols {
    uint32_t *ids, *spans; /* [n] */
    uint32_t *ranks;       /* [n - 1] of the merge of each with the next, or NO_MERGE */
    size_t n, cap;
};

void symbols_reserve(struct symbols *y, size_t n);
void symbols_release(struct symbols *y);

struct merge_scratch {
    uint32_t *next, *prev;
    uint64_t *heap; /* rank << 32 | position */
    size_t cap, n_heap, heap_cap;
};

void merge_scratch_release(struct merge_scratch *s);

void symbols_rank(const struct merge_table *t, struct symbols *y); /* fills in ranks from ids */
void symbols_merge(const struct merge_table *t, struct merge_scratch *s, struct symbols *y);

#endif
