#include "text/minhash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "text/lint_words.h"

/* A set with fewer shingles is compared with exact copies only. */
enum { FEWEST = 2 };

static double recall(double threshold, unsigned rows)
{
    return 1 - pow(1 - pow(threshold, rows), MINHASH_ROWS / rows);
}

void minhash_init(struct minhash *m, double threshold)
{
    m->threshold = threshold;
    m->rows = 1;
    while (m->rows < 16 && recall(threshold, m->rows + 1) >= 0.98)
        m->rows++;
    m->bands = MINHASH_ROWS / m->rows;
    for (uint64_t i = 0; i < MINHASH_ROWS; i++) {
        uint64_t v = word_mix(i + 0x9e3779b97f4a7c15u);
        m->multiply[i] = (uint32_t)v | 1;
        m->add[i] = (uint32_t)(v >> 32);
    }
}

/* minima[k] = min over i of x[i] * multiply[k] + add[k] modulo 2^32, which permutes the numbers. */
SIMD_CLONES static void find_minima(const uint32_t *x, size_t n, const uint32_t *multiply,
                                    const uint32_t *add, uint32_t *minima)
{
    for (size_t k = 0; k < MINHASH_ROWS; k += SIMD_LANES) {
        uint32_t least[SIMD_LANES];
        for (size_t l = 0; l < SIMD_LANES; l++)
            least[l] = UINT32_MAX;
        for (size_t i = 0; i < n; i++) {
            uint32_t v = x[i];
            for (size_t l = 0; l < SIMD_LANES; l++) {
                uint32_t h = v * multiply[k + l] + add[k + l];
                least[l] = h < least[l] ? h : least[l];
            }
        }
        memcpy(minima + k, least, sizeof least);
    }
}

void minhash_keys(const struct minhash *m, const struct shingles *s, uint32_t keys[MINHASH_ROWS])
{
    uint32_t minima[MINHASH_ROWS];
    find_minima(s->items, s->n, m->multiply, m->add, minima);
    for (unsigned b = 0; b < m->bands; b++) {
        uint64_t hash = b;
        for (unsigned r = 0; r < m->rows; r++)
            hash = word_mix(hash * 0x9e3779b97f4a7c15u + minima[b * m->rows + r]);
        keys[b] = (uint32_t)hash;
    }
}

/* ---- the index ---- */

struct near_document {
    size_t at; /* of its sketch in items */
    uint32_t n_prompt, n_answer, all_prompt, all_answer;
    uint64_t answer_hash;
};

/* A band's key and a document that has it; open addressing, key and all. */
struct near_slot {
    uint32_t key, document;
};

struct near_index {
    const struct minhash *minhash;
    struct near_document *documents;
    size_t n, cap;
    uint32_t *items;
    size_t n_items, items_cap;
    struct near_slot *slots; /* [1 << bits]; document MINHASH_NONE: free */
    unsigned bits;
    size_t used;
};

enum { FIRST_BITS = 12, SAME_KEY = 4 };

static struct near_slot *slots_new(unsigned bits)
{
    struct near_slot *slots = xreallocarray(NULL, (size_t)1 << bits, sizeof *slots);
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        slots[i] = (struct near_slot){0, MINHASH_NONE};
    return slots;
}

struct near_index *near_index_new(const struct minhash *m)
{
    struct near_index *x = xcalloc(1, sizeof *x);
    x->minhash = m;
    x->bits = FIRST_BITS;
    x->slots = slots_new(x->bits);
    ARRAY_GROW(x->items, x->n_items, x->items_cap);
    return x;
}

void near_index_free(struct near_index *x)
{
    if (!x)
        return;
    free(x->documents);
    free(x->items);
    free(x->slots);
    free(x);
}

size_t near_index_bytes(const struct near_index *x)
{
    return x->cap * sizeof *x->documents + x->items_cap * sizeof *x->items +
           (sizeof *x->slots << x->bits);
}

static size_t home(const struct near_index *x, uint32_t key)
{
    return key >> (32 - x->bits);
}

/* Of many documents with one key the first few are kept: the others resemble those, or meet in
 * other bands. */
static void put(struct near_index *x, uint32_t key, uint32_t document)
{
    size_t mask = ((size_t)1 << x->bits) - 1, same = 0, i = home(x, key);
    for (; x->slots[i].document != MINHASH_NONE; i = (i + 1) & mask) {
        same += x->slots[i].key == key;
        if (same == SAME_KEY)
            return;
    }
    x->slots[i] = (struct near_slot){key, document};
    x->used++;
}

/* In the order of the slots behind each other, so that the first documents of a key stay first. */
static void grow(struct near_index *x)
{
    struct near_slot *old = x->slots;
    size_t n = (size_t)1 << x->bits, first = 0;
    while (old[first].document != MINHASH_NONE)
        first++; /* runs may go around the end */
    x->slots = slots_new(++x->bits);
    x->used = 0;
    for (size_t i = 0; i < n; i++) {
        const struct near_slot *s = &old[(first + i) & (n - 1)];
        if (s->document != MINHASH_NONE)
            put(x, s->key, s->document);
    }
    free(old);
}

