#include "text/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
    KEY_SMALL = 15, /* bytes of a word in the small cache */
    IDS_SMALL = 12, /* its tokens */
    SETS_SMALL = 1 << 15,
    KEY_LARGE = 48,
    IDS_LARGE = 19,
    SETS_LARGE = 1 << 13,
    MANY = 15 << 4, /* a short word of more tokens: they are in the large cache */
    WAYS = 2,
    LINE = 64,
    AHEAD = 32, /* words that are looked for together */
};

/* A line of the processor's cache. */
struct small_word {
    char key[KEY_SMALL];
    uint8_t size; /* length of the key, and number of ids << 4 or MANY; 0 for an empty slot */
    uint32_t ids[IDS_SMALL];
};

struct large_word {
    char key[KEY_LARGE];
    uint16_t len, n; /* len 0 for an empty slot */
    uint32_t ids[IDS_LARGE];
};

/* In each set the word that came last is first, and the other one goes next. */
struct word_sets {
    struct small_word small[SETS_SMALL][WAYS]; /* each word a line */
    struct large_word large[SETS_LARGE][WAYS];
};

struct word_cache {
    struct word_sets *sets;
    struct word_tokens tokens;
};

void word_tokens_reserve(struct word_tokens *w, size_t n)
{
    if (n <= w->cap)
        return;
    w->cap = n + n / 2;
    w->ids = xreallocarray(w->ids, w->cap, sizeof *w->ids);
    w->lengths = xreallocarray(w->lengths, w->cap, sizeof *w->lengths);
}

void word_tokens_release(struct word_tokens *w)
{
    free(w->ids);
    free(w->lengths);
    *w = (struct word_tokens){NULL, NULL, 0, 0};
}

struct word_cache *word_cache_new(void)
{
    struct word_cache *c = xcalloc(1, sizeof *c);
    c->sets = mem_array(1, sizeof *c->sets, "words", NULL); /* in huge pages */
    if (!c->sets)
        c->sets = xcalloc(1, sizeof *c->sets);
    return c;
}

void word_cache_free(struct word_cache *c)
{
    if (!c)
        return;
    free(c->sets);
    word_tokens_release(&c->tokens);
    free(c);
}

/* Whether the tokens' own lengths tell where they begin, so that ids are all a cache must keep. */
static bool lengths_are_plain(const struct word_model *m, const uint32_t *ids, size_t n, size_t len)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (!m->lengths[ids[i]])
            return false;
        sum += m->lengths[ids[i]];
    }
    return sum == len;
}

/* At least one token. */
static inline void put_cached(const struct word_model *m, const uint32_t *ids, size_t n,
                              const struct text *t, size_t start, struct token_list *out)
{
    token_list_reserve(out, IDS_LARGE);
    token_list_put(out, ids[0], text_origin(t, start));
    for (size_t i = 1; i < n; i++) {
        start += m->lengths[ids[i - 1]];
        token_list_put(out, ids[i], text_origin(t, start));
    }
}

/* An offset never leaves the word, though lengths may add up to more (a prefix, a suffix). */
static void put_tokens(const struct word_tokens *w, const struct text *t, struct piece piece,
                       struct token_list *out)
{
    size_t start = piece.start;
    token_list_reserve(out, w->n);
    for (size_t i = 0; i < w->n; i++) {
        token_list_put(out, w->ids[i], text_origin(t, start < piece.end ? start : piece.end - 1));
        start += w->lengths[i];
    }
}

static int encode_uncached(const struct word_model *m, struct word_cache *c, void *scratch,
                           const struct text *t, struct piece piece, struct token_list *out,
                           struct err *err)
{
    c->tokens.n = 0;
    if (m->encode(m->model, scratch, t->p + piece.start, piece.end - piece.start, &c->tokens, err))
        return -1;
    put_tokens(&c->tokens, t, piece, out);
    return 0;
}

static inline size_t large_hash(const char *word, size_t len)
{
    return hash64(word, len, 0) & (SETS_LARGE - 1);
}

/* The word in its set, NULL if it isn't there. */
static const struct large_word *find_large(const struct large_word set[WAYS], const char *word,
                                           size_t len)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].len == len && !memcmp(set[i].key, word, len))
            return &set[i];
    return NULL;
}

static void keep_large(struct large_word set[WAYS], const char *word, size_t len,
                       const struct word_tokens *w)
{
    set[1] = set[0];
    memcpy(set[0].key, word, len);
    set[0].len = (uint16_t)len;
    set[0].n = (uint16_t)w->n;
    memcpy(set[0].ids, w->ids, w->n * sizeof *w->ids);
}

/*
 * The key of a short word is two numbers: its bytes, zeros, and in the last byte its length, so
 * that nothing but a look at both tells two words apart.
 */
struct small_key {
    uint64_t low, high;
};

static inline struct small_key small_key(const struct text *t, size_t start, size_t len)
{
    struct small_key key = {0, 0};
    const char *p = t->p + start;
    if (t->len - start >= sizeof key) {
        memcpy(&key, p, sizeof key);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        if (len >= 8) {
            key.high &= ((uint64_t)1 << 8 * (len - 8)) - 1;
        } else {
            key.low &= ((uint64_t)1 << 8 * len) - 1;
            key.high = 0;
        }
        return key;
#endif
    }
    key = (struct small_key){0, 0};
    memcpy(&key, p, len);
    return key;
}

