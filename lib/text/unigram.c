#include "text/unigram.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/trie.h"
#include "text/unicode.h"

#define UNKNOWN_PENALTY 10.0 /* below the lowest score: of an unknown character */
#define NOWHERE UINT32_MAX

struct unigram {
    const struct vocab *vocab;
    struct trie trie;
    double *scores;
    double unknown_score;
    int64_t unk;
    bool byte_fallback; /* and all of the bytes are there */
    bool single;        /* sums are float */
    bool known_only;    /* an unknown run is never a token, though the vocabulary has it */
    double user_score;  /* of a user's token: single, for each byte of it */
    bool *is_user;      /* [vocab->n] single */
    uint32_t bytes[256];
    uint32_t *lengths;
};

/* The best segmentation that ends at a place. */
struct best {
    double score;
    uint32_t start; /* of its last token */
    uint32_t id;
};

struct unigram_scratch {
    struct best *best;
    size_t cap;
};

static int build_trie(struct unigram *u, const enum unigram_kind *kinds, struct err *err)
{
    struct trie_key *keys = mem_array(u->vocab->n_tokens + 1, sizeof *keys, "trie", err);
    size_t n = 0;
    if (!keys)
        return -1;
    for (uint32_t id = 0; id < u->vocab->n; id++) {
        size_t len;
        const char *p = vocab_string(u->vocab, id, &len);
        if (p && len && (!kinds || kinds[id] != UNIGRAM_NOWHERE))
            keys[n++] = (struct trie_key){p, len, id};
    }
    int rc = trie_build(&u->trie, keys, n, err);
    free(keys);
    return rc;
}

/* A byte token is one byte of text where it was fallen back to, and six where its own name stands
 * in the text: it's different from place to place, as is the length of an unknown run. */
static void measure_tokens(struct unigram *u)
{
    for (uint32_t id = 0; id < u->vocab->n; id++) {
        size_t len = 0;
        vocab_string(u->vocab, id, &len);
        u->lengths[id] = (uint32_t)len;
    }
    for (unsigned byte = 0; byte < 256 && u->byte_fallback; byte++)
        u->lengths[u->bytes[byte]] = 0;
    if (u->unk >= 0)
        u->lengths[u->unk] = 0;
}

/*
 * A user's token gets the highest score times its length less 0.1, the highest being at least the
 * least positive float (sentencepiece, unigram_model.cc).
 */
static void set_scores(struct unigram *u, const double *scores, const enum unigram_kind *kinds)
{
    double lowest = INFINITY, highest = FLT_MIN;
    for (uint32_t id = 0; id < u->vocab->n; id++) {
        u->scores[id] = scores[id];
        u->is_user[id] = kinds && kinds[id] == UNIGRAM_USER;
        if (!vocab_string(u->vocab, id, NULL) || (kinds && kinds[id] != UNIGRAM_NORMAL))
            continue;
        lowest = fmin(lowest, scores[id]);
        highest = fmax(highest, scores[id]);
    }
    u->unknown_score = lowest - UNKNOWN_PENALTY;
    u->user_score = highest;
    if (u->single)
        u->unknown_score = (float)u->unknown_score;
}

/* All but the trie and the scores. */
static struct unigram *start(const struct vocab *v, const struct unigram_options *o,
                             struct err *err)
{
    struct unigram *u = xcalloc(1, sizeof *u);
    u->vocab = v;
    u->unk = o->unk;
    u->byte_fallback = o->byte_fallback && vocab_find_bytes(v, u->bytes);
    u->single = o->single;
    u->known_only = o->kinds != NULL;
    u->scores = mem_array(v->n + 1, sizeof *u->scores, "scores", err);
    u->lengths = mem_array(v->n + 1, sizeof *u->lengths, "token lengths", err);
    u->is_user = mem_array(v->n + 1, sizeof *u->is_user, "scores", err);
    if (!u->scores || !u->lengths || !u->is_user) {
        unigram_free(u);
        return NULL;
    }
    measure_tokens(u);
    return u;
}

struct unigram *unigram_new(const struct vocab *v, const double *scores,
                            const struct unigram_options *o, struct err *err)
{
    struct unigram *u = start(v, o, err);
    if (!u)
        return NULL;
    if (build_trie(u, o->kinds, err)) {
        unigram_free(u);
        return NULL;
    }
    set_scores(u, scores, o->kinds);
    return u;
}

void unigram_put(const struct unigram *u, struct image_writer *w)
{
    trie_put(&u->trie, w);
    image_put(w, "scores", u->scores, u->vocab->n, sizeof *u->scores);
}

