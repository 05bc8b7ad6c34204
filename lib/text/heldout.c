#include "text/heldout.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* With fewer shingles than these a document is found by exact copies only; more than a few may
 * stand in any long text. */
enum { FEWEST = 5 };

/* A shingle with its bit of the part where the held-out document has it. A document for training
 * may have it in the other part: a text, say, from which a held-out question and answer were made.
 */
struct entry {
    uint32_t shingle, document;
};

static uint32_t without_part(uint32_t shingle)
{
    return shingle & ~SHINGLE_ANSWER;
}

struct held {
    uint32_t own_prompt, own_answer; /* those that are no frame */
    uint64_t answer_hash;
};

struct heldout {
    double threshold;
    struct held *documents;
    size_t n, cap;
    struct entry *entries; /* sorted by shingle once sealed */
    size_t n_entries, entries_cap;
    size_t *buckets; /* [(1 << bits) + 1]: first entry whose shingle has these top bits */
    unsigned bits;
    uint64_t refreshed; /* documents that the frames knew at the last refresh */
};

struct heldout *heldout_new(double threshold)
{
    struct heldout *h = xcalloc(1, sizeof *h);
    h->threshold = threshold;
    return h;
}

void heldout_free(struct heldout *h)
{
    if (!h)
        return;
    free(h->documents);
    free(h->entries);
    free(h->buckets);
    free(h);
}

size_t heldout_count(const struct heldout *h)
{
    return h->n;
}

static uint32_t add_entries(struct heldout *h, const uint32_t *items, size_t n)
{
    if (n > SKETCH_MOST)
        n = SKETCH_MOST;
    for (size_t i = 0; i < n; i++) {
        ARRAY_GROW(h->entries, h->n_entries, h->entries_cap);
        h->entries[h->n_entries++] = (struct entry){items[i], (uint32_t)h->n};
    }
    return (uint32_t)n;
}

int heldout_add(struct heldout *h, const struct shingles *s, uint64_t answer_hash, struct err *err)
{
    if (h->n >= UINT32_MAX - 1)
        return err_set(err, "too many held-out documents: %zu", h->n);
    ARRAY_GROW(h->documents, h->n, h->cap);
    struct held d = {.answer_hash = answer_hash};
    d.own_prompt = add_entries(h, s->items, s->n_prompt);
    d.own_answer = add_entries(h, s->items + s->n_prompt, s->n - s->n_prompt);
    h->documents[h->n++] = d;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    uint32_t v = without_part(x->shingle), w = without_part(y->shingle);
    if (v != w)
        return v < w ? -1 : 1;
    if (x->shingle != y->shingle)
        return x->shingle < y->shingle ? -1 : 1;
    return x->document < y->document ? -1 : x->document > y->document;
}

void heldout_seal(struct heldout *h)
{
    if (h->n_entries)
        qsort(h->entries, h->n_entries, sizeof *h->entries, compare_entries);
    h->bits = 8;
    while (h->bits < 24 && (size_t)1 << h->bits < h->n_entries)
        h->bits++;
    size_t n = (size_t)1 << h->bits, i = 0;
    h->buckets = xreallocarray(NULL, n + 1, sizeof *h->buckets);
    for (size_t b = 0; b <= n; b++) {
        while (i < h->n_entries && without_part(h->entries[i].shingle) >> (31 - h->bits) < b)
            i++;
        h->buckets[b] = i;
    }
}

/* A frame is found when there are enough documents to see it; what is one hardly changes after
 * that, so looking again whenever their number has doubled is enough. */
void heldout_refresh(struct heldout *h, const struct frames *f)
{
    if (frames_documents(f) < FRAMES_FROM || frames_documents(f) < 2 * h->refreshed)
        return;
    h->refreshed = frames_documents(f);
    for (size_t i = 0; i < h->n; i++)
        h->documents[i].own_prompt = h->documents[i].own_answer = 0;
    for (size_t i = 0; i < h->n_entries; i++) {
        struct held *d = &h->documents[h->entries[i].document];
        if (frames_have(f, h->entries[i].shingle))
            continue;
        if (h->entries[i].shingle & SHINGLE_ANSWER)
            d->own_answer++;
        else
            d->own_prompt++;
    }
}

