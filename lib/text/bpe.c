#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/unicode.h"

#define NO_MERGE UINT32_MAX
#define NO_TOKEN UINT32_MAX

enum { SHORT_WORD = 48 }; /* symbols; above, a heap finds the next merge */

struct merge {
    uint32_t rank, id;
};

struct pair {
    uint64_t key; /* (left id << 32 | right id) + 1, 0 for an empty slot */
    struct merge merge;
};

struct bpe {
    const struct vocab *vocab;
    struct bpe_options options;
    char *prefix, *suffix;
    struct pair *pairs; /* open addressing */
    size_t n_pairs;     /* a power of two */
    unsigned shift;     /* of a 64-bit product, to an index */
    uint32_t n_merges;
    uint32_t byte_ids[256];   /* options.bytes: the symbol of a byte; else its fallback token */
    bool all_bytes;           /* every byte has an id in byte_ids */
    struct merge *byte_pairs; /* [256 * 256], options.bytes: the merge of two bytes */
    uint32_t *lengths;        /* [vocab->n] bytes of text behind a token */
    struct vocab words;       /* options.ignore_merges and bytes: tokens by their bytes */
    struct buf joined;        /* of add_merge */
    uint32_t guess;           /* where the next merge's token may be */
    bool crosses_metaspace;   /* some merge makes a token with U+2581 behind another character */
};

/* Work memory besides the word's tokens, which start as its symbols. */
struct bpe_scratch {
    uint32_t *next, *prev;
    struct merge *merges; /* of a symbol with the next one */
    uint64_t *heap;       /* rank << 32 | position */
    size_t cap, n_heap, heap_cap;
    struct buf text;
};

uint32_t byte_level_char(uint8_t byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad))
        return byte;
    if (byte <= ' ')
        return 256u + byte;
    if (byte <= 0xa0)
        return 256u + 33u + (byte - 0x7fu);
    return 256u + 67u;
}

int byte_level_byte(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xff && c != 0xad))
        return (int)c;
    if (c < 256 || c > 256 + 67)
        return -1;
    c -= 256;
    return c <= ' ' ? (int)c : c < 67 ? (int)(c - 33 + 0x7f) : 0xad;
}

/* The bytes that a byte-level token stands for, into out[len]; their number, 0 where it isn't one.
 */
static size_t token_bytes(const char *p, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        unsigned char first = (unsigned char)p[i];
        unsigned one = 1;
        int byte =
            first < 0x80 ? first : byte_level_byte(utf8_char((const unsigned char *)p + i, &one));
        if (byte < 0 || (first < 0x80 && (first <= ' ' || first == 0x7f)))
            return 0;
        out[n] = (char)byte;
        i += one;
    }
    return n;
}

static void find_byte_ids(struct bpe *b)
{
    b->all_bytes = true;
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        size_t len;
        if (b->options.bytes)
            len = utf8_put(byte_level_char((uint8_t)byte), name);
        else
            len = (size_t)snprintf(name, sizeof name, "<0x%02X>", byte);
        int64_t id = vocab_find(b->vocab, name, len);
        b->byte_ids[byte] = id < 0 ? NO_TOKEN : (uint32_t)id;
        b->all_bytes &= id >= 0;
    }
}

/*
 * Bytes of text behind each token; what was encoded otherwise (an unknown character, a prefix)
 * differs, and then the word isn't cached.
 */
