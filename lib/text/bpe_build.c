#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/bpe_internal.h"
#include "text/byte_level.h"
#include "text/unicode.h"

enum { SPELLED = 0x180 }; /* the characters that spell bytes are below */

/* The bytes that a byte-level token stands for, into out[len]; their number, 0 where it isn't one.
 * byte_of[SPELLED]: byte_level_byte. */
static size_t token_bytes(const int16_t *byte_of, const char *p, size_t len, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < len; n++) {
        unsigned one;
        uint32_t c = utf8_char((const unsigned char *)p + i, &one);
        if (c >= SPELLED || byte_of[c] < 0)
            return 0;
        out[n] = (char)byte_of[c];
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
    int16_t byte_of[SPELLED];
    for (uint32_t c = 0; c < SPELLED; c++)
        byte_of[c] = (int16_t)byte_level_byte(c);
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
        size_t n = token_bytes(byte_of, p, len, bytes.p);
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

/* Symbols of the characters of the first plane, where a character by itself is one. */
static void find_char_ids(struct bpe *b)
{
    b->char_ids = xmalloc(CHARS * sizeof *b->char_ids);
    for (uint32_t c = 0; c < CHARS; c++)
        b->char_ids[c] = NO_TOKEN;
    for (uint32_t id = 0; id < b->vocab->n; id++) {
        unsigned n;
        size_t len;
        const char *p = vocab_string(b->vocab, id, &len);
        uint32_t c = p && len && len <= 4 ? utf8_char((const unsigned char *)p, &n) : CHARS;
        if (c < CHARS && n == len)
            b->char_ids[c] = (uint32_t)id;
    }
}

struct bpe *bpe_start(const struct vocab *v, const struct bpe_options *o)
{
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
    return b;
}

struct bpe *bpe_new(const struct vocab *v, const struct bpe_options *o, size_t n_merges,
                    struct err *err)
{
    struct bpe *b = bpe_start(v, o);
    if (merge_table_init(&b->table, n_merges, err) || measure_tokens(b, err)) {
        bpe_free(b);
        return NULL;
    }
    if (o->bytes) {
        b->byte_pairs = byte_pairs_new();
        b->used = xcalloc(v->n + 1, 1);
        return b;
    }
    cuts_init(&b->cuts);
    find_char_ids(b);
    b->may_cut = o->byte_fallback && b->all_bytes && !o->ignore_merges && !b->prefix && !b->suffix;
    return b;
}

void bpe_free(struct bpe *b)
{
    if (!b)
        return;
    free(b->prefix);
    free(b->used);
    free(b->suffix);
    merge_table_release(&b->table);
    if (!b->borrowed) {
        free(b->byte_pairs);
        free(b->char_ids);
        free(b->lengths);
    }
    cuts_release(&b->cuts);
    vocab_release(&b->words);
    buf_release(&b->joined);
    free(b);
}

const struct cuts *bpe_cuts(const struct bpe *b)
{
    return b->may_cut ? &b->cuts : NULL;
}

static bool is_joined(const struct bpe *b, uint32_t id, const struct vocab_view parts[2])
{
    size_t len;
    const char *p = vocab_string(b->vocab, id, &len);
    return p && len == parts[0].len + parts[1].len && !memcmp(p, parts[0].p, parts[0].len) &&
           !memcmp(p + parts[0].len, parts[1].p, parts[1].len);
}

/* The token that the two make; most files have it right behind that of the merge before. */
static int64_t joined_token(struct bpe *b, uint32_t left, uint32_t right)
{
    struct vocab_view parts[2];
    size_t skip = b->prefix ? strlen(b->prefix) : 0;
    parts[0].p = vocab_string(b->vocab, left, &parts[0].len);
    parts[1].p = vocab_string(b->vocab, right, &parts[1].len);
    if (parts[1].len < skip)
        return -1;
    parts[1].p += skip;
    parts[1].len -= skip;
    if (is_joined(b, b->guess, parts))
        return b->guess;
    buf_clear(&b->joined);
    buf_add(&b->joined, parts[0].p, parts[0].len);
    buf_add(&b->joined, parts[1].p, parts[1].len);
    return vocab_find(b->vocab, b->joined.p, b->joined.len);
}

static struct byte_ends ends_of(const struct bpe *b, uint32_t id)
{
    unsigned n;
    size_t len;
    const char *p = vocab_string(b->vocab, id, &len), *last = p + len;
    if (!len)
        return (struct byte_ends){-1, -1, false};
    do
        last--;
    while (last > p && ((unsigned char)*last & 0xc0) == 0x80);
    uint32_t c = utf8_char((const unsigned char *)p, &n);
    return (struct byte_ends){
        byte_level_byte(c), byte_level_byte(utf8_char((const unsigned char *)last, &n)), last == p};
}

static void add_byte_pair(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    byte_pairs_add(b->byte_pairs, ends_of(b, left), ends_of(b, right), rank, id, b->used[id]);
    b->used[left] = b->used[right] = true;
}

/* A token of one byte stands for whatever holds that byte. */
static bool is_byte_token(const struct bpe *b, uint32_t id)
{
    size_t len;
    const char *p = vocab_string(b->vocab, id, &len);
    return len == 6 && !memcmp(p, "<0x", 3);
}

static void forbid_cuts(struct bpe *b, uint32_t id)
{
    size_t len;
    const char *p = vocab_string(b->vocab, id, &len);
    cuts_forbid(&b->cuts, p, len);
}

/* The next merge, which makes token id. */
static int put_merge(struct bpe *b, uint32_t left, uint32_t right, uint32_t id, struct err *err)
{
    uint32_t rank = (uint32_t)b->table.n;
    if (merge_table_add(&b->table, left, right, id))
        return err_set(err, "more merges than announced");
    if (b->byte_pairs)
        add_byte_pair(b, left, right, rank, id);
    else
        forbid_cuts(b, id);
    if (is_byte_token(b, left) || is_byte_token(b, right))
        b->may_cut = false;
    return 0;
}

static int add_merge(struct bpe *b, uint32_t left, uint32_t right, struct err *err)
{
    uint32_t rank = (uint32_t)b->table.n;
    if (!vocab_string(b->vocab, left, NULL) || !vocab_string(b->vocab, right, NULL))
        return err_set(err, "merge %u is of ids that are no tokens", rank);
    int64_t id = joined_token(b, left, right);
    if (id < 0)
        return err_set(err, "merge %u: \"%.*s\" is not in the vocabulary", rank,
                       (int)(b->joined.len < 100 ? b->joined.len : 100), b->joined.p);
    if (put_merge(b, left, right, (uint32_t)id, err))
        return -1;
    b->guess = (uint32_t)id + 1;
    return 0;
}

/* What add_merge will touch. */
static void prefetch_merge(const struct bpe *b, const uint32_t merge[2])
{
    for (size_t i = 0; i < 2; i++)
        if (merge[i] < b->vocab->n && b->vocab->entries[merge[i]].len != VOCAB_NONE)
            __builtin_prefetch(b->vocab->arena + b->vocab->entries[merge[i]].at);
    merge_table_prefetch(&b->table, merge[0], merge[1]);
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

int bpe_add_unions(struct bpe *b, const uint32_t *ids, const struct vocab_view *texts, size_t n,
                   struct err *err)
{
    struct bpe_scratch *s = bpe_scratch_new();
    struct word_tokens parts = {NULL, NULL, 0, 0};
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        if (!texts[i].len)
            continue;
        bpe_encode_merged(b, s, texts[i].p, texts[i].len, &parts);
        if (parts.n == 2)
            rc = put_merge(b, parts.ids[0], parts.ids[1], ids[i], err);
    }
    word_tokens_release(&parts);
    bpe_scratch_free(s);
    return rc;
}
