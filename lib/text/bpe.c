#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "text/bpe_internal.h"
#include "text/unicode.h"

enum {
    WINDOW = 64,          /* symbols of a long word that are merged at once, to begin with */
    SPOILT = 6,           /* a window's last sixth is not to be relied on */
    SETTLED_WINDOWS = 16, /* good ones, after which a grown window shrinks */
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

/* Symbols [from, from + n), those that are bytes joined where that is sure, and what merges they
 * have. Spans are counted in the word's symbols. */
static void take_symbols(const struct word *w, size_t from, size_t n, struct symbols *y)
{
    symbols_reserve(y, n);
    if (w->bytes) {
        y->n =
            byte_pairs_join(w->b->byte_pairs, w->b->byte_ids, w->bytes + from, n, y->ids, y->spans);
    } else {
        y->n = n;
        memcpy(y->ids, w->first->ids + from, n * sizeof *y->ids);
        for (size_t i = 0; i < n; i++)
            y->spans[i] = 1;
    }
    symbols_rank(&w->b->table, y);
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

void bpe_encode_merged(const struct bpe *b, struct bpe_scratch *s, const char *text, size_t len,
                       struct word_tokens *out)
{
    struct word w = {b, (const unsigned char *)text, &s->first, len};
    out->n = 0;
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
}

static int encode(const void *model, void *scratch, const char *text, size_t len,
                  struct word_tokens *out, struct err *err)
{
    const struct bpe *b = model;
    (void)err;
    if (b->options.ignore_merges) {
        int64_t id = vocab_find(b->options.bytes ? &b->words : b->vocab, text, len);
        if (id >= 0) {
            out->n = 0;
            word_tokens_reserve(out, 1);
            word_tokens_put(out, (uint32_t)id, len);
            return 0;
        }
    }
    bpe_encode_merged(b, scratch, text, len, out);
    return 0;
}

struct word_model bpe_model(const struct bpe *b)
{
    return (struct word_model){encode, b, b->lengths};
}
