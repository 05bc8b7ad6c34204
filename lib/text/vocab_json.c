#include "text/vocab_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/json.h"
#include "text/unicode.h"

enum { BYTES_PER_TOKEN = 45 }; /* of a file, about: for a first guess at the number of tokens */

struct reader {
    const char *start, *p, *end;
    struct buf strings[2]; /* the last two strings, where escapes had to be undone */
    unsigned turn;
    bool valid; /* the whole text is UTF-8 */
    struct err *err;
};

static int fail(struct reader *r, const char *what)
{
    size_t line = 1;
    for (const char *p = r->start; p < r->p; p++)
        line += *p == '\n';
    return err_set(r->err, "line %zu: %s", line, what);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Indented files are half spaces. */
static inline void skip_blank(struct reader *r)
{
    static const char spaces[] = "        ";
    const char *p = r->p, *end = r->end;
    if (p < end && !is_blank(*p))
        return;
    while (p < end && is_blank(*p)) {
        p++;
        while (end - p >= 8 && !memcmp(p, spaces, 8))
            p += 8;
    }
    r->p = p;
}

static inline bool next_is(struct reader *r, char c)
{
    skip_blank(r);
    return r->p < r->end && *r->p == c;
}

/* Goes over c if it's next. */
static inline bool take(struct reader *r, char c)
{
    bool found = next_is(r, c);
    r->p += found;
    return found;
}

static int fail_expected(struct reader *r, char c)
{
    char what[] = "expected '?'";
    what[10] = c;
    return fail(r, what);
}

static inline int expect(struct reader *r, char c)
{
    return take(r, c) ? 0 : fail_expected(r, c);
}

static int hex4(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        char c = r->p < r->end ? *r->p : 0;
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0)
            return fail(r, "a bad \\u escape");
        *out = *out << 4 | (uint32_t)digit;
    }
    return 0;
}

/* \uXXXX, at the digits; a pair of surrogates is one character. */
static int unescape_unicode(struct reader *r, struct buf *out)
{
    uint32_t c, low;
    if (hex4(r, &c))
        return -1;
    if (c >= 0xdc00 && c <= 0xdfff)
        return fail(r, "half a surrogate pair");
    if (c >= 0xd800 && c <= 0xdbff) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
            return fail(r, "half a surrogate pair");
        r->p += 2;
        if (hex4(r, &low))
            return -1;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(r, "half a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    buf_addutf8(out, c);
    return 0;
}

static int unescape(struct reader *r, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found = r->p < r->end && *r->p ? strchr(from, *r->p) : NULL;
    if (r->p < r->end && *r->p == 'u') {
        r->p++;
        return unescape_unicode(r, out);
    }
    if (!found)
        return fail(r, "a bad escape");
    buf_addch(out, to[found - from]);
    r->p++;
    return 0;
}

/* To the end of the plain characters at r->p; whether all of them are UTF-8. */
static inline bool skip_plain(struct reader *r)
{
    static const bool stops[256] = {1, 1, 1, 1, 1, 1, 1, 1, 1,         1,         1, 1,
                                    1, 1, 1, 1, 1, 1, 1, 1, 1,         1,         1, 1,
                                    1, 1, 1, 1, 1, 1, 1, 1, ['"'] = 1, ['\\'] = 1};
    const char *from = r->p, *p = from, *end = r->end;
    while (p < end && !stops[(unsigned char)*p])
        p++;
    r->p = p;
    return r->valid || utf8_valid(from, (size_t)(p - from)) == (size_t)(p - from);
}

/* A string with escapes, at the first of them; `from` is where it begins. */
static int read_escaped(struct reader *r, const char *from, struct vocab_view *out)
{
    struct buf *b = &r->strings[r->turn ^= 1];
    buf_clear(b);
    for (;;) {
        buf_add(b, from, (size_t)(r->p - from));
        if (r->p == r->end || (unsigned char)*r->p < 0x20)
            return fail(r, "a string without an end");
        if (*r->p++ == '"')
            break;
        if (unescape(r, b))
            return -1;
        from = r->p;
        if (!skip_plain(r))
            return fail(r, "a string that is not UTF-8");
    }
    *out = (struct vocab_view){b->p, b->len};
    return 0;
}

/* A string: a view of the text, or of one of two buffers where it had escapes. */
static inline int read_string(struct reader *r, struct vocab_view *out)
{
    if (!take(r, '"'))
        return fail(r, "expected a string");
    const char *from = r->p;
    if (!skip_plain(r))
        return fail(r, "a string that is not UTF-8");
    if (r->p == r->end || *r->p != '"')
        return read_escaped(r, from, out);
    *out = (struct vocab_view){from, (size_t)(r->p++ - from)};
    return 0;
}

static int read_id(struct reader *r, uint32_t *id)
{
    skip_blank(r);
    const char *from = r->p;
    uint64_t n = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9' && n <= VOCAB_MAX_ID)
        n = 10 * n + (uint64_t)(*r->p++ - '0');
    if (r->p == from || n > VOCAB_MAX_ID)
        return fail(r, "expected a token id");
    *id = (uint32_t)n;
    return 0;
}

/* The digits of a number: up to 19 or so as a whole one, and the power of ten it's to be taken by.
 */
struct decimal {
    uint64_t digits;
    int exponent;
    bool full; /* further digits don't count */
};

static void read_digits(struct reader *r, struct decimal *d, int per_digit)
{
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
        unsigned digit = (unsigned)(*r->p - '0');
        d->full |= d->digits > UINT64_MAX / 10 ||
                   (d->digits == UINT64_MAX / 10 && digit > UINT64_MAX % 10);
        if (!d->full) {
            d->digits = 10 * d->digits + digit;
            d->exponent += per_digit;
        } else if (!per_digit) {
            d->exponent++;
        }
    }
}

