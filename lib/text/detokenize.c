#include "text/detokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/byte_level.h"
#include "text/json_field.h"
#include "text/regex.h"
#include "text/unicode.h"

enum { MAX_STEPS = 32 };

enum step_kind {
    STEP_BYTE_LEVEL,
    STEP_REPLACE,
    STEP_REGEX,
    STEP_BYTE_FALLBACK,
    STEP_FUSE,
    STEP_STRIP,
    STEP_METASPACE,
    STEP_WORDPIECE,
    STEP_BPE,
    STEP_CTC,
};

struct step {
    enum step_kind kind;
    char *string, *content;
    size_t string_len, content_len;
    struct regex *regex;
    size_t start, stop;
    bool flag; /* Metaspace: the first space was prepended; WordPiece, CTC: clean up */
};

struct detokenizer {
    struct step steps[MAX_STEPS];
    size_t n_steps;
    bool join; /* no decoder at all */
};

void token_strings_init(struct token_strings *s)
{
    buf_init(&s->text);
    s->ends = NULL;
    s->n = s->cap = 0;
}

void token_strings_release(struct token_strings *s)
{
    buf_release(&s->text);
    free(s->ends);
    token_strings_init(s);
}

static void token_strings_end(struct token_strings *s)
{
    ARRAY_GROW(s->ends, s->n, s->cap);
    s->ends[s->n++] = s->text.len;
}

void token_strings_add(struct token_strings *s, const char *p, size_t len)
{
    buf_add(&s->text, p, len);
    token_strings_end(s);
}

static const char *string_at(const struct token_strings *s, size_t i, size_t *len)
{
    size_t start = i ? s->ends[i - 1] : 0;
    *len = s->ends[i] - start;
    return s->text.p + start;
}

/*
 * Reading the specification.
 */

