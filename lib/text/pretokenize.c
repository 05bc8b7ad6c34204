#include "text/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "text/byte_level.h"
#include "text/pretokenize_internal.h"
#include "text/unicode_versions.h"

enum { BATCH = 1024 }; /* words that come together */

struct pieces {
    struct piece *v;
    size_t n, cap;
};

struct pretokenizer_scratch {
    struct text text;
    size_t pos;
    struct pieces pieces[2];
    struct text_builder rewritten[MAX_STEPS];
    struct regex_scratch *regex;
};

struct pretokenizer_scratch *pretokenizer_scratch_new(const struct pretokenizer *p)
{
    struct pretokenizer_scratch *s = xcalloc(1, sizeof *s);
    for (size_t i = 0; i < MAX_STEPS; i++)
        text_builder_init(&s->rewritten[i]);
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].regex && !s->regex)
            s->regex = regex_scratch_new();
    return s;
}

void pretokenizer_scratch_free(struct pretokenizer_scratch *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < MAX_STEPS; i++)
        text_builder_release(&s->rewritten[i]);
    free(s->pieces[0].v);
    free(s->pieces[1].v);
    regex_scratch_free(s->regex);
    free(s);
}

/*
 * Splitting.
 */

static void add_piece(struct pieces *out, size_t start, size_t end)
{
    ARRAY_GROW(out->v, out->n, out->cap);
    out->v[out->n++] = (struct piece){(uint32_t)start, (uint32_t)end};
}

/* What a behaviour makes of the alternation of matches and gaps in one piece. */
struct splitter {
    enum behavior behavior;
    bool invert;
    struct pieces *out;
    size_t first;   /* of this piece's in out */
    bool previous;  /* the last part was a match */
    bool pending;   /* MERGED_WITH_NEXT: a match waits for what follows */
    size_t waiting; /* where it begins */
    size_t last;    /* where the last part ended */
};

static void split_part(struct splitter *x, size_t start, size_t end, bool match)
{
    struct pieces *out = x->out;
    bool merge = false;
    match ^= x->invert;
    x->last = end;
    switch (x->behavior) {
    case ISOLATED:
        break;
    case REMOVED:
        if (match)
            return;
        break;
    case CONTIGUOUS:
        merge = match == x->previous && out->n > x->first;
        break;
    case MERGED_WITH_PREVIOUS:
        merge = match && !x->previous && out->n > x->first;
        break;
    case MERGED_WITH_NEXT:
        if (x->pending && match)
            add_piece(out, x->waiting, start);
        else if (x->pending)
            start = x->waiting;
        x->pending = match;
        x->waiting = start;
        if (match)
            return;
        break;
    }
    x->previous = match;
    if (merge)
        out->v[out->n - 1].end = (uint32_t)end;
    else
        add_piece(out, start, end);
}

/* A piece of no text is no piece. */
static void split_finish(struct splitter *x)
{
    if (x->pending)
        add_piece(x->out, x->waiting, x->last);
    size_t kept = x->first;
    for (size_t i = x->first; i < x->out->n; i++)
        if (x->out->v[i].end > x->out->v[i].start)
            x->out->v[kept++] = x->out->v[i];
    x->out->n = kept;
}

static int split_regex(const struct step *step, struct pretokenizer_scratch *s, const char *text,
                       struct piece piece, struct splitter *x, struct err *err)
{
    struct regex_cursor cursor;
    size_t done = piece.start, start, end;
    int rc;
    regex_start(&cursor, text + piece.start, piece.end - piece.start);
    while ((rc = regex_next(step->regex, s->regex, &cursor, &start, &end, err)) > 0) {
        start += piece.start;
        end += piece.start;
        if (start > done)
            split_part(x, done, start, false);
        split_part(x, start, end, true);
        done = end;
    }
    if (done < piece.end)
        split_part(x, done, piece.end, false);
    return rc;
}

/* Where the literal is in text[from, end), `end` if it isn't. It's never far: a call of memmem for
 * each word would take longer. */
static size_t find_string(const struct step *step, const char *text, size_t from, size_t end)
{
    for (size_t at = from; end - at >= step->string_len; at++)
        if (text[at] == *step->string && !memcmp(text + at, step->string, step->string_len))
            return at;
    return end;
}

