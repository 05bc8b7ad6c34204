#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/json_field.h"
#include "text/normal_form.h"
#include "text/regex.h"
#include "text/unicode_versions.h"

enum { MAX_STEPS = 32 };

enum step_kind {
    STEP_FORM,      /* a Unicode normalisation form */
    STEP_LOWERCASE, /* each character by its own */
    STEP_REPLACE,   /* a literal */
    STEP_REGEX,     /* a pattern */
    STEP_PREPEND,
    STEP_STRIP,
    STEP_FILTER,     /* characters that go, and those that become spaces */
    STEP_IDEOGRAPHS, /* spaces around ideographs, as BERT has it */
    STEP_BYTES,      /* bytes spelled as characters */
    STEP_CHARSMAP,   /* SentencePiece's precompiled rules, as `tokenizers` has them */
    STEP_SP,         /* the same and all else that SentencePiece does */
};

static const char *const form_names[] = {"NFC", "NFD", "NFKC", "NFKD"};

enum filter {
    FILTER_NMT,       /* sentencepiece's nmt rules */
    FILTER_CLEAN,     /* BERT's clean_text */
    FILTER_MARKS,     /* \p{M} */
    FILTER_NONSPACING /* \p{Mn} */
};

struct step {
    enum step_kind kind;
    enum normal_form form;
    enum filter filter;
    char *string, *content;
    size_t string_len, content_len;
    struct regex *regex;
    struct charsmap charsmap;
    struct sp_rules rules;
    bool left, right;
};

struct normalizer {
    const struct unicode *unicode;
    struct step steps[MAX_STEPS];
    size_t n_steps;
    unsigned forms; /* bit for each form in use */
    struct normal_forms normal_forms;
};

struct normalizer_scratch {
    struct text_builder texts[2];
    struct regex_scratch *regex;
    struct form_scratch form;
};

/*
 * Reading the specification.
 */

