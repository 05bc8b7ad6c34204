/* tokenizer.* of a GGUF file from tokenizer.json, tokenizer_config.json and the chat templates. */
#include "model/gguf_meta.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "text/gguf_pre.h"

enum { TOKENIZER_LIMIT = 512 << 20, CONFIG_LIMIT = 64 << 20 };

enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

struct vocabulary {
    struct gguf_string *tokens; /* [n]; views of the JSON, or of `padding` */
    int32_t *types;             /* [n] */
    float *scores;              /* [n], SentencePiece only */
    size_t n;
    struct buf padding;
    struct gguf_string *merges; /* [n_merges] "left right", views of `merge_text` */
    size_t n_merges;
    struct buf merge_text;
};

/* The files that matter; each NULL where the folder has none. */
struct sources {
    json_t *tokenizer, *config;
    const json_t *model, *model_config; /* tokenizer.json's "model"; config.json */
    char *template;
    size_t template_len;
};

static const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* A file's JSON: of tokenizer_config.json, whole numbers may become reals, since the one that
 * stands for "no limit" there is larger than any integer type. NULL with *failed when it is there
 * and can't be read. */
static json_t *read_optional(const char *folder, const char *name, size_t limit, size_t flags,
                             bool *failed, struct err *err)
{
    struct buf path = BUF_INIT;
    json_t *v = NULL;
    buf_addf(&path, "%s/%s", folder, name);
    if (file_exists(path.p)) {
        size_t len;
        json_error_t problem;
        char *text = file_read(path.p, limit, &len, err);
        if (text) {
            v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags, &problem);
            if (!v)
                err_set(err, "%s:%d: %s", path.p, problem.line, problem.text);
        }
        free(text);
        *failed |= !v;
    }
    buf_release(&path);
    return v;
}

static int read_sources(struct sources *s, const struct checkpoint *c, struct err *err)
{
    const char *folder = checkpoint_path(c);
    bool failed = false;
    struct buf path = BUF_INIT;
    *s = (struct sources){0};
    s->tokenizer = read_optional(folder, "tokenizer.json", TOKENIZER_LIMIT, 0, &failed, err);
    if (!failed)
        s->config = read_optional(folder, "tokenizer_config.json", CONFIG_LIMIT,
                                  JSON_DECODE_INT_AS_REAL, &failed, err);
    s->model = json_object_get(s->tokenizer, "model");
    buf_addf(&path, "%s/chat_template.jinja", folder);
    if (!failed && file_exists(path.p)) {
        s->template = file_read(path.p, CONFIG_LIMIT, &s->template_len, err);
        failed = !s->template;
    }
    buf_release(&path);
    return failed ? -1 : 0;
}

static void release_sources(struct sources *s)
{
    json_decref(s->tokenizer);
    json_decref(s->config);
    free(s->template);
}

static int put_token(struct vocabulary *v, const char *token, size_t len, const json_t *id,
                     enum token_type type, struct err *err)
{
    json_int_t i = json_integer_value(id);
    if (!json_is_integer(id) || i < 0 || (uint64_t)i >= v->n)
        return err_set(err,
                       "token \"%.80s\" has id %" JSON_INTEGER_FORMAT
                       ", but the model's vocabulary is %zu",
                       token, i, v->n);
    v->tokens[i] = (struct gguf_string){token, len};
    v->types[i] = type;
    return 0;
}

/* Ids that no token has: llama.cpp wants a string for each row of the embedding. */
static void fill_holes(struct vocabulary *v)
{
    size_t *starts = xcalloc(v->n + 1, sizeof *starts);
    for (size_t i = 0; i < v->n; i++) {
        starts[i] = v->padding.len;
        if (!v->tokens[i].p)
            buf_addf(&v->padding, "[PAD%zu]", i);
    }
    starts[v->n] = v->padding.len;
    for (size_t i = 0; i < v->n; i++)
        if (!v->tokens[i].p) {
            v->tokens[i] =
                (struct gguf_string){v->padding.p + starts[i], starts[i + 1] - starts[i]};
            v->types[i] = UNUSED;
        }
    free(starts);
}

static bool is_byte_token(const char *s, size_t len)
{
    return len == 6 && !memcmp(s, "<0x", 3) && s[5] == '>' &&
           strspn(s + 3, "0123456789ABCDEF") == 2;
}

