/* tokenizer.json, tokenizer_config.json, the chat templates and generation_config.json from the
 * metadata of a GGUF file. */
#include "model/hf_files.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/json.h"
#include "text/gguf_pre.h"

enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

/* The metadata of a vocabulary, proved to fit together. */
struct vocabulary {
    const struct gguf_value *tokens, *types, *scores; /* types and scores NULL: absent */
    int64_t bos, eos, unk, pad;
    bool add_bos, add_eos;
};

static int type_of(const struct vocabulary *v, size_t id)
{
    return v->types ? (int)gguf_array_number(v->types, id) : NORMAL;
}

static bool is_text(const struct gguf_string *s, const char *text)
{
    return s->len == strlen(text) && !memcmp(s->p, text, s->len);
}

static json_t *json_of(const struct gguf_string *s)
{
    return json_stringn(s->p, s->len); /* NULL for bytes that are no UTF-8 */
}

static int64_t token_id(const struct gguf *g, const struct vocabulary *v, const char *key)
{
    uint64_t id;
    return gguf_get_u64(g, key, &id) && id < v->tokens->n ? (int64_t)id : -1;
}

static int read_vocabulary(struct vocabulary *v, const struct gguf *g, bool add_bos,
                           struct err *err)
{
    v->tokens = gguf_find(g, "tokenizer.ggml.tokens");
    v->types = gguf_find(g, "tokenizer.ggml.token_type");
    v->scores = gguf_find(g, "tokenizer.ggml.scores");
    if (!v->tokens || v->tokens->type != GGUF_ARRAY || v->tokens->element != GGUF_STRING)
        return err_set(err, "tokenizer.ggml.tokens is no array of strings");
    if (v->types && (v->types->type != GGUF_ARRAY || v->types->n != v->tokens->n ||
                     (v->types->element != GGUF_I32 && v->types->element != GGUF_U32)))
        return err_set(err, "tokenizer.ggml.token_type is no array of %zu int32", v->tokens->n);
    if (v->scores && (v->scores->type != GGUF_ARRAY || v->scores->n != v->tokens->n ||
                      v->scores->element != GGUF_F32))
        return err_set(err, "tokenizer.ggml.scores is no array of %zu float32", v->tokens->n);
    v->bos = token_id(g, v, "tokenizer.ggml.bos_token_id");
    v->eos = token_id(g, v, "tokenizer.ggml.eos_token_id");
    v->unk = token_id(g, v, "tokenizer.ggml.unknown_token_id");
    v->pad = token_id(g, v, "tokenizer.ggml.padding_token_id");
    v->add_bos = add_bos;
    v->add_eos = false;
    gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &v->add_bos);
    gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &v->add_eos);
    return 0;
}

/* model.vocab: every token but those that only fill up the embedding. */
static json_t *make_vocab(const struct vocabulary *v, struct err *err)
{
    json_t *vocab = json_object();
    for (size_t i = 0; i < v->tokens->n; i++) {
        const struct gguf_string *s = &v->tokens->strings[i];
        if (type_of(v, i) == UNUSED)
            continue;
        char *key = xmemdup0(s->p, s->len);
        bool fits = strlen(key) == s->len && !json_object_get(vocab, key) &&
                    !json_object_set_new(vocab, key, json_integer((json_int_t)i));
        free(key);
        if (!fits) {
            json_decref(vocab);
            err_set(err, "tokenizer.ggml.tokens: token %zu is no UTF-8, or there twice", i);
            return NULL;
        }
    }
    return vocab;
}

static json_t *make_added(const struct vocabulary *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->tokens->n; i++) {
        int type = type_of(v, i);
        if (type != CONTROL && type != USER_DEFINED && type != UNKNOWN)
            continue;
        json_array_append_new(
            list, json_pack("{s:I, s:o, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content",
                            json_of(&v->tokens->strings[i]), "single_word", 0, "lstrip", 0,
                            "rstrip", 0, "normalized", 0, "special", type != USER_DEFINED));
    }
    return list;
}