static struct sketch sketch_of_set(const struct shingles *s, uint64_t answer_hash, bool *whole)
{
    size_t n_answer = s->n - s->n_prompt;
    struct sketch k = {s->items,
                       (uint32_t)(s->n_prompt < SKETCH_MOST ? s->n_prompt : SKETCH_MOST),
                       (uint32_t)(n_answer < SKETCH_MOST ? n_answer : SKETCH_MOST),
                       (uint32_t)s->n_prompt,
                       (uint32_t)n_answer,
                       answer_hash};
    *whole = k.n_prompt == s->n_prompt;
    return k;
}

static struct sketch sketch_of_document(const struct near_index *x, uint32_t document)
{
    const struct near_document *d = &x->documents[document];
    return (struct sketch){x->items + d->at, d->n_prompt,   d->n_answer,
                           d->all_prompt,    d->all_answer, d->answer_hash};
}

static bool sizes_allow(const struct sketch *a, const struct sketch *b, double threshold)
{
    double x = (double)a->all_prompt + a->all_answer, y = (double)b->all_prompt + b->all_answer;
    return x < y ? x >= threshold * y : y >= threshold * x;
}

static void compare(const struct near_index *x, const struct sketch *mine, uint32_t document,
                    struct near_match *best)
{
    struct sketch other = sketch_of_document(x, document);
    double t = x->minhash->threshold;
    if (!sizes_allow(mine, &other, t))
        return;
    struct resemblance r = sketch_compare(mine, &other);
    if (r.whole < t || r.answer < t / 2)
        return;
    if (r.whole > best->resemblance || (r.whole >= best->resemblance && document < best->document))
        *best = (struct near_match){document, r.whole};
}

static bool seen(const uint32_t *list, size_t n, uint32_t v)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == v)
            return true;
    return false;
}

struct near_match near_index_find(const struct near_index *x, const struct shingles *s,
                                  uint64_t answer_hash, const uint32_t *keys)
{
    struct near_match best = {MINHASH_NONE, 0};
    uint32_t tried[MINHASH_ROWS * SAME_KEY], joined[2 * SKETCH_MOST];
    size_t n_tried = 0, mask = ((size_t)1 << x->bits) - 1;
    bool whole;
    if (s->n < FEWEST)
        return best;
    struct sketch mine = sketch_of_set(s, answer_hash, &whole);
    if (!whole) { /* the parts have to stand behind each other */
        memcpy(joined, s->items, mine.n_prompt * sizeof *joined);
        memcpy(joined + mine.n_prompt, s->items + s->n_prompt, mine.n_answer * sizeof *joined);
        mine.items = joined;
    }
    for (unsigned b = 0; b < x->minhash->bands; b++)
        for (size_t i = home(x, keys[b]); x->slots[i].document != MINHASH_NONE; i = (i + 1) & mask)
            if (x->slots[i].key == keys[b] && !seen(tried, n_tried, x->slots[i].document)) {
                tried[n_tried++] = x->slots[i].document;
                compare(x, &mine, x->slots[i].document, &best);
            }
    return best;
}

static void add_items(struct near_index *x, const uint32_t *items, size_t n)
{
    if (x->items_cap - x->n_items < n) {
        x->items_cap = x->items_cap + x->items_cap / 4 + n + 4096;
        x->items = xreallocarray(x->items, x->items_cap, sizeof *x->items);
    }
    if (n)
        memcpy(x->items + x->n_items, items, n * sizeof *items);
    x->n_items += n;
}

uint32_t near_index_add(struct near_index *x, const struct shingles *s, uint64_t answer_hash,
                        const uint32_t *keys, struct err *err)
{
    bool whole;
    struct sketch k = sketch_of_set(s, answer_hash, &whole);
    if (x->n >= MINHASH_NONE || x->bits > 31) {
        err_set(err, "too many documents to compare: %zu", x->n);
        return MINHASH_NONE;
    }
    ARRAY_GROW(x->documents, x->n, x->cap);
    x->documents[x->n] = (struct near_document){x->n_items,   k.n_prompt,   k.n_answer,
                                                k.all_prompt, k.all_answer, answer_hash};
    add_items(x, s->items, k.n_prompt);
    add_items(x, s->items + s->n_prompt, k.n_answer);
    if (s->n >= FEWEST)
        for (unsigned b = 0; b < x->minhash->bands; b++) {
            if (x->used * 4 >= (size_t)3 << x->bits)
                grow(x);
            put(x, keys[b], (uint32_t)x->n);
        }
    return (uint32_t)x->n++;
}