static int read_tokens(struct vocabulary *v, const struct sources *s, bool sentencepiece,
                       struct err *err)
{
    const json_t *vocab = json_object_get(s->model, "vocab");
    const char *token, *unk = text(s->model, "unk_token");
    json_t *id, *added;
    size_t i;
    if (!json_is_object(vocab))
        return err_set(err, "model.vocab is not an object");
    v->tokens = xcalloc(v->n, sizeof *v->tokens);
    v->types = xcalloc(v->n, sizeof *v->types);
    json_object_foreach((json_t *)(uintptr_t)vocab, token, id)
    {
        size_t len = strlen(token);
        bool byte = sentencepiece && is_byte_token(token, len);
        if (put_token(v, token, len, id, byte ? BYTE : NORMAL, err))
            return -1;
    }
    json_array_foreach(json_object_get(s->tokenizer, "added_tokens"), i, added)
    {
        const json_t *content = json_object_get(added, "content");
        bool special = json_is_true(json_object_get(added, "special"));
        if (!json_is_string(content))
            return err_set(err, "added_tokens[%zu] has no content", i);
        const char *string = json_string_value(content);
        bool unknown = sentencepiece && unk && !strcmp(unk, string);
        if (put_token(v, string, json_string_length(content), json_object_get(added, "id"),
                      unknown   ? UNKNOWN
                      : special ? CONTROL
                                : USER_DEFINED,
                      err))
            return -1;
    }
    fill_holes(v);
    return 0;
}

/* "left right" from either spelling. A space inside of a part would end it: byte-level vocabularies
 * spell it U+0120, and so does llama.cpp's converter. */
static int add_merge(struct buf *b, const json_t *merge, size_t i, struct err *err)
{
    if (json_is_string(merge)) {
        buf_add(b, json_string_value(merge), json_string_length(merge));
        return 0;
    }
    for (size_t part = 0; part < 2; part++) {
        const json_t *side = json_array_get(merge, part);
        if (!json_is_string(side) || json_array_size(merge) != 2)
            return err_set(err, "model.merges[%zu] is no pair of tokens", i);
        const char *p = json_string_value(side);
        if (part)
            buf_addch(b, ' ');
        for (size_t k = 0; k < json_string_length(side); k++)
            if (p[k] == ' ')
                buf_addutf8(b, 0x120);
            else
                buf_addch(b, p[k]);
    }
    return 0;
}

static int read_merges(struct vocabulary *v, const struct sources *s, struct err *err)
{
    const json_t *merges = json_object_get(s->model, "merges");
    size_t i;
    json_t *merge;
    if (!json_is_array(merges))
        return err_set(err, "model.merges is not an array");
    size_t *ends = xcalloc(json_array_size(merges), sizeof *ends);
    json_array_foreach((json_t *)(uintptr_t)merges, i, merge)
    {
        if (add_merge(&v->merge_text, merge, i, err)) {
            free(ends);
            return -1;
        }
        ends[i] = v->merge_text.len;
    }
    v->n_merges = json_array_size(merges);
    v->merges = xcalloc(v->n_merges, sizeof *v->merges);
    for (i = 0; i < v->n_merges; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        v->merges[i] = (struct gguf_string){v->merge_text.p + begin, ends[i] - begin};
    }
    free(ends);
    return 0;
}

/*
 * SentencePiece joins the neighbours whose union has the highest score; a BPE of tokenizer.json
 * joins the pair that comes first in its merges. So the n-th new token among the merges gets -n.
 * Tokens that no merge makes come last, where the order makes no difference.
 */
static void make_scores(struct vocabulary *v, const struct sources *s)
{
    const json_t *vocab = json_object_get(s->model, "vocab");
    size_t made = 0;
    v->scores = xcalloc(v->n, sizeof *v->scores);
    for (size_t i = 0; i < v->n; i++)
        v->scores[i] = 1; /* not yet */
    struct buf joined = BUF_INIT;
    for (size_t i = 0; i < v->n_merges; i++) {
        const struct gguf_string *m = &v->merges[i];
        const char *space = memchr(m->p, ' ', m->len);
        if (!space)
            continue;
        buf_clear(&joined);
        buf_add(&joined, m->p, (size_t)(space - m->p));
        buf_add(&joined, space + 1, m->len - (size_t)(space + 1 - m->p));
        const json_t *id = json_object_get(vocab, joined.p);
        if (json_is_integer(id) && v->scores[json_integer_value(id)] > 0)
            v->scores[json_integer_value(id)] = -(float)made++;
    }
    buf_release(&joined);
    for (size_t i = 0; i < v->n; i++)
        if (v->types[i] != NORMAL)
            v->scores[i] = 0;
        else if (v->scores[i] > 0)
            v->scores[i] = -(float)made++;
}