static int measure_tokens(struct bpe *b, struct err *err)
{
    struct buf bytes = BUF_INIT;
    if (b->options.ignore_merges && b->options.bytes)
        vocab_reserve(&b->words, b->vocab->n, b->vocab->arena_len);
    b->lengths = mem_array(b->vocab->n + 1, sizeof *b->lengths, "token lengths", err);
    if (!b->lengths)
        return -1;
    for (uint32_t id = 0; id < b->vocab->n; id++) {
        size_t len;
        const char *p = vocab_string(b->vocab, id, &len);
        if (!p)
            continue;
        b->lengths[id] = (uint32_t)len;
        if (!b->options.bytes)
            continue;
        buf_clear(&bytes);
        buf_reserve(&bytes, len);
        size_t n = token_bytes(p, len, bytes.p);
        if (!n)
            continue;
        b->lengths[id] = (uint32_t)n;
        /* Two spellings can't have the same bytes, so vocab_add can't fail. */
        if (b->options.ignore_merges)
            vocab_add(&b->words, id, bytes.p, n, NULL);
    }
    for (unsigned byte = 0; byte < 256 && b->options.byte_fallback; byte++)
        if (b->byte_ids[byte] != NO_TOKEN)
            b->lengths[b->byte_ids[byte]] = 1;
    if (b->options.unk >= 0)
        b->lengths[b->options.unk] = 0; /* differs from use to use, and makes a word uncacheable */
    buf_release(&bytes);
    return 0;
}

struct bpe *bpe_new(const struct vocab *v, const struct bpe_options *o, size_t n_merges,
                    struct err *err)
{
    if (n_merges > VOCAB_MAX_ID) {
        err_set(err, "%zu merges are more than %u", n_merges, VOCAB_MAX_ID);
        return NULL;
    }
    struct bpe *b = xcalloc(1, sizeof *b);
    b->vocab = v;
    b->options = *o;
    if (o->prefix && *o->prefix)
        b->prefix = xstrdup(o->prefix);
    if (o->suffix && *o->suffix)
        b->suffix = xstrdup(o->suffix);
    vocab_init(&b->words);
    buf_init(&b->joined);
    find_byte_ids(b);
    for (b->n_pairs = 16, b->shift = 60; b->n_pairs < 2 * n_merges; b->n_pairs *= 2)
        b->shift--;
    b->pairs = mem_array(b->n_pairs, sizeof *b->pairs, "merges", err);
    if (!b->pairs || measure_tokens(b, err)) {
        bpe_free(b);
        return NULL;
    }
    if (o->bytes) {
        b->byte_pairs = xmalloc(65536 * sizeof *b->byte_pairs);
        for (size_t i = 0; i < 65536; i++)
            b->byte_pairs[i] = (struct merge){NO_MERGE, 0};
    }
    return b;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    free(b->prefix);
    free(b->suffix);
    free(b->pairs);
    free(b->byte_pairs);
    free(b->lengths);
    vocab_release(&b->words);
    buf_release(&b->joined);
    free(b);
}

static uint64_t pair_key(uint32_t left, uint32_t right)
{
    return ((uint64_t)left << 32 | right) + 1;
}

static inline size_t pair_hash(const struct bpe *b, uint64_t key)
{
    return (size_t)((key ^ key >> 29) * 0x9e3779b97f4a7c15u >> b->shift);
}

static inline struct pair *pair_slot(const struct bpe *b, uint64_t key)
{
    size_t i = pair_hash(b, key);
    while (b->pairs[i].key != key && b->pairs[i].key)
        i = (i + 1) & (b->n_pairs - 1);
    return &b->pairs[i];
}

static inline struct merge merge_of(const struct bpe *b, uint32_t left, uint32_t right)
{
    const struct pair *pair = pair_slot(b, pair_key(left, right));
    return pair->key ? pair->merge : (struct merge){NO_MERGE, 0};
}

static bool crosses_metaspace(const char *p, size_t len)
{
    static const char metaspace[] = "\xe2\x96\x81";
    for (size_t i = 1; i + 3 <= len; i++)
        if (!memcmp(p + i, metaspace, 3) && (i < 3 || memcmp(p + i - 3, metaspace, 3)))
            return true;
    return false;
}

bool bpe_may_cut_at_metaspace(const struct bpe *b)
{
    return !b->crosses_metaspace && !b->options.bytes && !b->options.ignore_merges && !b->prefix &&
           !b->suffix && vocab_find(b->vocab, "\xe2\x96\x81", 3) >= 0;
}