static struct step *add_step(struct detokenizer *d, enum step_kind kind, struct err *err)
{
    if (d->n_steps == MAX_STEPS) {
        err_set(err, "more than %d decoders in a sequence", MAX_STEPS);
        return NULL;
    }
    struct step *step = &d->steps[d->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static void set_string(struct step *step, const char *p, size_t len)
{
    step->string = xmemdup0(p, len);
    step->string_len = len;
}

static int parse_replace(struct detokenizer *d, const json_t *spec, struct err *err)
{
    const json_t *pattern = json_object_get(spec, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *string = json_object_get(pattern, "String");
    const json_t *content = json_object_get(spec, "content");
    if (!json_is_string(content) || (!json_is_string(regex) && !json_is_string(string)))
        return err_set(err, "no pattern or no content");
    struct step *step = add_step(d, regex ? STEP_REGEX : STEP_REPLACE, err);
    if (!step)
        return -1;
    step->content_len = json_string_length(content);
    step->content = xmemdup0(json_string_value(content), step->content_len);
    if (regex) {
        step->regex = regex_new(json_string_value(regex), json_string_length(regex), err);
        return step->regex ? 0 : -1;
    }
    set_string(step, json_string_value(string), json_string_length(string));
    return 0;
}

static int parse_strip(struct detokenizer *d, const json_t *spec, struct err *err)
{
    json_int_t start = json_field_integer(spec, "start", 0);
    json_int_t stop = json_field_integer(spec, "stop", 0);
    const char *content = json_field_string(spec, "content", NULL);
    struct step *step = add_step(d, STEP_STRIP, err);
    if (!step)
        return -1;
    if (!content || start < 0 || stop < 0)
        return err_set(err, "content, start or stop is missing");
    set_string(step, content, strlen(content));
    step->start = (size_t)start;
    step->stop = (size_t)stop;
    return 0;
}

static int parse_with_string(struct detokenizer *d, enum step_kind kind, const json_t *spec,
                             const char *key, const char *fallback, struct err *err)
{
    struct step *step = add_step(d, kind, err);
    if (!step)
        return -1;
    const char *string = json_field_string(spec, key, fallback);
    set_string(step, string, strlen(string));
    step->flag = json_field_bool(spec, "cleanup", true);
    return 0;
}

static int parse_metaspace(struct detokenizer *d, const json_t *spec, struct err *err)
{
    if (parse_with_string(d, STEP_METASPACE, spec, "replacement", "\xe2\x96\x81", err))
        return -1;
    d->steps[d->n_steps - 1].flag =
        strcmp(json_field_string(spec, "prepend_scheme", "always"), "never") != 0 &&
        json_field_bool(spec, "add_prefix_space", true);
    return 0;
}

static int parse_ctc(struct detokenizer *d, const json_t *spec, struct err *err)
{
    if (parse_with_string(d, STEP_CTC, spec, "pad_token", "<pad>", err))
        return -1;
    struct step *step = &d->steps[d->n_steps - 1];
    step->content = xstrdup(json_field_string(spec, "word_delimiter_token", "|"));
    step->content_len = strlen(step->content);
    return 0;
}

static int parse(struct detokenizer *d, const json_t *spec, unsigned depth, struct err *err);

static int parse_type(struct detokenizer *d, const char *type, const json_t *spec, unsigned depth,
                      struct err *err)
{
    if (!strcmp(type, "Sequence")) {
        const json_t *one;
        size_t i;
        json_array_foreach(json_object_get(spec, "decoders"), i, one)
        {
            if (parse(d, one, depth + 1, err))
                return -1;
        }
        return 0;
    }
    if (!strcmp(type, "ByteLevel"))
        return add_step(d, STEP_BYTE_LEVEL, err) ? 0 : -1;
    if (!strcmp(type, "Replace"))
        return parse_replace(d, spec, err);
    if (!strcmp(type, "ByteFallback"))
        return add_step(d, STEP_BYTE_FALLBACK, err) ? 0 : -1;
    if (!strcmp(type, "Fuse"))
        return add_step(d, STEP_FUSE, err) ? 0 : -1;
    if (!strcmp(type, "Strip"))
        return parse_strip(d, spec, err);
    if (!strcmp(type, "Metaspace"))
        return parse_metaspace(d, spec, err);
    if (!strcmp(type, "WordPiece"))
        return parse_with_string(d, STEP_WORDPIECE, spec, "prefix", "##", err);
    if (!strcmp(type, "BPEDecoder"))
        return parse_with_string(d, STEP_BPE, spec, "suffix", "</w>", err);
    if (!strcmp(type, "CTC"))
        return parse_ctc(d, spec, err);
    return err_set(err, "not supported");
}

static int parse(struct detokenizer *d, const json_t *spec, unsigned depth, struct err *err)
{
    const char *type = json_field_string(spec, "type", NULL);
    if (!type || depth > 8)
        return err_set(err, type ? "nested too deeply" : "no type");
    if (parse_type(d, type, spec, depth, err))
        return strcmp(type, "Sequence") ? err_prefix(err, "%s", type) : -1;
    return 0;
}

int detokenizer_new(struct detokenizer **out, const json_t *spec, struct err *err)
{
    struct detokenizer *d = xcalloc(1, sizeof *d);
    d->join = !spec || json_is_null(spec);
    if (!d->join && parse(d, spec, 0, err)) {
        detokenizer_free(d);
        return err_prefix(err, "decoder");
    }
    *out = d;
    return 0;
}

void detokenizer_free(struct detokenizer *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_steps; i++) {
        free(d->steps[i].string);
        free(d->steps[i].content);
        regex_free(d->steps[i].regex);
    }
    free(d);
}

/*
 * The steps, each from a list of strings to a new one.
 */

/* Appends bytes as UTF-8, U+FFFD for what is none. */
static void add_lossy(struct buf *out, const char *p, size_t len)
{
    size_t part;
    while (len) {
        size_t n = utf8_valid(p, len);
        buf_add(out, p, n);
        p += n;
        len -= n;
        if (len && !utf8_well_formed(p, len, &part)) {
            buf_addutf8(out, 0xfffd);
            p += part;
            len -= part;
        }
    }
}

/* A token whose characters all stand for bytes is those bytes, another one itself. */
static void byte_level(const struct token_strings *in, struct token_strings *out)
{
    struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < in->n; i++) {
        size_t len, before = bytes.len;
        const char *p = string_at(in, i, &len);
        for (size_t j = 0; j < len;) {
            unsigned n;
            int byte = byte_level_byte(utf8_char((const unsigned char *)p + j, &n));
            if (byte < 0) {
                bytes.len = before;
                buf_add(&bytes, p, len);
                break;
            }
            buf_addch(&bytes, (char)byte);
            j += n;
        }
    }
    add_lossy(&out->text, bytes.p, bytes.len);
    token_strings_end(out);
    buf_release(&bytes);
}

static void add_replaced(struct buf *out, const char *p, size_t len, const char *what,
                         size_t what_len, const char *with, size_t with_len)
{
    const char *end = p + len, *found;
    while (what_len && (found = memmem(p, (size_t)(end - p), what, what_len))) {
        buf_add(out, p, (size_t)(found - p));
        buf_add(out, with, with_len);
        p = found + what_len;
    }
    buf_add(out, p, (size_t)(end - p));
}

static void replace(const struct step *step, const struct token_strings *in,
                    struct token_strings *out)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t len;
        const char *p = string_at(in, i, &len);
        add_replaced(&out->text, p, len, step->string, step->string_len, step->content,
                     step->content_len);
        token_strings_end(out);
    }
}