static int64_t id_of(const struct sources *s, const char *token)
{
    size_t i;
    json_t *added;
    json_array_foreach(json_object_get(s->tokenizer, "added_tokens"), i, added)
    {
        const char *content = text(added, "content");
        if (content && !strcmp(content, token))
            return json_integer_value(json_object_get(added, "id"));
    }
    const json_t *id = json_object_get(json_object_get(s->model, "vocab"), token);
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

/* A special token's string: as it is, or the content of an object. */
static const char *special_text(const struct sources *s, const char *key)
{
    const json_t *v = json_object_get(s->config, key);
    return json_is_object(v) ? text(v, "content") : json_string_value(v);
}

/* Special ids: by tokenizer_config.json's strings, else by config.json's numbers. */
static void add_special_ids(struct gguf_writer *w, const struct sources *s, size_t n)
{
    static const struct {
        const char *token, *id, *key;
    } kinds[] = {
        {"bos_token", "bos_token_id", "tokenizer.ggml.bos_token_id"},
        {"eos_token", "eos_token_id", "tokenizer.ggml.eos_token_id"},
        {"unk_token", "unk_token_id", "tokenizer.ggml.unknown_token_id"},
        {"sep_token", "sep_token_id", "tokenizer.ggml.seperator_token_id"}, /* so spelled there */
        {"pad_token", "pad_token_id", "tokenizer.ggml.padding_token_id"},
        {"cls_token", "cls_token_id", "tokenizer.ggml.cls_token_id"},
        {"mask_token", "mask_token_id", "tokenizer.ggml.mask_token_id"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *token = special_text(s, kinds[i].token);
        int64_t id = token && s->tokenizer ? id_of(s, token) : -1;
        const json_t *number = json_object_get(s->model_config, kinds[i].id);
        if (json_is_array(number))
            number = json_array_get(number, 0);
        if (id < 0 && json_is_integer(number))
            id = json_integer_value(number);
        if (id >= 0 && (uint64_t)id < n)
            gguf_writer_u32(w, kinds[i].key, (uint32_t)id);
    }
}

/* Whether the post-processor puts a special token first (last): those that TemplateProcessing's
 * "single" begins (ends) with. */
static bool template_adds(const json_t *processor, bool first)
{
    size_t i;
    json_t *inner;
    json_array_foreach(json_object_get(processor, "processors"), i,
                       inner) if (template_adds(inner, first)) return true;
    const json_t *single = json_object_get(processor, "single");
    size_t n = json_array_size(single);
    return n && json_object_get(json_array_get(single, first ? 0 : n - 1), "SpecialToken");
}

static void add_flags(struct gguf_writer *w, const struct sources *s)
{
    static const struct {
        const char *name, *key;
        bool first;
    } flags[] = {
        {"add_bos_token", "tokenizer.ggml.add_bos_token", true},
        {"add_eos_token", "tokenizer.ggml.add_eos_token", false},
    };
    const json_t *processor = json_object_get(s->tokenizer, "post_processor");
    bool templates = json_is_object(processor);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        const json_t *v = json_object_get(s->config, flags[i].name);
        /* What tokenizer.json does is what `tokenizers` does; the flag is read where it is silent.
         */
        bool adds = templates ? template_adds(processor, flags[i].first) : json_is_true(v);
        gguf_writer_bool(w, flags[i].key, adds);
    }
}

static void add_named_templates(struct gguf_writer *w, const json_t *list)
{
    size_t i, n = 0;
    json_t *item;
    struct gguf_string *names = xcalloc(json_array_size(list), sizeof *names);
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        const char *name = text(item, "name");
        const json_t *template = json_object_get(item, "template");
        struct buf key = BUF_INIT;
        if (!name || !json_is_string(template))
            continue;
        buf_addstr(&key, "tokenizer.chat_template");
        if (strcmp(name, "default") != 0) {
            buf_addf(&key, ".%s", name);
            names[n++] = (struct gguf_string){name, strlen(name)};
        }
        gguf_writer_string(w, key.p, json_string_value(template), json_string_length(template));
        buf_release(&key);
    }
    if (n)
        gguf_writer_strings(w, "tokenizer.chat_templates", names, n);
    free(names);
}

static void add_templates(struct gguf_writer *w, const struct sources *s)
{
    const json_t *inline_template = json_object_get(s->config, "chat_template");
    if (s->template)
        gguf_writer_string(w, "tokenizer.chat_template", s->template, s->template_len);
    else if (json_is_string(inline_template))
        gguf_writer_string(w, "tokenizer.chat_template", json_string_value(inline_template),
                           json_string_length(inline_template));
    else if (json_is_array(inline_template))
        add_named_templates(w, inline_template);
}