/* The byte that a byte-level token of one byte stands for, else -1. */
static int single_byte(const char *p, size_t len)
{
    unsigned n;
    if (!len || len > 2)
        return -1;
    uint32_t c = utf8_char((const unsigned char *)p, &n);
    return n == len ? byte_level_byte(c) : -1;
}

/* The token that the two make; most files have it right behind that of the merge before. */
static int64_t joined_token(struct bpe *b, uint32_t left, uint32_t right)
{
    size_t left_len, right_len, guess_len, skip = b->prefix ? strlen(b->prefix) : 0;
    const char *p = vocab_string(b->vocab, left, &left_len);
    const char *q = vocab_string(b->vocab, right, &right_len);
    if (right_len < skip)
        return -1;
    buf_clear(&b->joined);
    buf_add(&b->joined, p, left_len);
    buf_add(&b->joined, q + skip, right_len - skip);
    const char *guess = vocab_string(b->vocab, b->guess, &guess_len);
    if (guess && guess_len == b->joined.len && !memcmp(guess, b->joined.p, guess_len))
        return b->guess;
    return vocab_find(b->vocab, b->joined.p, b->joined.len);
}

static void add_byte_pair(struct bpe *b, uint32_t left, uint32_t right, struct merge merge)
{
    size_t left_len, right_len;
    const char *p = vocab_string(b->vocab, left, &left_len);
    const char *q = vocab_string(b->vocab, right, &right_len);
    int first = single_byte(p, left_len), second = single_byte(q, right_len);
    if (first >= 0 && second >= 0)
        b->byte_pairs[first << 8 | second] = merge;
}

static int add_merge(struct bpe *b, uint32_t left, uint32_t right, struct err *err)
{
    uint32_t rank = b->n_merges;
    if (!vocab_string(b->vocab, left, NULL) || !vocab_string(b->vocab, right, NULL))
        return err_set(err, "merge %u is of ids that are no tokens", rank);
    int64_t id = joined_token(b, left, right);
    if (id < 0)
        return err_set(err, "merge %u: \"%.*s\" is not in the vocabulary", rank,
                       (int)(b->joined.len < 100 ? b->joined.len : 100), b->joined.p);
    if (2 * (size_t)rank >= b->n_pairs)
        return err_set(err, "more merges than announced");
    struct merge merge = {rank, (uint32_t)id};
    uint64_t key = pair_key(left, right);
    *pair_slot(b, key) = (struct pair){key, merge};
    if (b->byte_pairs)
        add_byte_pair(b, left, right, merge);
    else
        b->crosses_metaspace |= crosses_metaspace(b->joined.p, b->joined.len);
    b->guess = merge.id + 1;
    b->n_merges++;
    return 0;
}

/* What add_merge will touch. */
static void prefetch_merge(const struct bpe *b, const uint32_t merge[2])
{
    for (size_t i = 0; i < 2; i++)
        if (merge[i] < b->vocab->n && b->vocab->entries[merge[i]].len != VOCAB_NONE)
            __builtin_prefetch(b->vocab->arena + b->vocab->entries[merge[i]].at);
    __builtin_prefetch(&b->pairs[pair_hash(b, pair_key(merge[0], merge[1]))], 1);
}

int bpe_add_merges(struct bpe *b, const uint32_t (*merges)[2], size_t n, struct err *err)
{
    enum { AHEAD = 12 };
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            prefetch_merge(b, merges[i + AHEAD]);
        if (i + 2 * AHEAD < n) {
            __builtin_prefetch(&b->vocab->entries[merges[i + 2 * AHEAD][0] % b->vocab->n]);
            __builtin_prefetch(&b->vocab->entries[merges[i + 2 * AHEAD][1] % b->vocab->n]);
        }
        if (add_merge(b, merges[i][0], merges[i][1], err))
            return -1;
    }
    return 0;
}

struct bpe_scratch *bpe_scratch_new(void)
{
    struct bpe_scratch *s = xcalloc(1, sizeof *s);
    buf_init(&s->text);
    return s;
}