/* 10 to the n, the nearest double: 0 <= n <= 308. */
static double power_of_ten(int n)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[8];
    if ((size_t)n < ARRAY_SIZE(powers))
        return powers[n];
    snprintf(text, sizeof text, "1e%d", n);
    return strtod(text, NULL);
}

/*
 * A number as serde_json reads it by default: the digits as one integer, rounded to a double, then
 * multiplied or divided by a power of ten.
 */
static int read_score(struct reader *r, double *out)
{
    struct decimal d = {0, 0, false};
    skip_blank(r);
    bool negative = r->p < r->end && *r->p == '-';
    r->p += negative;
    const char *from = r->p;
    read_digits(r, &d, 0);
    if (r->p == from)
        return fail(r, "expected a number");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        read_digits(r, &d, -1);
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        char *end;
        char text[16] = {0};
        size_t left = (size_t)(r->end - ++r->p);
        memcpy(text, r->p, left < 15 ? left : 15);
        long exponent = strtol(text, &end, 10);
        if (end == text || exponent > 10000 || exponent < -10000)
            return fail(r, "a bad exponent");
        r->p += end - text;
        d.exponent += (int)exponent;
    }
    double value = (double)d.digits;
    for (; d.exponent < -308 && value != 0; d.exponent += 308)
        value /= 1e308;
    if (d.exponent > 308 || d.exponent < -308)
        value = d.digits ? INFINITY : 0;
    else
        value =
            d.exponent < 0 ? value / power_of_ten(-d.exponent) : value * power_of_ten(d.exponent);
    if (!isfinite(value))
        return fail(r, "a number out of range");
    *out = negative ? -value : value;
    return 0;
}

/* Whether a string won't stand much longer. */
static bool is_passing(const struct reader *r, struct vocab_view string)
{
    return string.p == r->strings[0].p || string.p == r->strings[1].p;
}

/* {"token": id, ...} */
static int read_vocab_object(struct reader *r, struct vocab_json *v)
{
    struct vocab_view tokens[VOCAB_MANY];
    uint32_t ids[VOCAB_MANY];
    size_t n = 0;
    r->p++;
    if (take(r, '}'))
        return 0;
    do {
        if (read_string(r, &tokens[n]) || expect(r, ':') || read_id(r, &ids[n]))
            return -1;
        n++;
        if (n < VOCAB_MANY && !is_passing(r, tokens[n - 1]))
            continue;
        if (vocab_add_many(&v->vocab, ids, tokens, n, r->err))
            return -1;
        n = 0;
    } while (take(r, ','));
    return vocab_add_many(&v->vocab, ids, tokens, n, r->err) ? -1 : expect(r, '}');
}

