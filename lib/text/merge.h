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
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/err.h"
#include "base/image.h"

/* Ids and ranks are below 2^MERGE_BITS. */
#define MERGE_BITS 21
#define MERGE_LIMIT (1u << MERGE_BITS)
#define NO_MERGE UINT32_MAX

static inline uint32_t rank_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/*
 * Pairs and the ranks of their merges: a hash table of buckets, each a line of the processor's
 * cache, which is compared at once, so that nothing has to be guessed on the way to an answer. A
 * bucket fills from its front, and a full one goes on in the next. Most pairs that are looked for
 * have no merge, which a bit in a much smaller table nearly always tells.
 */
enum { MERGE_BUCKET = 8, MERGE_HINT_BITS = 5 };

/* A slot is 0 or a rank, above it the pair's bits from 32 on and above them 1; tags are the bits
 * below. */
struct merge_bucket {
    uint32_t tags[MERGE_BUCKET], slots[MERGE_BUCKET];
};

struct merge_table {
    struct merge_bucket *buckets;
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
    return (uint64_t)left << MERGE_BITS | right;
}

static inline size_t merge_bucket_of(const struct merge_table *t, uint64_t pair)
{
    return (size_t)(pair * 0x9e3779b97f4a7c15u >> t->shift);
}

static inline uint32_t merge_hint(const struct merge_table *t, uint64_t pair)
{
    return (uint32_t)1 << (pair * 0x9e3779b97f4a7c15u >> (t->shift - MERGE_HINT_BITS) & 31);
}

static inline uint32_t merge_slot_top(uint64_t pair)
{
    return 1u << (31 - MERGE_BITS) | (uint32_t)(pair >> 32);
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
    size_t bucket = merge_bucket_of(t, pair);
    __builtin_prefetch(&t->hints[bucket]);
    __builtin_prefetch(&t->buckets[bucket]);
    return (struct merge_probe){pair, bucket};
}

/* Bits 2 i and 2 i + 1 for each slot i whose tag it is. */
static inline unsigned merge_tags_like(const struct merge_bucket *b, uint32_t tag)
{
#ifdef __SSE2__
    __m128i four = _mm_set1_epi32((int)tag);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)b->tags), four);
    __m128i high = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(b->tags + 4)), four);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi32(low, high));
#else
    unsigned like = 0;
    for (size_t i = 0; i < MERGE_BUCKET; i++)
        like |= (b->tags[i] == tag ? 3u : 0u) << 2 * i;
    return like;
#endif
}

/* The pair's slot in the bucket, NULL if it has none. */
static inline const uint32_t *merge_slot(const struct merge_bucket *b, uint64_t pair)
{
    for (unsigned like = merge_tags_like(b, (uint32_t)pair); like; like &= like - 1) {
        const uint32_t *slot = &b->slots[__builtin_ctz(like) / 2];
        if (*slot >> MERGE_BITS == merge_slot_top(pair))
            return slot;
    }
    return NULL;
}

/* The rank of its merge, or NO_MERGE. */
static inline uint32_t merge_probe_rank(const struct merge_table *t, struct merge_probe p)
{
    const struct merge_bucket *b = &t->buckets[p.bucket];
    if (!(t->hints[p.bucket] & merge_hint(t, p.pair)))
        return NO_MERGE;
    const uint32_t *slot = merge_slot(b, p.pair);
    if (slot)
        return *slot & (MERGE_LIMIT - 1);
    return b->slots[MERGE_BUCKET - 1] ? merge_rank_further(t, p.pair, p.bucket) : NO_MERGE;
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