void bpe_scratch_free(struct bpe_scratch *s)
{
    if (!s)
        return;
    free(s->next);
    free(s->prev);
    free(s->merges);
    free(s->heap);
    buf_release(&s->text);
    free(s);
}

static void scratch_reserve(struct bpe_scratch *s, size_t n)
{
    if (n <= s->cap)
        return;
    s->cap = n + n / 2;
    s->next = xreallocarray(s->next, s->cap, sizeof *s->next);
    s->prev = xreallocarray(s->prev, s->cap, sizeof *s->prev);
    s->merges = xreallocarray(s->merges, s->cap, sizeof *s->merges);
}

/* Symbols of a byte-level word; a byte that the vocabulary lacks is left out. */
static void start_bytes(const struct bpe *b, struct bpe_scratch *s, struct word_tokens *w,
                        const char *word, size_t len)
{
    const unsigned char *p = (const unsigned char *)word;
    for (size_t i = 0; i < len; i++)
        if (b->byte_ids[p[i]] != NO_TOKEN)
            word_tokens_put(w, b->byte_ids[p[i]], 1);
    if (w->n != len) {
        for (size_t i = 0; i + 1 < w->n; i++)
            s->merges[i] = merge_of(b, w->ids[i], w->ids[i + 1]);
        return;
    }
    for (size_t i = 0; i + 1 < len; i++)
        s->merges[i] = b->byte_pairs[p[i] << 8 | p[i + 1]];
}

static bool fall_back(const struct bpe *b, struct word_tokens *w, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (b->byte_ids[(unsigned char)p[i]] == NO_TOKEN)
            return false;
    for (size_t i = 0; i < len; i++)
        word_tokens_put(w, b->byte_ids[(unsigned char)p[i]], 1);
    return true;
}

/*
 * Symbols of a word of characters. An unknown token waits until a known character comes; bytes
 * that were fallen back to don't flush it (so `tokenizers` has it, and the order of ids with it).
 */
static void start_chars(const struct bpe *b, struct bpe_scratch *s, struct word_tokens *w,
                        const char *word, size_t len)
{
    size_t unknown = 0;
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_length((unsigned char)word[i]);
        const char *p = word + i;
        size_t p_len = n;
        bool last = i + n == len;
        if ((i && b->prefix) || (last && b->suffix)) {
            buf_clear(&s->text);
            if (i && b->prefix)
                buf_addstr(&s->text, b->prefix);
            buf_add(&s->text, word + i, n);
            if (last && b->suffix)
                buf_addstr(&s->text, b->suffix);
            p = s->text.p;
            p_len = s->text.len;
        }
        int64_t id = vocab_find(b->vocab, p, p_len);
        if (id >= 0) {
            if (unknown)
                word_tokens_put(w, (uint32_t)b->options.unk, unknown);
            unknown = 0;
            word_tokens_put(w, (uint32_t)id, n);
        } else if (!b->options.byte_fallback || !fall_back(b, w, p, p_len)) {
            if (b->options.unk < 0)
                continue;
            if (unknown && !b->options.fuse_unk) {
                word_tokens_put(w, (uint32_t)b->options.unk, unknown);
                unknown = 0;
            }
            unknown += n;
        }
    }
    if (unknown)
        word_tokens_put(w, (uint32_t)b->options.unk, unknown);
    for (size_t i = 0; i + 1 < w->n; i++)
        s->merges[i] = merge_of(b, w->ids[i], w->ids[i + 1]);
}