struct unigram *unigram_restore(const struct vocab *v, const struct unigram_options *o,
                                const struct image *image)
{
    size_t n = 0;
    const double *scores = image_array(image, "scores", sizeof *scores, &n);
    struct unigram *u = scores && n == v->n ? start(v, o, NULL) : NULL;
    if (!u)
        return NULL;
    if (!trie_restore(&u->trie, image, v->n)) {
        unigram_free(u);
        return NULL;
    }
    set_scores(u, scores, NULL);
    return u;
}

void unigram_free(struct unigram *u)
{
    if (!u)
        return;
    trie_release(&u->trie);
    free(u->scores);
    free(u->lengths);
    free(u->is_user);
    free(u);
}

struct unigram_scratch *unigram_scratch_new(void)
{
    return xcalloc(1, sizeof(struct unigram_scratch));
}

void unigram_scratch_free(struct unigram_scratch *s)
{
    if (!s)
        return;
    free(s->best);
    free(s);
}

static inline void offer(struct best *at, double score, size_t start, uint32_t id)
{
    if (at->start == NOWHERE || score > at->score)
        *at = (struct best){score, (uint32_t)start, id};
}

/* The sum so far and a token of `len` bytes behind it, in the precision that it's kept in. */
static inline double score_with(const struct unigram *u, uint32_t id, size_t len, double here)
{
    if (!u->single)
        return here + u->scores[id];
    float score = (float)(u->is_user[id] ? (double)len * u->user_score - 0.1 : u->scores[id]);
    return (float)here + score;
}

/* The tokens that begin at `start`; a character that is none by itself may be unknown. */
static int extend(const struct unigram *u, struct best *best, const char *word, size_t start,
                  size_t len, struct err *err)
{
    size_t one = utf8_length((unsigned char)word[start]);
    bool single = false;
    double here = best[start].score;
    uint32_t node = TRIE_ROOT;
    for (size_t i = start; i < len; i++) {
        node = trie_step(&u->trie, node, (unsigned char)word[i]);
        if (!node)
            break;
        uint32_t id = u->trie.nodes[node].value;
        if (id == TRIE_NONE)
            continue;
        offer(&best[i + 1], score_with(u, id, i + 1 - start, here), start, id);
        single |= i + 1 - start == one;
    }
    if (single)
        return 0;
    if (u->unk < 0)
        return err_set(err, "an unknown character, \"%.*s\", and no unk_id", (int)one,
                       word + start);
    double unknown = u->unknown_score + here;
    offer(&best[start + one], u->single ? (float)unknown : unknown, start, (uint32_t)u->unk);
    return 0;
}

/* A run of unknown characters: one token, or their bytes. */
static void put_unknown(const struct unigram *u, const char *p, size_t len, struct word_tokens *out)
{
    int64_t id = u->known_only ? -1 : vocab_find(u->vocab, p, len);
    if (id >= 0 || !u->byte_fallback) {
        word_tokens_put(out, (uint32_t)(id >= 0 ? id : u->unk), len);
        return;
    }
    for (size_t i = 0; i < len; i++)
        word_tokens_put(out, u->bytes[(unsigned char)p[i]], 1);
}

/* Walks the best path back from its end, and leaves in best[at].start where the token that begins
 * at `at` ends, in best[at].id which it is. */
static void turn_path(struct best *best, size_t len)
{
    uint32_t end = (uint32_t)len, start = best[len].start, id = best[len].id;
    while (end) {
        struct best before = best[start];
        best[start].start = end;
        best[start].id = id;
        end = start;
        start = before.start;
        id = before.id;
    }
}

static void put_path(const struct unigram *u, const struct best *best, const char *word, size_t len,
                     struct word_tokens *out)
{
    for (size_t i = 0, end; i < len; i = end) {
        end = best[i].start;
        if (best[i].id != u->unk) {
            word_tokens_put(out, best[i].id, end - i);
            continue;
        }
        while (end < len && best[end].id == u->unk)
            end = best[end].start;
        put_unknown(u, word + i, end - i, out);
    }
}

static int encode(const void *model, void *scratch, const char *word, size_t len,
                  struct word_tokens *out, struct err *err)
{
    const struct unigram *u = model;
    struct unigram_scratch *s = scratch;
    if (len + 1 > s->cap) {
        s->cap = len + len / 2 + 64;
        s->best = xreallocarray(s->best, s->cap, sizeof *s->best);
    }
    for (size_t i = 1; i <= len; i++)
        s->best[i].start = NOWHERE;
    s->best[0] = (struct best){0, NOWHERE, 0};
    for (size_t i = 0; i < len; i += utf8_length((unsigned char)word[i]))
        if (extend(u, s->best, word, i, len, err))
            return -1;
    word_tokens_reserve(out, len);
    out->n = 0;
    turn_path(s->best, len);
    put_path(u, s->best, word, len, out);
    return 0;
}

struct word_model unigram_model(const struct unigram *u)
{
    return (struct word_model){encode, u, u->lengths};
}
