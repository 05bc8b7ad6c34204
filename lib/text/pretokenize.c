#include "text/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "text/byte_level.h"
#include "text/json_field.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/unicode_versions.h"

enum { BATCH = 1024, MAX_STEPS = 32 };

enum step_kind {
    STEP_SCAN,      /* a hand-written scanner: pieces are its matches and gaps */
    STEP_REGEX,     /* PCRE2 */
    STEP_STRING,    /* a literal */
    STEP_CUTS,      /* where no token reaches across */
    STEP_WORDS,     /* runs of word characters, runs of other characters but white space */
    STEP_CLASS,     /* each character of the classes is a match */
    STEP_PREFIX,    /* ByteLevel: a space before each piece that doesn't begin with one */
    STEP_METASPACE, /* spaces to the replacement, one prepended */
    STEP_BYTES,     /* ByteLevel: bytes spelled as characters */
    STEP_LENGTH,    /* a piece every so many characters */
};

enum behavior { ISOLATED, REMOVED, CONTIGUOUS, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT };
static const char *const behavior_names[] = {"Isolated",           "Removed",        "Contiguous",
                                             "MergedWithPrevious", "MergedWithNext", NULL};

enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };
static const char *const prepend_names[] = {"always", "first", "never", NULL};

struct step {
    enum step_kind kind;
    enum behavior behavior;
    bool invert;
    scan_function *scan;
    const struct cuts *cuts;
    struct regex *regex;
    char *string; /* the literal, or Metaspace's replacement */
    size_t string_len;
    unsigned classes;
    bool punctuation; /* STEP_CLASS: that, instead of classes */
    enum prepend prepend;
    size_t length;
};

struct pretokenizer {
    const struct unicode *unicode;
    struct step steps[MAX_STEPS];
    size_t n_steps;
};

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

/*
 * Reading the specification.
 */