/* The merges of a short word, on arrays that close up. */
static void merge_short(const struct bpe *b, struct bpe_scratch *s, struct word_tokens *w)
{
    uint32_t *ids = w->ids, *lengths = w->lengths;
    struct merge *merges = s->merges;
    size_t n = w->n;
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (merges[i].rank < merges[best].rank)
                best = i;
        if (merges[best].rank == NO_MERGE)
            break;
        ids[best] = merges[best].id;
        lengths[best] += lengths[best + 1];
        size_t behind = n - best - 2;
        memmove(ids + best + 1, ids + best + 2, behind * sizeof *ids);
        memmove(lengths + best + 1, lengths + best + 2, behind * sizeof *lengths);
        memmove(merges + best, merges + best + 1, behind * sizeof *merges);
        n--;
        if (best + 1 < n)
            merges[best] = merge_of(b, ids[best], ids[best + 1]);
        if (best)
            merges[best - 1] = merge_of(b, ids[best - 1], ids[best]);
    }
    w->n = n;
}

static void heap_push(struct bpe_scratch *s, uint64_t item)
{
    ARRAY_GROW(s->heap, s->n_heap, s->heap_cap);
    size_t i = s->n_heap++;
    while (i && s->heap[(i - 1) / 4] > item) {
        s->heap[i] = s->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    s->heap[i] = item;
}

static uint64_t heap_pop(struct bpe_scratch *s)
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

static void heap_merge(const struct bpe *b, struct bpe_scratch *s, const struct word_tokens *w,
                       size_t at, size_t right)
{
    s->merges[at] = merge_of(b, w->ids[at], w->ids[right]);
    if (s->merges[at].rank != NO_MERGE)
        heap_push(s, (uint64_t)s->merges[at].rank << 32 | at);
}

/* The merges of a long word: symbols in a linked list, candidates in a heap; stale ones are
 * recognised by their rank. */
static void merge_long(const struct bpe *b, struct bpe_scratch *s, struct word_tokens *w)
{
    size_t n = w->n;
    s->n_heap = 0;
    s->merges[n - 1].rank = NO_MERGE;
    for (size_t i = 0; i < n; i++) {
        s->next[i] = (uint32_t)i + 1;
        s->prev[i] = (uint32_t)i - 1;
        if (s->merges[i].rank != NO_MERGE)
            heap_push(s, (uint64_t)s->merges[i].rank << 32 | i);
    }
    while (s->n_heap) {
        uint64_t top = heap_pop(s);
        size_t at = top & UINT32_MAX;
        if (!w->lengths[at] || s->merges[at].rank != top >> 32)
            continue;
        size_t right = s->next[at], after = s->next[right];
        w->ids[at] = s->merges[at].id;
        w->lengths[at] += w->lengths[right];
        w->lengths[right] = 0;
        s->next[at] = (uint32_t)after;
        s->merges[at].rank = NO_MERGE;
        if (after < n) {
            s->prev[after] = (uint32_t)at;
            heap_merge(b, s, w, at, after);
        }
        if (at)
            heap_merge(b, s, w, s->prev[at], at);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i = s->next[i]) {
        w->ids[kept] = w->ids[i];
        w->lengths[kept++] = w->lengths[i];
    }
    w->n = kept;
}

static int encode(const void *model, void *scratch, const char *word, size_t len,
                  struct word_tokens *w, struct err *err)
{
    const struct bpe *b = model;
    struct bpe_scratch *s = scratch;
    size_t suffix = b->suffix ? strlen(b->suffix) : 0, prefix = b->prefix ? strlen(b->prefix) : 0;
    size_t most = len * (1 + prefix) + suffix;
    (void)err;
    w->n = 0;
    word_tokens_reserve(w, most);
    scratch_reserve(s, most);
    if (b->options.ignore_merges) {
        int64_t id = vocab_find(b->options.bytes ? &b->words : b->vocab, word, len);
        if (id >= 0) {
            word_tokens_put(w, (uint32_t)id, len);
            return 0;
        }
    }
    if (b->options.bytes)
        start_bytes(b, s, w, word, len);
    else
        start_chars(b, s, w, word, len);
    if (w->n > SHORT_WORD)
        merge_long(b, s, w);
    else
        merge_short(b, s, w);
    return 0;
}

struct word_model bpe_model(const struct bpe *b)
{
    return (struct word_model){encode, b, b->lengths};
}