static struct step *add_step(struct normalizer *n, enum step_kind kind, struct err *err)
{
    if (n->n_steps == MAX_STEPS) {
        err_set(err, "more than %d normalizers in a sequence", MAX_STEPS);
        return NULL;
    }
    struct step *step = &n->steps[n->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    return step;
}

static int add_form(struct normalizer *n, enum normal_form form, struct err *err)
{
    struct step *step = add_step(n, STEP_FORM, err);
    if (!step)
        return -1;
    step->form = form;
    n->forms |= 1u << form;
    return 0;
}

static int add_filter(struct normalizer *n, enum filter filter, struct err *err)
{
    struct step *step = add_step(n, STEP_FILTER, err);
    if (!step)
        return -1;
    step->filter = filter;
    return 0;
}

static int parse_replace(struct normalizer *n, const json_t *spec, struct err *err)
{
    const json_t *pattern = json_object_get(spec, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *string = json_object_get(pattern, "String");
    const json_t *content = json_object_get(spec, "content");
    if (!json_is_string(content) || (!json_is_string(regex) && !json_is_string(string)))
        return err_set(err, "no pattern or no content");
    struct step *step = add_step(n, regex ? STEP_REGEX : STEP_REPLACE, err);
    if (!step)
        return -1;
    step->content_len = json_string_length(content);
    step->content = xmemdup0(json_string_value(content), step->content_len);
    if (regex) {
        step->regex = regex_new(json_string_value(regex), json_string_length(regex), err);
        return step->regex ? 0 : -1;
    }
    step->string_len = json_string_length(string);
    step->string = xmemdup0(json_string_value(string), step->string_len);
    return 0;
}

static int parse_prepend(struct normalizer *n, const json_t *spec, struct err *err)
{
    const json_t *prepend = json_object_get(spec, "prepend");
    struct step *step = add_step(n, STEP_PREPEND, err);
    if (!step)
        return -1;
    if (!json_is_string(prepend))
        return err_set(err, "no prepend");
    step->content_len = json_string_length(prepend);
    step->content = xmemdup0(json_string_value(prepend), step->content_len);
    return 0;
}

/* No rules at all, as some files have it, change nothing. */
static int parse_precompiled(struct normalizer *n, const json_t *spec, struct err *err)
{
    const json_t *rules = json_object_get(spec, "precompiled_charsmap");
    if (json_is_null(rules) || (json_is_string(rules) && !json_string_length(rules)))
        return 0;
    struct step *step = add_step(n, STEP_CHARSMAP, err);
    if (!step)
        return -1;
    if (!json_is_string(rules))
        return err_set(err, "no precompiled_charsmap");
    return charsmap_init_base64(&step->charsmap, json_string_value(rules),
                                json_string_length(rules), err);
}

static int parse_strip(struct normalizer *n, const json_t *spec, struct err *err)
{
    struct step *step = add_step(n, STEP_STRIP, err);
    if (!step)
        return -1;
    step->left = json_field_bool(spec, "strip_left", true);
    step->right = json_field_bool(spec, "strip_right", true);
    return 0;
}

static int parse_bert(struct normalizer *n, const json_t *spec, struct err *err)
{
    bool lowercase = json_field_bool(spec, "lowercase", true);
    if (json_field_bool(spec, "clean_text", true) && add_filter(n, FILTER_CLEAN, err))
        return -1;
    if (json_field_bool(spec, "handle_chinese_chars", true) && !add_step(n, STEP_IDEOGRAPHS, err))
        return -1;
    if (json_field_bool(spec, "strip_accents", lowercase) &&
        (add_form(n, NFD, err) || add_filter(n, FILTER_NONSPACING, err)))
        return -1;
    return !lowercase || add_step(n, STEP_LOWERCASE, err) ? 0 : -1;
}

static int parse(struct normalizer *n, const json_t *spec, unsigned depth, struct err *err);

static int parse_type(struct normalizer *n, const char *type, const json_t *spec, unsigned depth,
                      struct err *err)
{
    for (unsigned form = 0; form < N_FORMS; form++)
        if (!strcmp(type, form_names[form]))
            return add_form(n, (enum normal_form)form, err);
    if (!strcmp(type, "Sequence")) {
        const json_t *one;
        size_t i;
        json_array_foreach(json_object_get(spec, "normalizers"), i, one)
        {
            if (parse(n, one, depth + 1, err))
                return -1;
        }
        return 0;
    }
    if (!strcmp(type, "Lowercase"))
        return add_step(n, STEP_LOWERCASE, err) ? 0 : -1;
    if (!strcmp(type, "Replace"))
        return parse_replace(n, spec, err);
    if (!strcmp(type, "Prepend"))
        return parse_prepend(n, spec, err);
    if (!strcmp(type, "Strip"))
        return parse_strip(n, spec, err);
    if (!strcmp(type, "StripAccents"))
        return add_filter(n, FILTER_MARKS, err);
    if (!strcmp(type, "Nmt"))
        return add_filter(n, FILTER_NMT, err);
    if (!strcmp(type, "BertNormalizer"))
        return parse_bert(n, spec, err);
    if (!strcmp(type, "ByteLevel"))
        return add_step(n, STEP_BYTES, err) ? 0 : -1;
    if (!strcmp(type, "Precompiled"))
        return parse_precompiled(n, spec, err);
    return err_set(err, "not supported");
}

static int parse(struct normalizer *n, const json_t *spec, unsigned depth, struct err *err)
{
    if (!spec || json_is_null(spec))
        return 0;
    const char *type = json_field_string(spec, "type", NULL);
    if (!type || depth > 8)
        return err_set(err, type ? "nested too deeply" : "no type");
    if (parse_type(n, type, spec, depth, err))
        return strcmp(type, "Sequence") ? err_prefix(err, "%s", type) : -1;
    return 0;
}

int normalizer_new(struct normalizer **out, const json_t *spec, const struct unicode *u,
                   struct err *err)
{
    struct normalizer *n = xcalloc(1, sizeof *n);
    n->unicode = u;
    if (parse(n, spec, 0, err)) {
        normalizer_free(n);
        return err_prefix(err, "normalizer");
    }
    if (n->forms)
        normal_forms_init(&n->normal_forms, n->forms);
    *out = n;
    return 0;
}

struct normalizer *normalizer_new_sp(struct sp_rules *rules, const struct unicode *u)
{
    struct normalizer *n = xcalloc(1, sizeof *n);
    n->unicode = u;
    n->n_steps = 1;
    n->steps[0].kind = STEP_SP;
    n->steps[0].rules = *rules;
    memset(rules, 0, sizeof *rules);
    return n;
}

void normalizer_free(struct normalizer *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_steps; i++) {
        free(n->steps[i].string);
        free(n->steps[i].content);
        regex_free(n->steps[i].regex);
        charsmap_release(&n->steps[i].charsmap);
        sp_rules_release(&n->steps[i].rules);
    }
    normal_forms_release(&n->normal_forms);
    free(n);
}

bool normalizer_is_identity(const struct normalizer *n)
{
    return !n->n_steps;
}

struct normalizer_scratch *normalizer_scratch_new(const struct normalizer *n)
{
    struct normalizer_scratch *s = xcalloc(1, sizeof *s);
    text_builder_init(&s->texts[0]);
    text_builder_init(&s->texts[1]);
    for (size_t i = 0; i < n->n_steps; i++)
        if (n->steps[i].regex && !s->regex)
            s->regex = regex_scratch_new();
    return s;
}

void normalizer_scratch_free(struct normalizer_scratch *s)
{
    if (!s)
        return;
    text_builder_release(&s->texts[0]);
    text_builder_release(&s->texts[1]);
    regex_scratch_free(s->regex);
    form_scratch_release(&s->form);
    free(s);
}

/*
 * The steps. Each writes the whole text into an empty builder, and returns 1; or returns 0, having
 * written nothing, where the text stays as it is; or -1.
 */

/* U+0130 has a lower case of two characters, alone of all. */
static void step_lowercase(const struct text *in, struct text_builder *out)
{
    for (size_t i = 0; i < in->len;) {
        unsigned len;
        char lower[4];
        uint32_t c = utf8_char((const unsigned char *)in->p + i, &len);
        uint32_t origin = text_origin(in, i);
        if (c == 0x130)
            text_builder_add(out, "i\xcc\x87", 3, origin);
        else
            text_builder_add(out, lower, utf8_put(unicode_lower(c), lower), origin);
        i += len;
    }
}

/* What replaces in[start, end) comes from its last character, as `tokenizers` has it; what was
 * inserted, from the one before. */
static uint32_t replaced_origin(const struct text *in, size_t end)
{
    return end ? text_origin(in, utf8_before(in->p, end)) : 0;
}

static int step_replace(const struct step *step, const struct text *in, struct text_builder *out)
{
    const char *p = in->p, *end = in->p + in->len, *found;
    if (!step->string_len || !memmem(p, in->len, step->string, step->string_len))
        return 0;
    if (step->string_len == 1) {
        text_builder_replace(out, in, 0, in->len, *step->string, step->content, step->content_len);
        return 1;
    }
    while ((found = memmem(p, (size_t)(end - p), step->string, step->string_len))) {
        size_t at = (size_t)(found - in->p);
        text_builder_copy(out, in, (size_t)(p - in->p), at);
        text_builder_add(out, step->content, step->content_len,
                         replaced_origin(in, at + step->string_len));
        p = found + step->string_len;
    }
    text_builder_copy(out, in, (size_t)(p - in->p), in->len);
    return 1;
}

static int step_regex(const struct step *step, struct normalizer_scratch *s, const struct text *in,
                      struct text_builder *out, struct err *err)
{
    struct regex_cursor cursor;
    size_t done = 0, start, end;
    int rc;
    regex_start(&cursor, in->p, in->len);
    while ((rc = regex_next(step->regex, s->regex, &cursor, &start, &end, err)) > 0) {
        text_builder_copy(out, in, done, start);
        text_builder_add(out, step->content, step->content_len, replaced_origin(in, end));
        done = end;
    }
    if (rc < 0)
        return err_prefix(err, "normalizer");
    text_builder_copy(out, in, done, in->len);
    return 1;
}

static int step_strip(const struct normalizer *n, const struct step *step, const struct text *in,
                      struct text *out)
{
    const unsigned char *p = (const unsigned char *)in->p;
    size_t start = 0, end = in->len;
    unsigned len;
    while (step->left && start < end &&
           unicode_class(n->unicode, utf8_char(p + start, &len)) & UNICODE_SPACE)
        start += len;
    while (step->right && end > start) {
        size_t at = utf8_before(in->p, end);
        if (!(unicode_class(n->unicode, utf8_char(p + at, &len)) & UNICODE_SPACE))
            break;
        end = at;
    }
    *out = text_slice(in, start, end);
    return 0;
}

static bool nmt_drops(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
           c == 0x9f;
}

static bool nmt_is_space(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xfeff || c == 0xfffd;
}

/* Cc, Cf or Co, as BertNormalizer knows them. */
static bool is_control(uint32_t c)
{
    const char *category = unicode_category(c);
    return category[0] == 'C' && category[1] != 'n' && !unicode_is_news(NEWS_FORMAT, c);
}

static bool is_nonspacing(uint32_t c)
{
    if (c == 0x1734 || c == 0x1171e) /* spacing since Unicode 14 and 16 */
        return true;
    return !strcmp(unicode_category(c), "Mn") && !unicode_is_news(NEWS_NONSPACING, c);
}

static bool is_mark(uint32_t c)
{
    if (c == 0x1cf2 || c == 0x1cf3) /* letters since Unicode 12 */
        return true;
    return unicode_category(c)[0] == 'M' && !unicode_is_news(NEWS_MARKS, c);
}

/* DROPPED: the character goes; ' ': it becomes a space; else it stays. */
#define DROPPED UINT32_MAX
static uint32_t filtered(const struct normalizer *n, enum filter filter, uint32_t c)
{
    bool blank = c == '\t' || c == '\n' || c == '\r';
    switch (filter) {
    case FILTER_NMT:
        return nmt_drops(c) ? DROPPED : nmt_is_space(c) ? ' ' : c;
    case FILTER_CLEAN:
        if (!c || c == 0xfffd || (!blank && is_control(c)))
            return DROPPED;
        return unicode_class(n->unicode, c) & UNICODE_SPACE ? ' ' : c;
    case FILTER_MARKS:
        return c >= 0x80 && is_mark(c) ? DROPPED : c;
    default:
        return c >= 0x80 && is_nonspacing(c) ? DROPPED : c;
    }
}

static void step_filter(const struct normalizer *n, const struct step *step, const struct text *in,
                        struct text_builder *out)
{
    for (size_t i = 0; i < in->len;) {
        unsigned len;
        uint32_t c = utf8_char((const unsigned char *)in->p + i, &len);
        uint32_t to = filtered(n, step->filter, c);
        if (to == c)
            text_builder_copy(out, in, i, i + len);
        else if (to != DROPPED)
            text_builder_add(out, " ", 1, text_origin(in, i));
        i += len;
    }
}

/* The blocks that BERT takes for Chinese. */
static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
           (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x2f800 && c <= 0x2fa1f);
}