static inline size_t small_hash(struct small_key key, size_t len)
{
    uint64_t x = (key.low ^ len) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32 ^ key.high) * 0xd6e8feb86659fd93u;
    return (size_t)(x >> 32) & (SETS_SMALL - 1);
}

static inline bool small_is(const struct small_word *w, struct small_key key, size_t len)
{
    struct small_key other;
    memcpy(&other, w, sizeof other);
    ((char *)&other)[KEY_SMALL] = 0;
    return other.low == key.low && other.high == key.high && (w->size & 15) == len;
}

static void keep_small(struct small_word set[WAYS], struct small_key key, size_t len,
                       const struct word_tokens *w)
{
    size_t n = w->n <= IDS_SMALL ? w->n : 0;
    set[1] = set[0];
    memcpy(&set[0], &key, sizeof key);
    set[0].size = (uint8_t)(len | (n ? n << 4 : MANY));
    memcpy(set[0].ids, w->ids, n * sizeof *w->ids);
}

/*
 * Where a word is looked for, worked out for several words before the first is: so that the memory
 * of all of them is on its way at once.
 */
struct place {
    struct small_key key; /* of a short word */
    size_t set;
};

static inline struct place place_of(const struct word_cache *c, const struct text *t,
                                    struct piece piece)
{
    struct place at = {{0, 0}, 0};
    size_t len = piece.end - piece.start;
    if (len <= KEY_SMALL) {
        at.key = small_key(t, piece.start, len);
        at.set = small_hash(at.key, len);
        __builtin_prefetch(&c->sets->small[at.set][0]);
        __builtin_prefetch(&c->sets->small[at.set][1]);
    } else if (len <= KEY_LARGE) {
        at.set = large_hash(t->p + piece.start, len);
        __builtin_prefetch(&c->sets->large[at.set][0]);
        __builtin_prefetch(&c->sets->large[at.set][0].len);
    }
    return at;
}

/* A word that no cache has. */
static int encode_new(const struct word_model *m, struct word_cache *c, void *scratch,
                      const struct text *t, struct piece piece, const struct place *at,
                      struct token_list *out, struct err *err)
{
    const char *word = t->p + piece.start;
    size_t len = piece.end - piece.start;
    const struct word_tokens *w = &c->tokens;
    if (encode_uncached(m, c, scratch, t, piece, out, err))
        return -1;
    if (w->n > IDS_LARGE || !lengths_are_plain(m, w->ids, w->n, len))
        return 0;
    if (len <= KEY_SMALL)
        keep_small(c->sets->small[at->set], at->key, len, w);
    if (len > KEY_SMALL || w->n > IDS_SMALL)
        keep_large(c->sets->large[len > KEY_SMALL ? at->set : large_hash(word, len)], word, len, w);
    return 0;
}

static int encode_large(const struct word_model *m, struct word_cache *c, void *scratch,
                        const struct text *t, struct piece piece, const struct place *at,
                        struct token_list *out, struct err *err)
{
    const char *word = t->p + piece.start;
    size_t len = piece.end - piece.start;
    size_t set = len > KEY_SMALL ? at->set : large_hash(word, len);
    const struct large_word *found = find_large(c->sets->large[set], word, len);
    if (!found)
        return encode_new(m, c, scratch, t, piece, at, out, err);
    put_cached(m, found->ids, found->n, t, piece.start, out);
    return 0;
}

static inline int encode_at(const struct word_model *m, struct word_cache *c, void *scratch,
                            const struct text *t, struct piece piece, const struct place *at,
                            struct token_list *out, struct err *err)
{
    size_t len = piece.end - piece.start;
    if (len > KEY_LARGE)
        return encode_uncached(m, c, scratch, t, piece, out, err);
    if (len > KEY_SMALL)
        return encode_large(m, c, scratch, t, piece, at, out, err);
    /* Which of the two it is, if any, can't be guessed. */
    const struct small_word *set = c->sets->small[at->set];
    bool first = small_is(&set[0], at->key, len), second = small_is(&set[1], at->key, len);
    const struct small_word *found = &set[second];
    if (__builtin_expect(!(first | second), 0))
        return encode_new(m, c, scratch, t, piece, at, out, err);
    if (__builtin_expect(found->size >= MANY, 0))
        return encode_large(m, c, scratch, t, piece, at, out, err);
    put_cached(m, found->ids, found->size >> 4, t, piece.start, out);
    return 0;
}

int words_encode(const struct word_model *m, struct word_cache *c, void *scratch,
                 const struct text *t, const struct piece *pieces, size_t n, struct token_list *out,
                 struct err *err)
{
    struct place places[AHEAD];
    for (size_t i = 0; i < n; i += AHEAD) {
        size_t some = n - i < AHEAD ? n - i : AHEAD;
        for (size_t j = 0; j < some; j++)
            places[j] = place_of(c, t, pieces[i + j]);
        for (size_t j = 0; j < some; j++)
            if (encode_at(m, c, scratch, t, pieces[i + j], &places[j], out, err))
                return -1;
    }
    return 0;
}
