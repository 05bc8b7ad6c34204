/* Generation sees what scoring sees: a sequence that grows in a cache, piece by piece beside
 * another one, has after each piece the logits of a document that ends there; so has one that is
 * cut back and goes on otherwise. For every reference model: windows, longrope's change of angles,
 * learned positions and all. */
#include "fixture.h"

/* Logits after the last of n tokens, as a document. */
static void score_prefix(struct decoder *d, const uint32_t *ids, size_t n, float *last)
{
    struct err err;
    size_t vocab = decoder_config(d)->vocab;
    struct batch b = {.ids = ids, .n = n, .lengths = &n, .n_documents = 1};
    float *logits = xcalloc(n * vocab, sizeof *logits);
    if (decoder_logits(d, NULL, &b, logits, &err))
        tap_ok(false, "%s", err.msg);
    memcpy(last, logits + (n - 1) * vocab, vocab * sizeof *last);
    free(logits);
}

static size_t longest(const struct fixture_inputs *in, size_t *start)
{
    size_t best = 0;
    for (size_t i = 0, at = 0; i < in->n_documents; at += in->lengths[i++])
        if (in->lengths[i] > best) {
            best = in->lengths[i];
            *start = at;
        }
    return best;
}

static void check_growth(struct decoder *d, const char *name, const uint32_t *ids, size_t n)
{
    static const size_t pieces[] = {5, 1, 1, 7, 1, 3}; /* over and over */
    struct err err;
    struct kv_cache *cache;
    size_t vocab = decoder_config(d)->vocab, slots[] = {1, 0}, held = 0, lengths[2] = {0};
    float *logits = xcalloc(2 * vocab, sizeof *logits), *want = xcalloc(2 * vocab, sizeof *want);
    uint32_t *both = xcalloc(n + 1, sizeof *both);
    if (!tap_ok(kv_cache_new(&cache, d, 2, n, &err) == 0, "%s: cache", name))
        return;
    for (size_t k = 0; held < n; k++) {
        /* The other sequence begins two tokens later in the same document and grows by one. */
        size_t piece = size_min(pieces[k % ARRAY_SIZE(pieces)], n - held), counts[] = {piece, 1};
        bool other = lengths[1] + 3 < n;
        memcpy(both, ids + held, piece * sizeof *both);
        both[piece] = ids[2 + lengths[1]];
        if (decoder_extend(d, NULL, cache, slots, counts, other ? 2 : 1, both, logits, &err))
            tap_ok(false, "%s: %s", name, err.msg);
        held += piece;
        lengths[1] += other;
        score_prefix(d, ids, held, want);
        score_prefix(d, ids + 2, lengths[1], want + vocab);
        char what[200];
        snprintf(what, sizeof what, "%s: %zu tokens in pieces, and %zu", name, held, lengths[1]);
        tap_close(what, logits, want, other ? 2 * vocab : vocab, 2e-5);
    }
    kv_cache_free(cache);
    free(both);
    free(logits);
    free(want);
}

/* The whole document, then its first `keep` tokens with others behind them. */
static void check_return(struct decoder *d, const char *name, const uint32_t *ids, size_t n,
                         size_t keep)
{
    struct err err;
    struct kv_cache *cache;
    size_t vocab = decoder_config(d)->vocab, slot = 1, kept, left;
    float *logits = xcalloc(vocab, sizeof *logits), *want = xcalloc(vocab, sizeof *want);
    uint32_t *other = xcalloc(n, sizeof *other);
    memcpy(other, ids, n * sizeof *ids);
    for (size_t i = keep; i < n; i++)
        other[i] = (ids[i] + 1) % (uint32_t)vocab;
    if (kv_cache_new(&cache, d, 2, n, &err) ||
        decoder_extend(d, NULL, cache, &slot, &n, 1, ids, logits, &err))
        tap_ok(false, "%s: %s", name, err.msg);
    kept = kv_cache_keep(cache, slot, other, n - 1);
    left = n - kept;
    tap_ok(kept == size_min(keep, n - 1) || kept == 0, "%s: keeps %zu of %zu", name, kept, keep);
    tap_ok(kv_cache_length(cache, slot) == kept, "%s: and no more", name);
    if (decoder_extend(d, NULL, cache, &slot, &left, 1, other + kept, logits, &err))
        tap_ok(false, "%s: %s", name, err.msg);
    score_prefix(d, other, n, want);
    char what[200];
    snprintf(what, sizeof what, "%s: the last of %zu tokens, %zu kept", name, n, kept);
    tap_close(what, logits, want, vocab, 2e-5);
    kv_cache_free(cache);
    free(other);
    free(logits);
    free(want);
}

static void check_model(const char *dir, const char *name)
{
    struct err err;
    struct checkpoint *c;
    struct decoder *d;
    struct decoder_options options = {.backend = BACKEND_FP32, .threads = 2};
    if (checkpoint_open(&c, dir, &err) || decoder_open(&d, c, &options, &err)) {
        tap_ok(false, "%s: %s", name, err.msg);
        return;
    }
    struct fixture_inputs in = fixture_inputs(dir);
    size_t start = 0, n = longest(&in, &start);
    check_growth(d, name, in.ids + start, n);
    check_return(d, name, in.ids + start, n, 0);
    check_return(d, name, in.ids + start, n, n / 2);
    check_return(d, name, in.ids + start, n, n);
    fixture_inputs_release(&in);
    decoder_close(d);
    checkpoint_close(c);
}

int main(void)
{
    fixture_models(check_model);
    return tap_done();
}
