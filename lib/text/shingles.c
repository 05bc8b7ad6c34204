#include "text/shingles.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/lint_words.h"

void shingles_release(struct shingles *s)
{
    free(s->items);
    *s = (struct shingles){.n = 0};
}

void shingles_clear(struct shingles *s)
{
    s->n = s->n_prompt = s->total_answer = s->in_window = 0;
}

static void add(struct shingles *s, size_t words, bool answer)
{
    uint64_t hash = words;
    for (size_t i = 0; i < words; i++)
        hash = word_mix(hash * 0x9e3779b97f4a7c15u + s->window[i]);
    ARRAY_GROW(s->items, s->n, s->cap);
    s->items[s->n++] = (uint32_t)(hash >> 33) | (answer ? SHINGLE_ANSWER : 0);
    s->total_answer += answer;
}

void shingles_word(struct shingles *s, uint64_t hash, bool answer)
{
    if (s->in_window >= SHINGLE_WORDS)
        memmove(s->window, s->window + 1, (SHINGLE_WORDS - 1) * sizeof *s->window);
    else
        s->in_window++;
    s->window[s->in_window - 1] = hash;
    if (s->in_window == SHINGLE_WORDS)
        add(s, SHINGLE_WORDS, answer);
}

void shingles_end(struct shingles *s, bool answer)
{
    if (s->in_window && s->in_window < SHINGLE_WORDS)
        add(s, s->in_window, answer);
    s->in_window = 0;
}

/* ---- sorting ---- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void insertion_sort(uint32_t *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t v = x[i];
        size_t k = i;
        for (; k && x[k - 1] > v; k--)
            x[k] = x[k - 1];
        x[k] = v;
    }
}

/* The values are hashes, so one pass by their top bits leaves runs of a few. */
static void sort_hashes(uint32_t *x, size_t n)
{
    enum { BITS = 10, LARGE = 1 << 16 };
    if (n < 64) {
        insertion_sort(x, n);
        return;
    }
    if (n > LARGE) {
        qsort(x, n, sizeof *x, compare_u32);
        return;
    }
    uint32_t start[(1 << BITS) + 1] = {0};
    uint32_t *sorted = xreallocarray(NULL, n, sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        start[(x[i] >> (32 - BITS)) + 1]++;
    for (size_t i = 0; i < 1 << BITS; i++)
        start[i + 1] += start[i];
    for (size_t i = 0; i < n; i++)
        sorted[start[x[i] >> (32 - BITS)]++] = x[i];
    memcpy(x, sorted, n * sizeof *x);
    free(sorted);
    insertion_sort(x, n);
}

static size_t count_prompt(const uint32_t *items, size_t n)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (items[middle] < SHINGLE_ANSWER)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void shingles_seal(struct shingles *s)
{
    size_t n = 0;
    if (!s->items)
        ARRAY_GROW(s->items, s->n, s->cap);
    sort_hashes(s->items, s->n);
    for (size_t i = 0; i < s->n; i++)
        if (!n || s->items[n - 1] != s->items[i])
            s->items[n++] = s->items[i];
    s->n = n;
    s->n_prompt = count_prompt(s->items, n);
}

void shingles_unframe(struct shingles *s, const struct frames *f)
{
    size_t n = 0;
    if (frames_documents(f) < FRAMES_FROM)
        return;
    for (size_t i = 0; i < s->n; i++)
        if (!frames_have(f, s->items[i]))
            s->items[n++] = s->items[i];
    s->n = n;
    s->n_prompt = count_prompt(s->items, n);
}

/* ---- sketches ---- */

/*
 * The share of common items among the smallest of both together, as far as both sides are known: up
 * to the last item of a side that was cut off.
 */
static double part_resemblance(const uint32_t *a, size_t na, bool a_cut, const uint32_t *b,
                               size_t nb, bool b_cut)
{
    size_t i = 0, j = 0, both = 0, all = 0;
    while ((i < na || !a_cut) && (j < nb || !b_cut) && (i < na || j < nb)) {
        bool from_a = j == nb || (i < na && a[i] <= b[j]);
        bool from_b = i == na || (j < nb && b[j] <= a[i]);
        both += from_a && from_b;
        all++;
        i += from_a;
        j += from_b;
    }
    return all ? (double)both / (double)all : 1;
}

struct resemblance sketch_compare(const struct sketch *a, const struct sketch *b)
{
    double prompt = part_resemblance(a->items, a->n_prompt, a->n_prompt < a->all_prompt, b->items,
                                     b->n_prompt, b->n_prompt < b->all_prompt);
    double answer =
        part_resemblance(a->items + a->n_prompt, a->n_answer, a->n_answer < a->all_answer,
                         b->items + b->n_prompt, b->n_answer, b->n_answer < b->all_answer);
    /* |A and B| = (|A| + |B|) J / (1 + J) */
    double sum_prompt = (double)a->all_prompt + b->all_prompt;
    double sum_answer = (double)a->all_answer + b->all_answer;
    double both = sum_prompt * prompt / (1 + prompt) + sum_answer * answer / (1 + answer);
    double sum = sum_prompt + sum_answer;
    struct resemblance r = {sum > 0 ? both / (sum - both) : 1, answer};
    if (!a->all_answer || !b->all_answer)
        r.answer = a->answer_hash == b->answer_hash;
    return r;
}

/* ---- frames ---- */

enum { ALL_BITS = 22, BATCH_BITS = 18 };

struct frames {
    uint32_t *all;
    uint16_t *batch;
    uint64_t documents, batch_documents;
};

struct frames *frames_new(void)
{
    struct frames *f = xcalloc(1, sizeof *f);
    f->all = xcalloc((size_t)1 << ALL_BITS, sizeof *f->all);
    f->batch = xcalloc((size_t)1 << BATCH_BITS, sizeof *f->batch);
    return f;
}

void frames_free(struct frames *f)
{
    if (!f)
        return;
    free(f->all);
    free(f->batch);
    free(f);
}

void frames_begin_batch(struct frames *f)
{
    if (f->batch_documents)
        memset(f->batch, 0, sizeof *f->batch << BATCH_BITS);
    f->batch_documents = 0;
}

static size_t in_all(uint32_t shingle)
{
    return shingle * 2654435761u >> (32 - ALL_BITS);
}

static size_t in_batch(uint32_t shingle)
{
    return shingle * 2654435761u >> (32 - BATCH_BITS);
}

void frames_count(struct frames *f, const struct shingles *s)
{
    f->documents++;
    f->batch_documents++;
    for (size_t i = 0; i < s->n; i++) {
        uint32_t *all = &f->all[in_all(s->items[i])];
        uint16_t *batch = &f->batch[in_batch(s->items[i])];
        *all += *all < UINT32_MAX;
        *batch = (uint16_t)(*batch + (*batch < UINT16_MAX));
    }
}

bool frames_have(const struct frames *f, uint32_t shingle)
{
    if (f->documents < FRAMES_FROM)
        return false;
    return f->all[in_all(shingle)] > f->documents / 5 ||
           (f->batch_documents >= FRAMES_FROM &&
            f->batch[in_batch(shingle)] > f->batch_documents / 2);
}

uint64_t frames_documents(const struct frames *f)
{
    return f->documents;
}