static struct step *add_step(struct pretokenizer *p, enum step_kind kind, struct err *err)
{
    if (p->n_steps == MAX_STEPS) {
        err_set(err, "more than %d pre-tokenisers in a sequence", MAX_STEPS);
        return NULL;
    }
    struct step *step = &p->steps[p->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static int add_class(struct pretokenizer *p, unsigned classes, enum behavior behavior,
                     struct err *err)
{
    struct step *step = add_step(p, STEP_CLASS, err);
    if (!step)
        return -1;
    step->classes = classes;
    step->behavior = behavior;
    return 0;
}

static int add_punctuation(struct pretokenizer *p, enum behavior behavior, struct err *err)
{
    if (add_class(p, UNICODE_P, behavior, err))
        return -1;
    p->steps[p->n_steps - 1].punctuation = true;
    return 0;
}

static bool scanner_serves(const struct scanner *scanner, const struct step *step)
{
    if (!scanner)
        return false;
    if (step->behavior == ISOLATED)
        return true;
    return step->behavior == REMOVED && step->invert && !scanner->gaps;
}

static int add_regex(struct pretokenizer *p, const char *pattern, size_t len,
                     enum behavior behavior, bool invert, struct err *err)
{
    struct step *step = add_step(p, STEP_REGEX, err);
    if (!step)
        return -1;
    step->behavior = behavior;
    step->invert = invert;
    const struct scanner *scanner = strlen(pattern) == len ? scanner_find(pattern) : NULL;
    if (scanner_serves(scanner, step)) {
        step->kind = STEP_SCAN;
        step->scan = scanner->scan;
        return 0;
    }
    step->regex = regex_new(pattern, len, err);
    return step->regex ? 0 : -1;
}

static int parse_behavior(const json_t *spec, enum behavior fallback, enum behavior *out,
                          struct err *err)
{
    const char *name = json_field_string(spec, "behavior", NULL);
    *out = fallback;
    if (!name)
        return 0;
    for (size_t i = 0; behavior_names[i]; i++) {
        if (!strcmp(name, behavior_names[i])) {
            *out = (enum behavior)i;
            return 0;
        }
    }
    return err_set(err, "behavior \"%s\" is not known", name);
}

static int parse_split(struct pretokenizer *p, const json_t *spec, struct err *err)
{
    const json_t *pattern = json_object_get(spec, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *string = json_object_get(pattern, "String");
    bool invert = json_field_bool(spec, "invert", false);
    enum behavior behavior;
    if (parse_behavior(spec, ISOLATED, &behavior, err))
        return -1;
    if (json_is_string(regex))
        return add_regex(p, json_string_value(regex), json_string_length(regex), behavior, invert,
                         err);
    if (!json_is_string(string))
        return err_set(err, "pattern is neither Regex nor String");
    struct step *step = add_step(p, STEP_STRING, err);
    if (!step)
        return -1;
    step->behavior = behavior;
    step->invert = invert;
    step->string_len = json_string_length(string);
    step->string = xmemdup0(json_string_value(string), step->string_len);
    return 0;
}

static int parse_byte_level(struct pretokenizer *p, const json_t *spec, bool byte_model,
                            struct err *err)
{
    if (json_field_bool(spec, "add_prefix_space", true) && !add_step(p, STEP_PREFIX, err))
        return -1;
    if (json_field_bool(spec, "use_regex", true) &&
        add_regex(p, PATTERN_GPT2, strlen(PATTERN_GPT2), ISOLATED, false, err))
        return -1;
    return byte_model || add_step(p, STEP_BYTES, err) ? 0 : -1;
}

static int parse_metaspace(struct pretokenizer *p, const json_t *spec, struct err *err)
{
    const char *replacement = json_field_string(spec, "replacement", "\xe2\x96\x81");
    const char *scheme = json_field_string(spec, "prepend_scheme", "always");
    struct step *step = add_step(p, STEP_METASPACE, err);
    if (!step)
        return -1;
    step->string = xstrdup(replacement);
    step->string_len = strlen(replacement);
    size_t i = 0;
    while (prepend_names[i] && strcmp(prepend_names[i], scheme))
        i++;
    if (!prepend_names[i])
        return err_set(err, "prepend_scheme \"%s\" is not known", scheme);
    step->prepend =
        json_field_bool(spec, "add_prefix_space", true) ? (enum prepend)i : PREPEND_NEVER;
    if (!json_field_bool(spec, "split", true))
        return 0;
    struct step *split = add_step(p, STEP_STRING, err);
    if (!split)
        return -1;
    split->string = xstrdup(replacement);
    split->string_len = strlen(replacement);
    split->behavior = MERGED_WITH_NEXT;
    return 0;
}

static int parse(struct pretokenizer *p, const json_t *spec, bool byte_model, unsigned depth,
                 struct err *err);

static int parse_sequence(struct pretokenizer *p, const json_t *spec, bool byte_model,
                          unsigned depth, struct err *err)
{
    const json_t *list = json_object_get(spec, "pretokenizers"), *one;
    size_t i, n = json_array_size(list);
    json_array_foreach(list, i, one)
    {
        if (parse(p, one, byte_model && i + 1 == n, depth + 1, err))
            return -1;
    }
    return 0;
}

static int parse_type(struct pretokenizer *p, const char *type, const json_t *spec, bool byte_model,
                      struct err *err)
{
    enum behavior behavior;
    if (!strcmp(type, "ByteLevel"))
        return parse_byte_level(p, spec, byte_model, err);
    if (!strcmp(type, "Split"))
        return parse_split(p, spec, err);
    if (!strcmp(type, "Metaspace"))
        return parse_metaspace(p, spec, err);
    if (!strcmp(type, "Digits"))
        return add_class(p, UNICODE_N,
                         json_field_bool(spec, "individual_digits", false) ? ISOLATED : CONTIGUOUS,
                         err);
    if (!strcmp(type, "Punctuation"))
        return parse_behavior(spec, ISOLATED, &behavior, err) ? -1
                                                              : add_punctuation(p, behavior, err);
    if (!strcmp(type, "Whitespace"))
        return add_step(p, STEP_WORDS, err) ? 0 : -1;
    if (!strcmp(type, "WhitespaceSplit"))
        return add_class(p, UNICODE_SPACE, REMOVED, err);
    if (!strcmp(type, "BertPreTokenizer"))
        return add_class(p, UNICODE_SPACE, REMOVED, err) || add_punctuation(p, ISOLATED, err) ? -1
                                                                                              : 0;
    if (!strcmp(type, "CharDelimiterSplit")) {
        const char *delimiter = json_field_string(spec, "delimiter", NULL);
        struct step *step = delimiter ? add_step(p, STEP_STRING, err) : NULL;
        if (!step)
            return err_set(err, "no delimiter");
        step->string = xstrdup(delimiter);
        step->string_len = strlen(delimiter);
        step->behavior = REMOVED;
        return 0;
    }
    if (!strcmp(type, "FixedLength")) {
        json_int_t length = json_field_integer(spec, "length", 5);
        struct step *step = length > 0 ? add_step(p, STEP_LENGTH, err) : NULL;
        if (!step)
            return err_set(err, "length is not positive");
        step->length = (size_t)length;
        return 0;
    }
    return err_set(err, "not supported");
}

static int parse(struct pretokenizer *p, const json_t *spec, bool byte_model, unsigned depth,
                 struct err *err)
{
    if (!spec || json_is_null(spec))
        return 0;
    const char *type = json_field_string(spec, "type", NULL);
    if (!type || depth > 8)
        return err_set(err, type ? "nested too deeply" : "no type");
    if (!strcmp(type, "Sequence"))
        return parse_sequence(p, spec, byte_model, depth, err);
    if (parse_type(p, type, spec, byte_model, err))
        return err_prefix(err, "%s", type);
    return 0;
}

int pretokenizer_new(struct pretokenizer **out, const json_t *spec, bool byte_model,
                     const struct unicode *u, struct err *err)
{
    struct pretokenizer *p = xcalloc(1, sizeof *p);
    p->unicode = u;
    if (parse(p, spec, byte_model, 0, err)) {
        pretokenizer_free(p);
        return err_prefix(err, "pre_tokenizer");
    }
    *out = p;
    return 0;
}

void pretokenizer_free(struct pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_steps; i++) {
        free(p->steps[i].string);
        regex_free(p->steps[i].regex);
    }
    free(p);
}

int pretokenizer_add_cuts(struct pretokenizer *p, const struct cuts *cuts, struct err *err)
{
    struct step *step = add_step(p, STEP_CUTS, err);
    if (!step)
        return -1;
    step->cuts = cuts;
    return 0;
}

bool pretokenizer_ends_in_bytes(const json_t *spec)
{
    const char *type = json_field_string(spec, "type", "");
    if (!strcmp(type, "Sequence")) {
        const json_t *list = json_object_get(spec, "pretokenizers");
        size_t n = json_array_size(list);
        return n && pretokenizer_ends_in_bytes(json_array_get(list, n - 1));
    }
    return !strcmp(type, "ByteLevel");
}

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