static void step_ideographs(const struct text *in, struct text_builder *out)
{
    for (size_t i = 0; i < in->len;) {
        unsigned len;
        bool spaced = is_ideograph(utf8_char((const unsigned char *)in->p + i, &len));
        text_builder_add(out, " ", spaced, text_origin(in, i));
        text_builder_copy(out, in, i, i + len);
        text_builder_add(out, " ", spaced, text_origin(in, i + len - 1));
        i += len;
    }
}

/* All bytes of a character come from where it begins, as `tokenizers` has it. */
static void step_bytes(const struct text *in, struct text_builder *out)
{
    uint32_t origin = 0;
    for (size_t i = 0; i < in->len; i++) {
        char c[4];
        if (((unsigned char)in->p[i] & 0xc0) != 0x80)
            origin = text_origin(in, i);
        text_builder_add(out, c, utf8_put(byte_level_char((uint8_t)in->p[i]), c), origin);
    }
}

/* The end of the grapheme cluster at i. */
static size_t cluster_end(const struct text *in, size_t i)
{
    const unsigned char *p = (const unsigned char *)in->p;
    utf8proc_int32_t state = 0;
    unsigned len;
    uint32_t c = utf8_char(p + i, &len);
    for (i += len; i < in->len; i += len) {
        uint32_t next = utf8_char(p + i, &len);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)c, (utf8proc_int32_t)next, &state))
            break;
        c = next;
    }
    return i;
}