static bool mentions(const json_t *v, const char *type)
{
    size_t i;
    json_t *inner;
    const char *key, *own = text(v, "type");
    if (own && !strcmp(own, type))
        return true;
    if (json_is_array(v)) {
        json_array_foreach((json_t *)(uintptr_t)v, i, inner) if (mentions(inner, type)) return true;
    } else {
        json_object_foreach((json_t *)(uintptr_t)v, key,
                            inner) if (mentions(inner, type)) return true;
    }
    return false;
}

static int add_byte_level(struct gguf_writer *w, const struct sources *s, struct vocabulary *v,
                          const char *pre, struct err *err)
{
    const struct gguf_pre *known = gguf_pre_of(s->tokenizer);
    if (!pre && !known)
        return err_set(err,
                       "its pre_tokenizer is none that llama.cpp has a known name for (--pre NAME "
                       "sets one)");
    if (!pre)
        pre = known->name;
    if (read_tokens(v, s, false, err) || read_merges(v, s, err))
        return -1;
    gguf_writer_string(w, "tokenizer.ggml.model", "gpt2", 4);
    gguf_writer_string(w, "tokenizer.ggml.pre", pre, strlen(pre));
    gguf_writer_strings(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    gguf_writer_i32s(w, "tokenizer.ggml.token_type", v->types, v->n);
    gguf_writer_strings(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    return 0;
}

static int add_sentencepiece(struct gguf_writer *w, const struct sources *s, struct vocabulary *v,
                             const char *pre, struct err *err)
{
    const json_t *normalizer = json_object_get(s->tokenizer, "normalizer");
    const json_t *pre_tokenizer = json_object_get(s->tokenizer, "pre_tokenizer");
    const char *scheme = text(pre_tokenizer, "prepend_scheme");
    bool prefix = mentions(normalizer, "Prepend") || (mentions(pre_tokenizer, "Metaspace") &&
                                                      (!scheme || strcmp(scheme, "never") != 0));
    if (!pre)
        pre = "default";
    if (read_tokens(v, s, true, err) || read_merges(v, s, err))
        return -1;
    make_scores(v, s);
    gguf_writer_string(w, "tokenizer.ggml.model", "llama", 5);
    gguf_writer_string(w, "tokenizer.ggml.pre", pre, strlen(pre));
    gguf_writer_strings(w, "tokenizer.ggml.tokens", v->tokens, v->n);
    gguf_writer_f32s(w, "tokenizer.ggml.scores", v->scores, v->n);
    gguf_writer_i32s(w, "tokenizer.ggml.token_type", v->types, v->n);
    gguf_writer_bool(w, "tokenizer.ggml.add_space_prefix", prefix);
    return 0;
}

static int add_vocabulary(struct gguf_writer *w, const struct sources *s, size_t n, const char *pre,
                          struct err *err)
{
    const char *type = text(s->model, "type");
    struct vocabulary v = {.n = n};
    buf_init(&v.padding);
    buf_init(&v.merge_text);
    int status;
    if (type && strcmp(type, "BPE") != 0)
        status = err_set(err, "a tokenizer of type %s has no place in a llama GGUF file", type);
    else if (mentions(json_object_get(s->tokenizer, "pre_tokenizer"), "ByteLevel"))
        status = add_byte_level(w, s, &v, pre, err);
    else if (json_is_true(json_object_get(s->model, "byte_fallback")))
        status = add_sentencepiece(w, s, &v, pre, err);
    else
        status =
            err_set(err, "a BPE that is neither byte-level nor falls back to bytes has no place in "
                         "a GGUF file");
    /* The writer has copied everything. */
    free(v.tokens);
    free(v.types);
    free(v.scores);
    free(v.merges);
    buf_release(&v.padding);
    buf_release(&v.merge_text);
    return status;
}

int gguf_add_tokenizer(struct gguf_writer *w, const struct checkpoint *c,
                       const struct model_config *config, const char *pre, bool *found,
                       struct err *err)
{
    struct sources s;
    int status = read_sources(&s, c, err);
    *found = s.tokenizer != NULL;
    s.model_config = checkpoint_config(c);
    if (!status && !*found) {
        gguf_writer_string(w, "tokenizer.ggml.model", "no_vocab", 8);
    } else if (!status) {
        status = add_vocabulary(w, &s, config->vocab, pre, err);
        if (status)
            err_prefix(err, "%s/tokenizer.json", checkpoint_path(c));
    }
    if (!status && *found) {
        add_flags(w, &s);
        add_templates(w, &s);
    }
    if (!status)
        add_special_ids(w, &s, config->vocab);
    release_sources(&s);
    return status;
}