/* [["token", score], ...] */
static int read_vocab_list(struct reader *r, struct vocab_json *v)
{
    struct vocab_view token;
    r->p++;
    if (take(r, ']'))
        return 0;
    do {
        size_t n = v->vocab.n;
        ARRAY_GROW(v->scores, n, v->scores_cap);
        if (expect(r, '[') || read_string(r, &token) || expect(r, ',') ||
            read_score(r, &v->scores[n]) || expect(r, ']'))
            return -1;
        if (vocab_add_again(&v->vocab, (uint32_t)n, token.p, token.len, r->err))
            return -1;
    } while (take(r, ','));
    return expect(r, ']');
}

static int read_vocab(struct reader *r, struct vocab_json *v)
{
    if (v->has_vocab)
        return fail(r, "vocab is there twice");
    v->has_vocab = true;
    if (next_is(r, '{'))
        return read_vocab_object(r, v);
    if (next_is(r, '['))
        return read_vocab_list(r, v);
    return fail(r, "vocab is neither an object nor a list");
}

/* Merges whose tokens are looked up together. */
struct merge_batch {
    struct vocab_view tokens[VOCAB_MANY]; /* left, right, left, right ... */
    size_t n;
    bool full; /* also where the strings won't stand much longer */
};

static int look_up(struct reader *r, struct vocab_json *v, struct merge_batch *batch)
{
    int64_t ids[VOCAB_MANY];
    vocab_find_many(&v->vocab, batch->tokens, batch->n, ids);
    for (size_t i = 0; i < batch->n; i++) {
        const struct vocab_view *token = &batch->tokens[i];
        if (ids[i] < 0)
            return err_set(r->err, "merge %zu: \"%.*s\" is not in the vocabulary", v->n_merges,
                           (int)(token->len < 100 ? token->len : 100), token->p);
        ARRAY_GROW(v->merges, v->n_merges, v->merges_cap);
        v->merges[v->n_merges][i & 1] = (uint32_t)ids[i];
        v->n_merges += i & 1;
    }
    batch->n = 0;
    batch->full = false;
    return 0;
}

/* "left right", or ["left", "right"]. */
static int read_merge(struct reader *r, struct merge_batch *batch)
{
    struct vocab_view *left = &batch->tokens[batch->n], *right = left + 1;
    if (take(r, '[')) {
        if (read_string(r, left) || expect(r, ',') || read_string(r, right) || expect(r, ']'))
            return -1;
    } else {
        if (read_string(r, left))
            return -1;
        const char *space = left->len ? memchr(left->p, ' ', left->len) : NULL;
        if (!space)
            return fail(r, "a merge is not two tokens");
        right->p = space + 1;
        right->len = left->len - (size_t)(right->p - left->p);
        left->len = (size_t)(space - left->p);
        if (right->len && memchr(right->p, ' ', right->len))
            return fail(r, "a merge is not two tokens");
    }
    batch->n += 2;
    batch->full = batch->n == VOCAB_MANY || is_passing(r, *left) || is_passing(r, *right);
    return 0;
}

static int read_merges(struct reader *r, struct vocab_json *v)
{
    struct merge_batch batch = {.n = 0};
    if (v->has_merges)
        return fail(r, "merges are there twice");
    v->has_merges = true;
    if (expect(r, '['))
        return -1;
    if (take(r, ']'))
        return 0;
    do {
        if (read_merge(r, &batch) || (batch.full && look_up(r, v, &batch)))
            return -1;
    } while (take(r, ','));
    return look_up(r, v, &batch) ? -1 : expect(r, ']');
}