/* What puts BOS before and EOS behind a text. NULL where nothing does. */
static json_t *make_post_processor(const struct vocabulary *v)
{
    const struct {
        bool add;
        int64_t id;
        bool first;
    } ends[] = {{v->add_bos, v->bos, true}, {v->add_eos, v->eos, false}};
    json_t *single = json_pack("[{s:{s:s, s:i}}]", "Sequence", "id", "A", "type_id", 0);
    json_t *pair = json_pack("[{s:{s:s, s:i}}, {s:{s:s, s:i}}]", "Sequence", "id", "A", "type_id",
                             0, "Sequence", "id", "B", "type_id", 1);
    json_t *specials = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        if (!ends[i].add || ends[i].id < 0)
            continue;
        const struct gguf_string *s = &v->tokens->strings[ends[i].id];
        char *token = xmemdup0(s->p, s->len);
        for (int type = 0; type < 2; type++) {
            json_t *special =
                json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", token, "type_id", type);
            /* first: before A, and before B, which is then behind A */
            size_t at = ends[i].first ? (type ? json_array_size(pair) - 1 : 0)
                                      : (type ? json_array_size(pair) : json_array_size(pair) - 1);
            json_array_insert(pair, at, special);
            if (!type)
                json_array_insert(single, ends[i].first ? 0 : json_array_size(single), special);
            json_decref(special);
        }
        json_object_set_new(specials, token,
                            json_pack("{s:s, s:[I], s:[s]}", "id", token, "ids",
                                      (json_int_t)ends[i].id, "tokens", token));
        free(token);
    }
    bool any = json_object_size(specials) > 0;
    json_t *p = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single,
                          "pair", pair, "special_tokens", specials);
    if (any)
        return p;
    json_decref(p);
    return NULL;
}

/* The parts that all tokenizer.json have, but for model. */
static json_t *make_frame(const struct vocabulary *v)
{
    json_t *post = make_post_processor(v);
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:n, s:o}", "version", "1.0", "truncation",
                     "padding", "added_tokens", make_added(v), "normalizer", "pre_tokenizer",
                     "post_processor", post ? post : json_null());
}

static json_t *make_merges(const struct gguf *g, struct err *err)
{
    const struct gguf_value *v = gguf_find(g, "tokenizer.ggml.merges");
    if (!v || v->type != GGUF_ARRAY || v->element != GGUF_STRING) {
        err_set(err, "tokenizer.ggml.merges is no array of strings");
        return NULL;
    }
    json_t *merges = json_array();
    for (size_t i = 0; i < v->n; i++)
        if (json_array_append_new(merges, json_of(&v->strings[i]))) {
            err_set(err, "tokenizer.ggml.merges: merge %zu is no UTF-8", i);
            json_decref(merges);
            return NULL;
        }
    return merges;
}

static json_t *make_decoder(const struct gguf_pre *pre)
{
    if (!pre->plain)
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                         "trim_offsets", 1, "use_regex", 1);
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]}", "type", "Sequence", "decoders",
                     "type", "Replace", "pattern", "String", "\u2581", "content", " ", "type",
                     "ByteFallback", "type", "Fuse");
}

/* `fallback`: what tokenizer.ggml.pre is where the file doesn't say. */
static json_t *bpe_tokenizer(const struct gguf *g, struct vocabulary *v, const char *fallback,
                             struct err *err)
{
    struct gguf_string name = {fallback, strlen(fallback)};
    gguf_get_string(g, "tokenizer.ggml.pre", &name);
    const struct gguf_pre *pre = gguf_pre_find(name.p, name.len);
    if (!pre) {
        err_set(err, "tokenizer.ggml.pre \"%.*s\" is not known",
                (int)(name.len < 60 ? name.len : 60), name.p);
        return NULL;
    }
    if (read_vocabulary(v, g, pre->add_bos, err))
        return NULL;
    json_t *vocab = make_vocab(v, err), *merges = vocab ? make_merges(g, err) : NULL;
    if (!merges) {
        json_decref(vocab);
        return NULL;
    }
    json_t *t = make_frame(v);
    if (pre->normalizer)
        json_object_set_new(t, "normalizer", json_loads(pre->normalizer, 0, NULL));
    json_object_set_new(t, "pre_tokenizer", json_loads(pre->pre_tokenizer, JSON_DECODE_ANY, NULL));
    json_object_set_new(t, "decoder", make_decoder(pre));
    json_object_set_new(t, "model",
                        json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type",
                                  "BPE", "dropout", "unk_token", "continuing_subword_prefix",
                                  "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", pre->plain,
                                  "ignore_merges", pre->ignore_merges, "vocab", vocab, "merges",
                                  merges));
    return t;
}

/* One way to make a token out of two. */
struct union_of {
    uint32_t left, right, whole;
    float score;
};