/* ---- looking up ---- */

struct heldout_scratch {
    uint32_t *prompt, *answer; /* [documents]: shingles found */
    uint32_t *touched;
    size_t n_touched;
};

struct heldout_scratch *heldout_scratch_new(const struct heldout *h)
{
    struct heldout_scratch *s = xcalloc(1, sizeof *s);
    s->prompt = xcalloc(h->n + 1, sizeof *s->prompt);
    s->answer = xcalloc(h->n + 1, sizeof *s->answer);
    s->touched = xcalloc(h->n + 1, sizeof *s->touched);
    return s;
}

void heldout_scratch_free(struct heldout_scratch *s)
{
    if (!s)
        return;
    free(s->prompt);
    free(s->answer);
    free(s->touched);
    free(s);
}

/* shingle is without its part. */
static void count(const struct heldout *h, struct heldout_scratch *s, uint32_t shingle)
{
    size_t b = shingle >> (31 - h->bits);
    for (size_t i = h->buckets[b]; i < h->buckets[b + 1]; i++) {
        const struct entry *e = &h->entries[i];
        if (without_part(e->shingle) != shingle)
            continue;
        if (!s->prompt[e->document] && !s->answer[e->document])
            s->touched[s->n_touched++] = e->document;
        if (e->shingle & SHINGLE_ANSWER)
            s->answer[e->document]++;
        else
            s->prompt[e->document]++;
    }
}

/* Each shingle once, whichever parts it is in: both are sorted. */
static void count_all(const struct heldout *h, struct heldout_scratch *scratch,
                      const struct shingles *s, const struct frames *f)
{
    size_t i = 0, k = s->n_prompt;
    while (i < s->n_prompt || k < s->n) {
        uint32_t p = i < s->n_prompt ? s->items[i] : UINT32_MAX;
        uint32_t a = k < s->n ? without_part(s->items[k]) : UINT32_MAX;
        uint32_t least = p < a ? p : a;
        bool frame = frames_have(f, p <= a ? s->items[i] : s->items[k]);
        i += p == least;
        k += a == least;
        if (!frame)
            count(h, scratch, least);
    }
}

/* The share of its shingles, 0 if that doesn't count. */
static double share_of(const struct heldout *h, const struct heldout_scratch *s, uint32_t document,
                       uint64_t answer_hash)
{
    const struct held *d = &h->documents[document];
    double all = (double)d->own_prompt + d->own_answer;
    double share = ((double)s->prompt[document] + s->answer[document]) / (all > 0 ? all : 1);
    bool same_answer = d->own_answer ? s->answer[document] >= h->threshold / 2 * d->own_answer
                                     : answer_hash == d->answer_hash;
    if (all < FEWEST || share < h->threshold || !same_answer)
        return 0;
    return share < 1 ? share : 1;
}

struct heldout_match heldout_find(const struct heldout *h, struct heldout_scratch *scratch,
                                  const struct shingles *s, uint64_t answer_hash,
                                  const struct frames *f)
{
    struct heldout_match best = {SIZE_MAX, 0};
    if (!h->n_entries)
        return best;
    count_all(h, scratch, s, f);
    for (size_t i = 0; i < scratch->n_touched; i++) {
        uint32_t document = scratch->touched[i];
        double share = share_of(h, scratch, document, answer_hash);
        if (share > best.share || (share > 0 && share >= best.share && document < best.document))
            best = (struct heldout_match){document, share};
    }
    for (size_t i = 0; i < scratch->n_touched; i++)
        scratch->prompt[scratch->touched[i]] = scratch->answer[scratch->touched[i]] = 0;
    scratch->n_touched = 0;
    return best;
}