/* Goes over a value, whatever it is; whether it's JSON is seen later. */
static int skip_value(struct reader *r)
{
    size_t depth = 0;
    struct vocab_view string;
    skip_blank(r);
    while (r->p < r->end) {
        char c = *r->p;
        if (c == '"') {
            if (read_string(r, &string))
                return -1;
        } else if (c == '{' || c == '[') {
            depth++;
            r->p++;
        } else if (c == '}' || c == ']' || c == ',') {
            if (!depth)
                return 0;
            depth -= c != ',';
            r->p++;
            if (!depth && c != ',')
                return 0;
        } else {
            r->p++;
            continue; /* part of a number or a name */
        }
        if (!depth)
            return 0;
    }
    return 0;
}

static bool is_key(struct vocab_view key, const char *name)
{
    return key.len == strlen(name) && !memcmp(key.p, name, key.len);
}

/* A position to come back to: merges that stand before the vocabulary. */
struct later {
    const char *merges;
};

static int read_member(struct reader *r, struct vocab_json *v, struct vocab_view key,
                       struct later *later)
{
    if (is_key(key, "vocab"))
        return read_vocab(r, v);
    if (v->has_vocab)
        return read_merges(r, v);
    later->merges = r->p;
    return skip_value(r);
}

/* The members of the model; rest gets those that aren't read here. */
static int read_model(struct reader *r, struct vocab_json *v, struct buf *rest)
{
    struct later later = {NULL};
    struct vocab_view key;
    const char *from = r->p++;
    if (!next_is(r, '}')) {
        do {
            if (read_string(r, &key) || expect(r, ':'))
                return -1;
            skip_blank(r);
            if (!is_key(key, "vocab") && (!is_key(key, "merges") || next_is(r, 'n'))) {
                if (skip_value(r))
                    return -1;
                continue;
            }
            buf_add(rest, from, (size_t)(r->p - from));
            buf_addstr(rest, "null");
            if (read_member(r, v, key, &later))
                return -1;
            from = r->p;
        } while (take(r, ','));
    }
    if (expect(r, '}'))
        return -1;
    buf_add(rest, from, (size_t)(r->p - from));
    if (!later.merges)
        return 0;
    const char *here = r->p;
    r->p = later.merges;
    int rc = read_merges(r, v);
    r->p = here;
    return rc;
}

static int read_file(struct reader *r, struct vocab_json *v, struct buf *rest)
{
    struct vocab_view key;
    const char *from = r->p;
    if (expect(r, '{'))
        return -1;
    do {
        if (next_is(r, '}'))
            break;
        if (read_string(r, &key) || expect(r, ':'))
            return -1;
        skip_blank(r);
        if (is_key(key, "model") && next_is(r, '{')) {
            buf_add(rest, from, (size_t)(r->p - from));
            if (read_model(r, v, rest))
                return -1;
            from = r->p;
        } else if (skip_value(r)) {
            return -1;
        }
    } while (take(r, ','));
    buf_add(rest, from, (size_t)(r->end - from));
    return 0;
}

int vocab_json_read(struct vocab_json *v, const char *text, size_t len, struct err *err)
{
    struct reader r = {text, text, text + len, {BUF_INIT, BUF_INIT}, 0, false, err};
    r.valid = utf8_valid(text, len) == len;
    memset(v, 0, sizeof *v);
    buf_init(&v->rest_text);
    vocab_init(&v->vocab);
    vocab_reserve(&v->vocab, len / BYTES_PER_TOKEN, len);
    int rc = read_file(&r, v, &v->rest_text);
    if (!rc) {
        v->rest = json_parse(v->rest_text.p, v->rest_text.len, err);
        rc = v->rest ? 0 : -1;
    }
    v->has_scores = v->scores;
    buf_release(&r.strings[0]);
    buf_release(&r.strings[1]);
    if (rc)
        vocab_json_release(v);
    return rc;
}

void vocab_json_release(struct vocab_json *v)
{
    json_decref(v->rest);
    buf_release(&v->rest_text);
    vocab_release(&v->vocab);
    free(v->scores);
    free(v->merges);
    memset(v, 0, sizeof *v);
}