static int compare_unions(const void *a, const void *b)
{
    const struct union_of *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->whole != y->whole)
        return x->whole < y->whole ? -1 : 1;
    return (x->left > y->left) - (x->left < y->left);
}

/*
 * SentencePiece joins any two neighbours whose union is a token, the highest score first: each such
 * pair is a merge, in the order of scores.
 */
static json_t *merges_of_scores(const struct vocabulary *v, const json_t *vocab)
{
    struct union_of *list = NULL;
    size_t n = 0, cap = 0;
    for (size_t i = 0; i < v->tokens->n; i++) {
        const struct gguf_string *s = &v->tokens->strings[i];
        if (type_of(v, i) != NORMAL)
            continue;
        char *left = xmemdup0(s->p, s->len);
        for (size_t k = s->len; k-- > 1;) {
            if ((s->p[k] & 0xc0) == 0x80) /* inside of a character */
                continue;
            left[k] = 0;
            const json_t *a = json_object_get(vocab, left);
            const json_t *b = a ? json_object_getn(vocab, s->p + k, s->len - k) : NULL;
            if (!b || type_of(v, (size_t)json_integer_value(a)) != NORMAL ||
                type_of(v, (size_t)json_integer_value(b)) != NORMAL)
                continue;
            ARRAY_GROW(list, n, cap);
            list[n++] =
                (struct union_of){(uint32_t)json_integer_value(a), (uint32_t)json_integer_value(b),
                                  (uint32_t)i, (float)gguf_array_number(v->scores, i)};
        }
        free(left);
    }
    if (n)
        qsort(list, n, sizeof *list, compare_unions);
    json_t *merges = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(merges,
                              json_pack("[o, o]", json_of(&v->tokens->strings[list[i].left]),
                                        json_of(&v->tokens->strings[list[i].right])));
    free(list);
    return merges;
}

/* The spelling of Llama 2's tokenizer.json. */
static json_t *sentencepiece_tokenizer(const struct gguf *g, struct vocabulary *v, struct err *err)
{
    bool prefix = true;
    if (read_vocabulary(v, g, true, err))
        return NULL;
    if (!v->scores) {
        err_set(err, "tokenizer.ggml.scores is missing");
        return NULL;
    }
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &prefix);
    json_t *vocab = make_vocab(v, err);
    if (!vocab)
        return NULL;
    json_t *t = make_frame(v);
    json_t *normalizers = json_pack("[{s:s, s:{s:s}, s:s}]", "type", "Replace", "pattern", "String",
                                    " ", "content", "\u2581");
    json_t *decoders =
        json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                  "\u2581", "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (prefix) {
        json_array_insert_new(normalizers, 0,
                              json_pack("{s:s, s:s}", "type", "Prepend", "prepend", "\u2581"));
        json_array_append_new(decoders, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip",
                                                  "content", " ", "start", 1, "stop", 0));
    }
    json_object_set_new(t, "normalizer",
                        json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", normalizers));
    json_object_set_new(t, "decoder",
                        json_pack("{s:s, s:o}", "type", "Sequence", "decoders", decoders));
    json_t *merges = merges_of_scores(v, vocab);
    json_object_set_new(
        t, "model",
        json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout",
                  "unk_token", v->unk >= 0 ? json_of(&v->tokens->strings[v->unk]) : json_null(),
                  "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 1, "byte_fallback",
                  1, "ignore_merges", 0, "vocab", vocab, "merges", merges));
    return t;
}

/* Compact: half the size, and nobody reads 50,000 lines. */
static int write_compact(struct outdir *dir, const char *name, const json_t *v, struct err *err)
{
    struct buf text = BUF_INIT;
    json_add(&text, v);
    buf_addch(&text, '\n');
    int status = file_write(outdir_file(dir, name), text.p, text.len, err);
    buf_release(&text);
    return status;
}

static void set_token(json_t *config, const char *key, const struct vocabulary *v, int64_t id)
{
    if (id >= 0)
        json_object_set_new(config, key, json_of(&v->tokens->strings[id]));
}

