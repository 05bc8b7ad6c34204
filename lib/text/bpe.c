#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "text/byte_level.h"
#include "text/merge.h"
#include "text/unicode.h"

#define NO_TOKEN UINT32_MAX

enum {
    WINDOW = 64,          /* symbols of a long word that are merged at once, to begin with */
    SPOILT = 6,           /* a window's last sixth is not to be relied on */
    SETTLED_WINDOWS = 16, /* good ones, after which a grown window shrinks */
    CHARS = 0x10000,      /* characters whose symbols are in a table */
};

struct bpe {
    const struct vocab *vocab;
    struct bpe_options options;
    char *prefix, *suffix;
    struct merge_table table;
    uint32_t byte_ids[256]; /* options.bytes: the symbol of a byte; else its fallback token */
    bool all_bytes;         /* every byte has an id in byte_ids */
    uint32_t *byte_pairs;   /* [256 * 256], options.bytes: rank of the merge of two bytes */
    uint32_t *lengths;      /* [vocab->n] bytes of text behind a token */
    struct vocab words;     /* options.ignore_merges and bytes: tokens by their bytes */
    struct buf joined;      /* of add_merge */
    uint32_t guess;         /* where the next merge's token may be */
    struct cuts cuts;       /* !options.bytes: what merges reach across */
    bool may_cut;           /* and nothing else depends on neighbours */
    uint32_t *char_ids;     /* !options.bytes: [CHARS] the symbols of characters */
};

struct bpe_scratch {
    struct word_tokens first; /* the word's first symbols, where they aren't simply its bytes */
    struct symbols symbols;   /* the window of them that is being merged */
    struct symbols seam;      /* two tokens' symbols, to see whether they would merge */
    struct merge_scratch merge;
    uint32_t *seen; /* [n_seen] the first symbols of the window before */
    size_t n_seen, seen_cap;
    struct buf text;
};

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

struct bpe *bpe_new(const struct vocab *v, const struct bpe_options *o, size_t n_merges,
                    struct err *err)
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
    if (merge_table_init(&b->table, n_merges, err) || measure_tokens(b, err)) {
        bpe_free(b);
        return NULL;
    }
    if (o->bytes) {
        b->byte_pairs = xmalloc(65536 * sizeof *b->byte_pairs);
        for (size_t i = 0; i < 65536; i++)
            b->byte_pairs[i] = NO_MERGE;
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
    free(b->suffix);
    merge_table_release(&b->table);
    free(b->byte_pairs);
    free(b->char_ids);
    cuts_release(&b->cuts);
    free(b->lengths);
    vocab_release(&b->words);
    buf_release(&b->joined);
    free(b);
}