static bool map_chars(const struct charsmap *m, const struct text *in, size_t start, size_t end,
                      struct text_builder *out)
{
    size_t len;
    const char *with = charsmap_find(m, in->p + start, end - start, &len);
    if (with)
        text_builder_add(out, with, len, text_origin(in, start));
    return with != NULL;
}

/* A short cluster as a whole, any other by its characters. */
static void step_charsmap(const struct charsmap *m, const struct text *in, struct text_builder *out)
{
    enum { SHORT_CLUSTER = 5 };
    for (size_t i = 0, end; i < in->len; i = end) {
        end = cluster_end(in, i);
        if (end - i <= SHORT_CLUSTER && map_chars(m, in, i, end, out))
            continue;
        for (size_t at = i, next; at < end; at = next) {
            next = at + utf8_length((unsigned char)in->p[at]);
            if (!map_chars(m, in, at, next, out))
                text_builder_copy(out, in, at, next);
        }
    }
}

static int step_apply(const struct normalizer *n, struct normalizer_scratch *s,
                      const struct step *step, struct text *t, struct text_builder *out,
                      struct err *err)
{
    switch (step->kind) {
    case STEP_FORM:
        return normal_form(&n->normal_forms, &s->form, step->form, t, out);
    case STEP_LOWERCASE:
        step_lowercase(t, out);
        return 1;
    case STEP_REPLACE:
        return step_replace(step, t, out);
    case STEP_REGEX:
        return step_regex(step, s, t, out, err);
    case STEP_PREPEND:
        if (!t->len)
            return 0;
        text_builder_add(out, step->content, step->content_len, text_origin(t, 0));
        text_builder_copy(out, t, 0, t->len);
        return 1;
    case STEP_STRIP:
        return step_strip(n, step, t, t);
    case STEP_FILTER:
        step_filter(n, step, t, out);
        return 1;
    case STEP_IDEOGRAPHS:
        step_ideographs(t, out);
        return 1;
    case STEP_CHARSMAP:
        step_charsmap(&step->charsmap, t, out);
        return 1;
    case STEP_SP:
        sp_normalize(&step->rules, t, out);
        return 1;
    default:
        step_bytes(t, out);
        return 1;
    }
}

int normalize(const struct normalizer *n, struct normalizer_scratch *s, const struct text *in,
              struct text *out, struct err *err)
{
    struct text t = *in;
    size_t builder = 0;
    for (size_t i = 0; i < n->n_steps; i++) {
        text_builder_clear(&s->texts[builder]);
        int rc = step_apply(n, s, &n->steps[i], &t, &s->texts[builder], err);
        if (rc < 0)
            return -1;
        if (!rc)
            continue;
        t = text_builder_text(&s->texts[builder]);
        builder ^= 1;
        if (t.len > UINT32_MAX)
            return err_set(err, "normalizer: the text grows over 4 GiB");
    }
    *out = t;
    return 0;
}