/* Templates with names, as transformers keeps several: a list in tokenizer_config.json. */
static void add_templates(json_t *config, const struct gguf *g)
{
    static const char prefix[] = "tokenizer.chat_template.";
    const size_t len = sizeof prefix - 1;
    struct gguf_string plain;
    json_t *list = json_array();
    for (size_t i = 0; i < gguf_count(g); i++) {
        const struct gguf_value *v = gguf_at(g, i);
        if (v->type == GGUF_STRING && v->key.len > len && !memcmp(v->key.p, prefix, len))
            json_array_append_new(list, json_pack("{s:o, s:o}", "name",
                                                  json_stringn(v->key.p + len, v->key.len - len),
                                                  "template", json_of(&v->s)));
    }
    if (json_array_size(list) && gguf_get_string(g, "tokenizer.chat_template", &plain)) {
        json_array_insert_new(
            list, 0, json_pack("{s:s, s:o}", "name", "default", "template", json_of(&plain)));
        json_object_set(config, "chat_template", list);
    }
    json_decref(list);
}

static int write_tokenizer_config(struct outdir *dir, const struct gguf *g,
                                  const struct vocabulary *v, struct err *err)
{
    uint64_t length;
    json_t *c = json_object();
    json_object_set_new(c, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
    json_object_set_new(c, "clean_up_tokenization_spaces", json_false());
    set_token(c, "bos_token", v, v->bos);
    set_token(c, "eos_token", v, v->eos);
    set_token(c, "unk_token", v, v->unk);
    set_token(c, "pad_token", v, v->pad);
    json_object_set_new(c, "add_bos_token", json_boolean(v->add_bos));
    json_object_set_new(c, "add_eos_token", json_boolean(v->add_eos));
    if (gguf_get_u64(g, "llama.context_length", &length))
        json_object_set_new(c, "model_max_length", json_integer((json_int_t)length));
    add_templates(c, g);
    int status = hf_write_json(outdir_file(dir, "tokenizer_config.json"), c, err);
    json_decref(c);
    return status;
}

/* Where generation begins and ends; a turn's end that GGUF names counts too. */
static int write_generation_config(struct outdir *dir, const struct gguf *g,
                                   const struct vocabulary *v, struct err *err)
{
    static const char *const more[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    json_t *c = json_object(), *ends = json_array();
    if (v->bos >= 0)
        json_object_set_new(c, "bos_token_id", json_integer(v->bos));
    if (v->eos >= 0)
        json_array_append_new(ends, json_integer(v->eos));
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        int64_t id = token_id(g, v, more[i]);
        if (id >= 0 && id != v->eos)
            json_array_append_new(ends, json_integer(id));
    }
    if (json_array_size(ends) == 1)
        json_object_set(c, "eos_token_id", json_array_get(ends, 0));
    else if (json_array_size(ends))
        json_object_set(c, "eos_token_id", ends);
    if (v->pad >= 0)
        json_object_set_new(c, "pad_token_id", json_integer(v->pad));
    int status = hf_write_json(outdir_file(dir, "generation_config.json"), c, err);
    json_decref(ends);
    json_decref(c);
    return status;
}

static json_t *make_tokenizer(const struct gguf *g, struct vocabulary *v, bool *there,
                              struct err *err)
{
    struct gguf_string model;
    *there = gguf_get_string(g, "tokenizer.ggml.model", &model) && !is_text(&model, "no_vocab");
    if (!*there)
        return NULL;
    if (is_text(&model, "gpt2"))
        return bpe_tokenizer(g, v, "default", err);
    if (is_text(&model, "gemma4") || is_text(&model, "whitespace"))
        return bpe_tokenizer(g, v, is_text(&model, "gemma4") ? "gemma4" : "whitespace", err);
    if (is_text(&model, "llama"))
        return sentencepiece_tokenizer(g, v, err);
    err_set(err, "tokenizer.ggml.model \"%.*s\" is not supported",
            (int)(model.len < 60 ? model.len : 60), model.p);
    return NULL;
}

json_t *hf_tokenizer(const struct gguf *g, bool *there, struct err *err)
{
    struct vocabulary v;
    return make_tokenizer(g, &v, there, err);
}

int hf_write_tokenizer(struct outdir *dir, const struct gguf *g, struct err *err)
{
    struct gguf_string template;
    struct vocabulary v;
    bool there;
    json_t *t = make_tokenizer(g, &v, &there, err);
    if (!t)
        return there ? -1 : 0;
    int status = write_compact(dir, "tokenizer.json", t, err);
    json_decref(t);
    if (status || write_tokenizer_config(dir, g, &v, err) ||
        write_generation_config(dir, g, &v, err))
        return -1;
    if (gguf_get_string(g, "tokenizer.chat_template", &template))
        return file_write(outdir_file(dir, "chat_template.jinja"), template.p, template.len, err);
    return 0;
}