static void split_string(const struct step *step, const char *text, struct piece piece,
                         struct splitter *x)
{
    size_t done = piece.start;
    while (step->string_len && done < piece.end) {
        size_t start = find_string(step, text, done, piece.end);
        if (start == piece.end)
            break;
        if (start > done)
            split_part(x, done, start, false);
        done = start + step->string_len;
        split_part(x, start, done, true);
    }
    if (done < piece.end)
        split_part(x, done, piece.end, false);
}

/* Punctuation as `tokenizers` knows it: ASCII symbols too, but nothing newer than Unicode 8. */
static bool is_punctuation(const struct unicode *u, uint32_t c)
{
    if (c < 0x80)
        return unicode_class(u, c) & (UNICODE_P | UNICODE_S);
    if (c == 0x166d || c == 0x111c9) /* no longer, since Unicode 12 and 11 */
        return true;
    return unicode_class(u, c) & UNICODE_P && !unicode_is_news(NEWS_PUNCTUATION, c);
}

static bool in_classes(const struct step *step, const struct unicode *u, uint32_t c)
{
    return step->punctuation ? is_punctuation(u, c) : unicode_class(u, c) & step->classes;
}

static void split_class(const struct step *step, const struct unicode *u, const char *text,
                        struct piece piece, struct splitter *x)
{
    size_t done = piece.start;
    unsigned len;
    for (size_t i = piece.start; i < piece.end; i += len) {
        if (!in_classes(step, u, utf8_char((const unsigned char *)text + i, &len)))
            continue;
        if (i > done)
            split_part(x, done, i, false);
        done = i + len;
        split_part(x, i, done, true);
    }
    if (done < piece.end)
        split_part(x, done, piece.end, false);
}

enum word_kind { KIND_SPACE, KIND_WORD, KIND_OTHER };

static enum word_kind word_kind(const struct unicode *u, uint32_t c)
{
    if (unicode_class(u, c) & UNICODE_SPACE)
        return KIND_SPACE;
    return unicode_is_word(c) ? KIND_WORD : KIND_OTHER;
}

static void split_words(const struct unicode *u, const char *text, struct piece piece,
                        struct pieces *out)
{
    enum word_kind last = KIND_SPACE;
    size_t start = piece.start;
    unsigned len;
    for (size_t i = piece.start; i < piece.end; i += len) {
        enum word_kind kind = word_kind(u, utf8_char((const unsigned char *)text + i, &len));
        if (kind == last)
            continue;
        if (last != KIND_SPACE)
            add_piece(out, start, i);
        start = i;
        last = kind;
    }
    if (last != KIND_SPACE)
        add_piece(out, start, piece.end);
}

static void split_length(const struct step *step, const char *text, struct piece piece,
                         struct pieces *out)
{
    size_t start = piece.start, n = 0;
    for (size_t i = piece.start; i < piece.end;) {
        i += utf8_length((unsigned char)text[i]);
        if (++n % step->length == 0 || i == piece.end) {
            add_piece(out, start, i);
            start = i;
        }
    }
}

/* Pieces of text[*pos, end), at most max, by a step that goes on where it stopped. */
static size_t scan(const struct step *step, const struct unicode *u, const char *text, size_t *pos,
                   size_t end, struct piece *out, size_t max)
{
    return step->kind == STEP_CUTS ? cuts_scan(step->cuts, text, pos, end, out, max)
                                   : step->scan(u, text, pos, end, out, max);
}

static bool scans(const struct pretokenizer *p, size_t step)
{
    return step < p->n_steps &&
           (p->steps[step].kind == STEP_SCAN || p->steps[step].kind == STEP_CUTS);
}

static void split_scan(const struct step *step, const struct unicode *u, const char *text,
                       struct piece piece, struct pieces *out)
{
    size_t pos = piece.start;
    while (pos < piece.end) {
        while (out->cap - out->n < BATCH) {
            out->cap = out->cap ? 2 * out->cap : 2 * BATCH;
            out->v = xreallocarray(out->v, out->cap, sizeof *out->v);
        }
        out->n += scan(step, u, text, &pos, piece.end, out->v + out->n, BATCH);
    }
}