const struct cuts *bpe_cuts(const struct bpe *b)
{
    return b->may_cut ? &b->cuts : NULL;
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

static void add_byte_pair(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank)
{
    size_t left_len, right_len;
    const char *p = vocab_string(b->vocab, left, &left_len);
    const char *q = vocab_string(b->vocab, right, &right_len);
    int first = single_byte(p, left_len), second = single_byte(q, right_len);
    if (first >= 0 && second >= 0)
        b->byte_pairs[first << 8 | second] = rank;
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

static int add_merge(struct bpe *b, uint32_t left, uint32_t right, struct err *err)
{
    uint32_t rank = (uint32_t)b->table.n;
    if (!vocab_string(b->vocab, left, NULL) || !vocab_string(b->vocab, right, NULL))
        return err_set(err, "merge %u is of ids that are no tokens", rank);
    int64_t id = joined_token(b, left, right);
    if (id < 0)
        return err_set(err, "merge %u: \"%.*s\" is not in the vocabulary", rank,
                       (int)(b->joined.len < 100 ? b->joined.len : 100), b->joined.p);
    if (merge_table_add(&b->table, left, right, (uint32_t)id))
        return err_set(err, "more merges than announced");
    if (b->byte_pairs)
        add_byte_pair(b, left, right, rank);
    else
        forbid_cuts(b, (uint32_t)id);
    if (is_byte_token(b, left) || is_byte_token(b, right))
        b->may_cut = false;
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
    word_tokens_release(&s->first);
    symbols_release(&s->symbols);
    symbols_release(&s->seam);
    merge_scratch_release(&s->merge);
    free(s->seen);
    buf_release(&s->text);
    free(s);
}

/*
 * A word's first symbols.
 */

static bool fall_back(const struct bpe *b, struct word_tokens *w, const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (b->byte_ids[(unsigned char)p[i]] == NO_TOKEN)
            return false;
    for (size_t i = 0; i < len; i++)
        word_tokens_put(w, b->byte_ids[(unsigned char)p[i]], 1);
    return true;
}

/* The bytes of a word for which not all of them have a symbol: those that haven't are left out. */
static void start_bytes(const struct bpe *b, struct word_tokens *w, const char *word, size_t len)
{
    const unsigned char *p = (const unsigned char *)word;
    for (size_t i = 0; i < len; i++)
        if (b->byte_ids[p[i]] != NO_TOKEN)
            word_tokens_put(w, b->byte_ids[p[i]], 1);
}

/* The symbol of a character, with the prefix and the suffix that its place asks for, which *c then
 * has too; NO_TOKEN if it has none. */
static uint32_t char_symbol(const struct bpe *b, struct bpe_scratch *s, struct vocab_view *c,
                            bool first, bool last)
{
    unsigned n;
    if ((first || !b->prefix) && (!last || !b->suffix)) {
        uint32_t code = utf8_char((const unsigned char *)c->p, &n);
        if (code < CHARS)
            return b->char_ids[code];
    } else {
        buf_clear(&s->text);
        if (!first && b->prefix)
            buf_addstr(&s->text, b->prefix);
        buf_add(&s->text, c->p, c->len);
        if (last && b->suffix)
            buf_addstr(&s->text, b->suffix);
        *c = (struct vocab_view){s->text.p, s->text.len};
    }
    int64_t id = vocab_find(b->vocab, c->p, c->len);
    return id < 0 ? NO_TOKEN : (uint32_t)id;
}

/*
 * Symbols of a word of characters. An unknown token waits until a known character comes; bytes
 * that were fallen back to don't flush it (so `tokenizers` has it, and the order of ids with it).
 */
static void start_chars(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t len)
{
    struct word_tokens *w = &s->first;
    size_t unknown = 0;
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_length((unsigned char)word[i]);
        struct vocab_view c = {word + i, n};
        uint32_t id = char_symbol(b, s, &c, i == 0, i + n == len);
        if (id != NO_TOKEN) {
            if (unknown)
                word_tokens_put(w, (uint32_t)b->options.unk, unknown);
            unknown = 0;
            word_tokens_put(w, id, n);
        } else if (!b->options.byte_fallback || !fall_back(b, w, c.p, c.len)) {
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
}

/* A word as a model sees it: where its first symbols are to be had. */
struct word {
    const struct bpe *b;
    const unsigned char *bytes; /* each is a symbol; or NULL, and then it's these: */
    const struct word_tokens *first;
    size_t n; /* symbols */
};

/* Symbols [from, from + n) and what merges they have. */
static void take_symbols(const struct word *w, size_t from, size_t n, struct symbols *y)
{
    symbols_reserve(y, n);
    y->n = n;
    for (size_t i = 0; i < n; i++)
        y->spans[i] = 1;
    if (!w->bytes) {
        memcpy(y->ids, w->first->ids + from, n * sizeof *y->ids);
        symbols_rank(&w->b->table, y);
        return;
    }
    const unsigned char *p = w->bytes + from;
    for (size_t i = 0; i < n; i++)
        y->ids[i] = w->b->byte_ids[p[i]];
    for (size_t i = 0; i + 1 < n; i++)
        y->ranks[i] = w->b->byte_pairs[p[i] << 8 | p[i + 1]];
}

/*
 * Long words.
 *
 * Tokens are what a word encodes to exactly if each two neighbours are what their own text encodes
 * to: were a merge to reach across the border of the two, nothing outside of them could have kept
 * it from doing so, nor brought it about. So a long word is encoded window by window. A window's
 * tokens are kept but for the last few, which its end may have spoilt; the next window begins with
 * what wasn't kept, and only the border between the two needs a look. The cost is that of short
 * words, however long the word.
 */

struct long_word {
    struct word word;
    struct bpe_scratch *s;
    struct word_tokens *out; /* lengths are counted in first symbols until the end */
    size_t pos;              /* first symbols that out covers */
    size_t window, settled;
    uint32_t next_id, next_span; /* a token that may stand behind the last one; span 0: unknown */
};

/* Merges the window at pos; the same symbols as in the window before give the same tokens. */
static void merge_window(struct long_word *x, size_t n)
{
    struct bpe_scratch *s = x->s;
    bool whole = s->n_seen == n;
    if (whole && x->word.bytes) {
        const unsigned char *p = x->word.bytes + x->pos;
        for (size_t i = 0; whole && i < n; i++)
            whole = s->seen[i] == p[i];
    } else if (whole) {
        whole = !memcmp(s->seen, x->word.first->ids + x->pos, n * sizeof *s->seen);
    }
    if (whole)
        return;
    while (s->seen_cap < n)
        ARRAY_GROW(s->seen, n, s->seen_cap);
    for (size_t i = 0; i < n; i++)
        s->seen[i] = x->word.bytes ? x->word.bytes[x->pos + i] : x->word.first->ids[x->pos + i];
    s->n_seen = n;
    take_symbols(&x->word, x->pos, n, &s->symbols);
    symbols_merge(&x->word.b->table, &s->merge, &s->symbols);
}

/* Whether the last token and one of `span` symbols behind it stay two. */
static bool border_holds(struct long_word *x, uint32_t id, uint32_t span)
{
    struct symbols *y = &x->s->seam;
    if (!x->out->n)
        return true;
    if (id == x->next_id && span == x->next_span)
        return true;
    uint32_t before = x->out->lengths[x->out->n - 1];
    take_symbols(&x->word, x->pos - before, before + span, y);
    symbols_merge(&x->word.b->table, &x->s->merge, y);
    return y->n == 2 && y->spans[0] == before;
}

/* Gives back the last token, and twice as many each further time in a row. */
static void give_back(struct long_word *x, size_t n)
{
    while (n-- && x->out->n) {
        x->out->n--;
        x->next_id = x->out->ids[x->out->n];
        x->next_span = x->out->lengths[x->out->n];
        x->pos -= x->next_span;
    }
}

/* Keeps the window's tokens up to `most` symbols, but all if it reaches the word's end; false where
 * the first is longer than that. */
static bool keep(struct long_word *x, size_t most, bool last)
{
    const struct symbols *y = &x->s->symbols;
    size_t n = 0;
    for (size_t sum = 0; n < y->n && (last || sum + y->spans[n] <= most); n++)
        sum += y->spans[n];
    if (!n)
        return false;
    word_tokens_reserve(x->out, x->out->n + n);
    for (size_t i = 0; i < n; i++) {
        word_tokens_put(x->out, y->ids[i], y->spans[i]);
        x->pos += y->spans[i];
    }
    x->next_span = 0;
    if (n < y->n) {
        x->next_id = y->ids[n];
        x->next_span = y->spans[n];
    }
    return true;
}

static void encode_long(struct long_word *x)
{
    size_t failures = 0;
    x->s->n_seen = 0;
    while (x->pos < x->word.n) {
        size_t left = x->word.n - x->pos, n = left < x->window ? left : x->window;
        merge_window(x, n);
        const struct symbols *y = &x->s->symbols;
        bool holds = border_holds(x, y->ids[0], y->spans[0]);
        if (holds && keep(x, n - n / SPOILT, n == left)) {
            failures = 0;
            if (x->window > WINDOW && ++x->settled % SETTLED_WINDOWS == 0)
                x->window /= 2;
            continue;
        }
        x->window *= 2;
        x->settled = 0;
        if (!holds)
            give_back(x, (size_t)1 << failures++);
    }
}

/* From symbols to bytes. */
static void measure(const struct word *w, struct word_tokens *out)
{
    size_t at = 0;
    if (w->bytes)
        return;
    for (size_t i = 0; i < out->n; i++) {
        uint32_t bytes = 0;
        for (uint32_t j = 0; j < out->lengths[i]; j++)
            bytes += w->first->lengths[at++];
        out->lengths[i] = bytes;
    }
}

static void encode_short(const struct word *w, struct bpe_scratch *s, struct word_tokens *out)
{
    struct symbols *y = &s->symbols;
    take_symbols(w, 0, w->n, y);
    symbols_merge(&w->b->table, &s->merge, y);
    word_tokens_reserve(out, y->n);
    for (size_t i = 0; i < y->n; i++)
        word_tokens_put(out, y->ids[i], y->spans[i]);
}

/* Many vocabularies lack the bytes that no UTF-8 has, so it's the word that counts. */
static bool has_all_bytes(const struct bpe *b, const char *text, size_t len)
{
    bool all = true;
    for (size_t i = 0; i < len && !b->all_bytes; i++)
        all &= b->byte_ids[(unsigned char)text[i]] != NO_TOKEN;
    return all;
}

static int encode(const void *model, void *scratch, const char *text, size_t len,
                  struct word_tokens *out, struct err *err)
{
    const struct bpe *b = model;
    struct bpe_scratch *s = scratch;
    struct word w = {b, (const unsigned char *)text, &s->first, len};
    (void)err;
    out->n = 0;
    if (b->options.ignore_merges) {
        int64_t id = vocab_find(b->options.bytes ? &b->words : b->vocab, text, len);
        if (id >= 0) {
            word_tokens_reserve(out, 1);
            word_tokens_put(out, (uint32_t)id, len);
            return 0;
        }
    }
    if (!b->options.bytes || !has_all_bytes(b, text, len)) {
        size_t suffix = b->suffix ? strlen(b->suffix) : 0;
        size_t prefix = b->prefix ? strlen(b->prefix) : 0;
        word_tokens_reserve(&s->first, len * (1 + prefix) + suffix);
        s->first.n = 0;
        if (b->options.bytes)
            start_bytes(b, &s->first, text, len);
        else
            start_chars(b, s, text, len);
        w.bytes = NULL;
        w.n = s->first.n;
    }
    if (w.n > WINDOW) {
        struct long_word x = {.word = w, .s = s, .out = out, .window = WINDOW};
        encode_long(&x);
    } else if (w.n) {
        encode_short(&w, s, out);
    }
    measure(&w, out);
    return 0;
}

struct word_model bpe_model(const struct bpe *b)
{
    return (struct word_model){encode, b, b->lengths};
}