static int replace_regex(const struct step *step, const struct token_strings *in,
                         struct token_strings *out, struct err *err)
{
    struct regex_scratch *scratch = regex_scratch_new();
    int rc = 0;
    for (size_t i = 0; i < in->n && rc >= 0; i++) {
        struct regex_cursor cursor;
        size_t len, start, end, done = 0;
        const char *p = string_at(in, i, &len);
        regex_start(&cursor, p, len);
        while ((rc = regex_next(step->regex, scratch, &cursor, &start, &end, err)) > 0) {
            buf_add(&out->text, p + done, start - done);
            buf_add(&out->text, step->content, step->content_len);
            done = end;
        }
        buf_add(&out->text, p + done, len - done);
        token_strings_end(out);
    }
    regex_scratch_free(scratch);
    return rc;
}

/* The byte of "<0xAB>"; -1 for any other token. */
static int fallback_byte(const char *p, size_t len)
{
    char digits[3] = {0}, *end;
    if (len != 6 || memcmp(p, "<0x", 3) || p[5] != '>')
        return -1;
    memcpy(digits, p + 3, 2);
    if (digits[0] == '-' || digits[0] == ' ')
        return -1;
    long byte = strtol(digits, &end, 16);
    return *end || end == digits ? -1 : (int)byte;
}

static void flush_bytes(struct buf *bytes, struct token_strings *out)
{
    if (!bytes->len)
        return;
    if (utf8_valid(bytes->p, bytes->len) == bytes->len)
        token_strings_add(out, bytes->p, bytes->len);
    else
        for (size_t i = 0; i < bytes->len; i++)
            token_strings_add(out, "\xef\xbf\xbd", 3);
    buf_clear(bytes);
}

static void byte_fallback(const struct token_strings *in, struct token_strings *out)
{
    struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < in->n; i++) {
        size_t len;
        const char *p = string_at(in, i, &len);
        int byte = fallback_byte(p, len);
        if (byte >= 0) {
            buf_addch(&bytes, (char)byte);
            continue;
        }
        flush_bytes(&bytes, out);
        token_strings_add(out, p, len);
    }
    flush_bytes(&bytes, out);
    buf_release(&bytes);
}

static void strip(const struct step *step, const struct token_strings *in,
                  struct token_strings *out)
{
    const size_t n = step->string_len;
    for (size_t i = 0; i < in->n; i++) {
        size_t len, start = 0, end;
        const char *p = string_at(in, i, &len);
        for (size_t j = 0; j < step->start && len - start >= n; j++) {
            if (memcmp(p + start, step->string, n))
                break;
            start += n;
        }
        end = len;
        for (size_t j = 0; j < step->stop && end - start >= n; j++) {
            if (memcmp(p + end - n, step->string, n))
                break;
            end -= n;
        }
        token_strings_add(out, p + start, end - start);
    }
}