static int split(const struct step *step, const struct pretokenizer *p,
                 struct pretokenizer_scratch *s, const char *text, struct piece piece,
                 struct pieces *out, struct err *err)
{
    struct splitter x = {step->behavior, step->invert, out, out->n, false, false, 0, 0};
    int rc = 0;
    switch (step->kind) {
    case STEP_SCAN:
    case STEP_CUTS:
        split_scan(step, p->unicode, text, piece, out);
        return 0;
    case STEP_LENGTH:
        split_length(step, text, piece, out);
        return 0;
    case STEP_WORDS:
        split_words(p->unicode, text, piece, out);
        return 0;
    case STEP_REGEX:
        rc = split_regex(step, s, text, piece, &x, err);
        break;
    case STEP_STRING:
        split_string(step, text, piece, &x);
        break;
    default:
        split_class(step, p->unicode, text, piece, &x);
        break;
    }
    split_finish(&x);
    return rc;
}

/*
 * Rewriting.
 */

static bool begins_with(const char *p, size_t len, const char *prefix, size_t prefix_len)
{
    return len >= prefix_len && !memcmp(p, prefix, prefix_len);
}

/* All bytes of a character come from where it begins, as `tokenizers` has it. */
static void spell_bytes(const struct text *t, struct piece piece, struct text_builder *b)
{
    uint32_t origin = text_origin(t, piece.start);
    for (size_t i = piece.start; i < piece.end; i++) {
        char spelled[4];
        if (((unsigned char)t->p[i] & 0xc0) != 0x80)
            origin = text_origin(t, i);
        text_builder_add(b, spelled, utf8_put(byte_level_char((uint8_t)t->p[i]), spelled), origin);
    }
}

static void write_piece(const struct step *step, const struct text *t, struct piece piece,
                        struct text_builder *b)
{
    const char *p = t->p + piece.start;
    size_t len = piece.end - piece.start;
    uint32_t origin = text_origin(t, piece.start);
    const char *space = step->kind == STEP_METASPACE ? step->string : " ";
    size_t space_len = step->kind == STEP_METASPACE ? step->string_len : 1;
    bool spaced = begins_with(p, len, space, space_len) || (len && *p == ' ');
    bool prepend = step->kind == STEP_PREFIX ||
                   (step->kind == STEP_METASPACE && (step->prepend == PREPEND_ALWAYS ||
                                                     (step->prepend == PREPEND_FIRST && !origin)));
    if (prepend && !spaced)
        text_builder_add(b, space, space_len, origin);
    if (step->kind == STEP_METASPACE)
        text_builder_replace(b, t, piece.start, piece.end, ' ', step->string, step->string_len);
    else if (step->kind == STEP_PREFIX)
        text_builder_copy(b, t, piece.start, piece.end);
    else
        spell_bytes(t, piece, b);
}

static int rewrite(const struct step *step, struct text_builder *b, struct text *t,
                   const struct pieces *in, struct pieces *out, struct err *err)
{
    text_builder_clear(b);
    for (size_t i = 0; i < in->n; i++) {
        size_t start = b->text.len;
        write_piece(step, t, in->v[i], b);
        if (b->text.len > UINT32_MAX)
            return err_set(err, "a text of more than 4 GiB");
        add_piece(out, start, b->text.len);
    }
    *t = text_builder_text(b);
    return 0;
}

void pretokenize_start(struct pretokenizer_scratch *s, const struct text *t)
{
    s->text = *t;
    s->pos = 0;
}

int pretokenize_next(const struct pretokenizer *p, struct pretokenizer_scratch *s, struct text *t,
                     const struct piece **pieces, size_t *n, struct err *err)
{
    struct pieces *in = &s->pieces[0], *out = &s->pieces[1];
    size_t step = 0;
    if (s->pos >= s->text.len)
        return 0;
    *t = s->text;
    in->n = 0;
    if (scans(p, 0)) {
        while (in->cap < BATCH) {
            in->cap = BATCH;
            in->v = xreallocarray(in->v, in->cap, sizeof *in->v);
        }
        in->n = scan(&p->steps[0], p->unicode, t->p, &s->pos, t->len, in->v, BATCH);
        step = 1;
    } else {
        add_piece(in, 0, t->len);
        s->pos = t->len;
    }
    for (; step < p->n_steps; step++) {
        const struct step *now = &p->steps[step];
        out->n = 0;
        if (now->kind == STEP_PREFIX || now->kind == STEP_METASPACE || now->kind == STEP_BYTES) {
            if (rewrite(now, &s->rewritten[step], t, in, out, err))
                return -1;
        } else {
            for (size_t i = 0; i < in->n; i++)
                if (split(now, p, s, t->p, in->v[i], out, err))
                    return -1;
        }
        struct pieces *swap = in;
        in = out;
        out = swap;
    }
    *pieces = in->v;
    *n = in->n;
    return 1;
}