/* The replacement is a space, but what a first token begins with was put there. */
static void metaspace(const struct step *step, const struct token_strings *in,
                      struct token_strings *out)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t len;
        const char *p = string_at(in, i, &len);
        bool drop = !i && step->flag;
        add_replaced(&out->text, p, len, step->string, step->string_len, " ", drop ? 0 : 1);
        token_strings_end(out);
    }
}

static const char *const cleanups[][2] = {
    {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
    {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
    {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
};

/* Replaces what stands in b from `from` on. */
static void replace_tail(struct buf *b, size_t from, const char *what, const char *with)
{
    if (!memmem(b->p + from, b->len - from, what, strlen(what)))
        return;
    struct buf tail = BUF_INIT;
    add_replaced(&tail, b->p + from, b->len - from, what, strlen(what), with, strlen(with));
    b->len = from;
    buf_add(b, tail.p, tail.len);
    buf_release(&tail);
}

static void clean_up(struct buf *b, size_t from)
{
    for (size_t i = 0; i < ARRAY_SIZE(cleanups); i++)
        replace_tail(b, from, cleanups[i][0], cleanups[i][1]);
}

static void wordpiece(const struct step *step, const struct token_strings *in,
                      struct token_strings *out)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t len, from = out->text.len;
        const char *p = string_at(in, i, &len);
        if (i && len >= step->string_len && !memcmp(p, step->string, step->string_len))
            buf_add(&out->text, p + step->string_len, len - step->string_len);
        else {
            buf_add(&out->text, " ", i > 0);
            buf_add(&out->text, p, len);
        }
        if (step->flag)
            clean_up(&out->text, from);
        token_strings_end(out);
    }
}

static void bpe_suffix(const struct step *step, const struct token_strings *in,
                       struct token_strings *out)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t len;
        const char *p = string_at(in, i, &len);
        add_replaced(&out->text, p, len, step->string, step->string_len, " ", i + 1 < in->n);
        token_strings_end(out);
    }
}

static void ctc(const struct step *step, const struct token_strings *in, struct token_strings *out)
{
    const char *last = NULL;
    size_t last_len = 0;
    for (size_t i = 0; i < in->n; i++) {
        size_t len, from = out->text.len;
        const char *p = string_at(in, i, &len);
        bool again = last && len == last_len && !memcmp(p, last, len);
        last = p;
        last_len = len;
        if (again)
            continue;
        add_replaced(&out->text, p, len, step->string, step->string_len, "", 0);
        if (step->flag) {
            clean_up(&out->text, from);
            replace_tail(&out->text, from, step->content, " ");
        }
        if (out->text.len > from)
            token_strings_end(out);
    }
}

static int step_apply(const struct step *step, const struct token_strings *in,
                      struct token_strings *out, struct err *err)
{
    switch (step->kind) {
    case STEP_BYTE_LEVEL:
        byte_level(in, out);
        break;
    case STEP_REPLACE:
        replace(step, in, out);
        break;
    case STEP_REGEX:
        return replace_regex(step, in, out, err);
    case STEP_BYTE_FALLBACK:
        byte_fallback(in, out);
        break;
    case STEP_FUSE:
        token_strings_add(out, in->text.p, in->text.len);
        break;
    case STEP_STRIP:
        strip(step, in, out);
        break;
    case STEP_METASPACE:
        metaspace(step, in, out);
        break;
    case STEP_WORDPIECE:
        wordpiece(step, in, out);
        break;
    case STEP_BPE:
        bpe_suffix(step, in, out);
        break;
    case STEP_CTC:
        ctc(step, in, out);
        break;
    }
    return 0;
}

int detokenize(const struct detokenizer *d, struct token_strings *tokens, struct buf *out,
               struct err *err)
{
    for (size_t i = 0; i < d->n_steps; i++) {
        struct token_strings next;
        token_strings_init(&next);
        int rc = step_apply(&d->steps[i], tokens, &next, err);
        token_strings_release(tokens);
        *tokens = next;
        if (rc)
            return err_prefix(err, "decoder");
    }
    for (size_t i = 0; i < tokens->n; i++) {
        size_t len;
        const char *p = string_at(tokens, i, &len);
        buf_add(out, " ", d->join && i > 0);
        buf_add(out, p, len);
    }
    return 0;
}
