/* A vocabulary from a GGUF file's metadata (ggml's docs/gguf.md, "Tokenizer"). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/gguf_pre.h"
#include "text/json_field.h"
#include "text/tokenizer_gguf_internal.h"

enum { BERT_LONGEST_WORD = 100 }; /* characters; a longer one is unknown */

static const struct gguf_value *find_strings(const struct gguf *g, const char *key)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type == GGUF_ARRAY && v->element == GGUF_STRING ? v : NULL;
}

int gguf_tokens_find(struct gguf_tokens *l, const struct gguf *g, struct err *err)
{
    l->texts = find_strings(g, "tokenizer.ggml.tokens");
    l->types = gguf_find(g, "tokenizer.ggml.token_type");
    if (!l->texts)
        return err_set(err, "no tokenizer.ggml.tokens");
    if (l->types && (l->types->type != GGUF_ARRAY || l->types->element != GGUF_I32 ||
                     l->types->n != l->texts->n))
        return err_set(err, "tokenizer.ggml.token_type is no array of %zu int32", l->texts->n);
    return 0;
}

int gguf_load_tokens(struct tokenizer *t, const struct gguf_tokens *l, struct err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < l->texts->n; i++)
        bytes += l->texts->strings[i].len + 1;
    vocab_reserve(&t->vocab, l->texts->n, bytes);
    for (size_t i = 0; i < l->texts->n; i++) {
        const struct gguf_string *s = &l->texts->strings[i];
        if (gguf_token_type(l, i) == GGUF_TOKEN_UNUSED)
            continue;
        if (s->len && utf8_valid(s->p, s->len) < s->len)
            return err_set(err, "tokenizer.ggml.tokens: token %zu is not UTF-8", i);
        if (i > VOCAB_MAX_ID || vocab_add(&t->vocab, (uint32_t)i, s->p, s->len, err))
            return err_prefix(err, "tokenizer.ggml.tokens");
    }
    return 0;
}

int gguf_load_added(struct tokenizer *t, const struct gguf_tokens *l, struct err *err)
{
    for (size_t i = 0; l->types && i < l->texts->n; i++) {
        int type = gguf_token_type(l, i);
        if (type != GGUF_TOKEN_CONTROL && type != GGUF_TOKEN_USER && type != GGUF_TOKEN_UNKNOWN)
            continue;
        struct added_token token = {.id = (uint32_t)i, .special = type != GGUF_TOKEN_USER};
        token.content = (char *)(uintptr_t)vocab_string(&t->vocab, (uint32_t)i, &token.len);
        if (tokenizer_add_token(t, token, err))
            return -1;
    }
    return 0;
}

/* Looks up the tokens of merges[first, first + n), n up to half of VOCAB_MANY. */
static int find_merges(const struct tokenizer *t, const struct gguf_string *merges, size_t first,
                       size_t n, uint32_t (*out)[2], struct err *err)
{
    struct vocab_view tokens[VOCAB_MANY];
    int64_t ids[VOCAB_MANY];
    for (size_t i = 0; i < n; i++) {
        const struct gguf_string *s = &merges[first + i];
        /* No token holds a space, so the first is the one between. */
        const char *space = s->len ? memchr(s->p, ' ', s->len) : NULL;
        if (!space)
            return err_set(err, "merge %zu is not two tokens", first + i);
        tokens[2 * i] = (struct vocab_view){s->p, (size_t)(space - s->p)};
        tokens[2 * i + 1] = (struct vocab_view){space + 1, s->len - tokens[2 * i].len - 1};
    }
    vocab_find_many(&t->vocab, tokens, 2 * n, ids);
    for (size_t i = 0; i < 2 * n; i++) {
        if (ids[i] < 0)
            return err_set(err, "merge %zu: \"%.*s\" is not in the vocabulary", first + i / 2,
                           (int)(tokens[i].len < 100 ? tokens[i].len : 100), tokens[i].p);
        out[first + i / 2][i & 1] = (uint32_t)ids[i];
    }
    return 0;
}

static int load_merges(struct tokenizer *t, const struct gguf *g, const struct gguf_pre *pre,
                       struct err *err)
{
    const struct gguf_value *v = find_strings(g, "tokenizer.ggml.merges");
    struct bpe_options o = {.bytes = !pre->plain,
                            .byte_fallback = pre->plain,
                            .ignore_merges = pre->ignore_merges,
                            .unk = -1};
    if (!v)
        return err_set(err, "no tokenizer.ggml.merges");
    uint32_t(*merges)[2] = mem_array(v->n + 1, sizeof *merges, "merges", err);
    int rc = merges ? 0 : -1;
    for (size_t i = 0; !rc && i < v->n; i += VOCAB_MANY / 2)
        rc = find_merges(t, v->strings, i, v->n - i < VOCAB_MANY / 2 ? v->n - i : VOCAB_MANY / 2,
                         merges, err);
    if (!rc) {
        t->bpe = bpe_new(&t->vocab, &o, v->n, err);
        rc = t->bpe ? bpe_add_merges(t->bpe, (const uint32_t(*)[2])merges, v->n, err) : -1;
    }
    free(merges);
    return rc ? err_prefix(err, "tokenizer.ggml.merges") : 0;
}

static int set_pipeline(struct tokenizer *t, const struct gguf_pre *pre, struct err *err)
{
    static const char plain_decoder[] =
        "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
        "\"\xe2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]}";
    struct buf spec = BUF_INIT;
    buf_addf(&spec, "{\"normalizer\":%s,\"pre_tokenizer\":%s,\"decoder\":%s}",
             pre->normalizer ? pre->normalizer : "null", pre->pre_tokenizer,
             pre->plain ? plain_decoder : "{\"type\":\"ByteLevel\"}");
    json_t *json = json_parse(spec.p, spec.len, err);
    int rc = json ? tokenizer_set_pipeline(t, json, !pre->plain, err) : -1;
    json_decref(json);
    buf_release(&spec);
    return rc;
}

int64_t gguf_special_id(const struct tokenizer *t, const struct gguf *g, const char *key)
{
    uint64_t id;
    if (!gguf_get_u64(g, key, &id) || id >= t->vocab.n)
        return -1;
    return vocab_string(&t->vocab, (uint32_t)id, NULL) ? (int64_t)id : -1;
}

int64_t gguf_unknown_id(const struct tokenizer *t, const struct gguf *g)
{
    int64_t id = gguf_special_id(t, g, "tokenizer.ggml.unknown_token_id");
    return id >= 0 ? id : vocab_find(&t->vocab, "<unk>", 5);
}

void gguf_load_ends(struct tokenizer *t, const struct gguf *g, bool add_bos, bool add_eos)
{
    static const char *const ends[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    t->bos = gguf_special_id(t, g, "tokenizer.ggml.bos_token_id");
    t->eos = gguf_special_id(t, g, "tokenizer.ggml.eos_token_id");
    if (t->eos >= 0)
        id_list_add(&t->end_ids, (uint32_t)t->eos);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        int64_t id = gguf_special_id(t, g, ends[i]);
        if (id >= 0)
            id_list_add(&t->end_ids, (uint32_t)id);
    }
    gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &add_bos);
    gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &add_eos);
    if (add_bos && t->bos >= 0)
        id_list_add(&t->before, (uint32_t)t->bos);
    if (add_eos && t->eos >= 0)
        id_list_add(&t->after, (uint32_t)t->eos);
}

static void load_templates(struct tokenizer *t, const struct gguf *g)
{
    static const char prefix[] = "tokenizer.chat_template";
    const size_t len = sizeof prefix - 1;
    for (size_t i = 0; i < gguf_count(g); i++) {
        const struct gguf_value *v = gguf_at(g, i);
        if (v->type != GGUF_STRING || v->key.len < len || memcmp(v->key.p, prefix, len))
            continue;
        if (v->key.len == len) {
            tokenizer_add_template(t, "default", v->s.p, v->s.len);
        } else if (v->key.p[len] == '.') {
            char *name = xmemdup0(v->key.p + len + 1, v->key.len - len - 1);
            tokenizer_add_template(t, name, v->s.p, v->s.len);
            free(name);
        }
    }
}

/* `name`: of tokenizer.ggml.pre where the file doesn't say. */
static int load_bpe(struct tokenizer *t, const struct gguf *g, const char *fallback,
                    struct err *err)
{
    struct gguf_tokens tokens;
    struct gguf_string name = {fallback, strlen(fallback)};
    gguf_get_string(g, "tokenizer.ggml.pre", &name);
    const struct gguf_pre *pre = gguf_pre_find(name.p, name.len);
    if (!pre)
        return err_set(err, "tokenizer.ggml.pre \"%.*s\" is not supported", (int)name.len, name.p);
    if (gguf_tokens_find(&tokens, g, err) || gguf_load_tokens(t, &tokens, err) ||
        load_merges(t, g, pre, err) || set_pipeline(t, pre, err) ||
        gguf_load_added(t, &tokens, err))
        return -1;
    gguf_load_ends(t, g, pre->add_bos, false);
    return 0;
}

/* ---- bert ---- */

static const char word_start[] = "\xe2\x96\x81";

/* A token as BERT's own vocabulary has it: llama.cpp writes U+2581 before what begins a word and
 * leaves out the "##" before what doesn't. */
static void bert_token(struct buf *out, const struct gguf_string *s)
{
    bool bracketed = s->len > 1 && s->p[0] == '[' && s->p[s->len - 1] == ']';
    size_t skip = s->len > 3 && !memcmp(s->p, word_start, 3) ? 3 : 0;
    buf_clear(out);
    if (!skip && !bracketed)
        buf_addstr(out, "##");
    if (s->len > skip)
        buf_add(out, s->p + skip, s->len - skip);
}

static int load_bert_tokens(struct tokenizer *t, const struct gguf_tokens *tokens, struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; i < tokens->texts->n && !rc; i++) {
        bert_token(&text, &tokens->texts->strings[i]);
        if (utf8_valid(text.p, text.len) < text.len)
            rc = err_set(err, "token %zu is not UTF-8", i);
        else if (gguf_token_type(tokens, i) != GGUF_TOKEN_UNUSED)
            rc = i > VOCAB_MAX_ID ? err_set(err, "more than %u tokens", VOCAB_MAX_ID)
                                  : vocab_add(&t->vocab, (uint32_t)i, text.p, text.len, err);
    }
    buf_release(&text);
    return rc ? err_prefix(err, "tokenizer.ggml.tokens") : 0;
}

/* As BertTokenizer has it. */
static int set_bert_pipeline(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    bool lowercase = true;
    gguf_get_bool(g, "tokenizer.ggml.normalizer.lowercase", &lowercase);
    json_t *spec =
        json_pack("{s:{s:s,s:b}, s:{s:s}, s:{s:s,s:s,s:b}}", "normalizer", "type", "BertNormalizer",
                  "lowercase", lowercase, "pre_tokenizer", "type", "BertPreTokenizer", "decoder",
                  "type", "WordPiece", "prefix", "##", "cleanup", 1);
    int rc = tokenizer_set_pipeline(t, spec, false, err);
    json_decref(spec);
    return rc;
}

static int load_bert(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    struct gguf_tokens tokens;
    if (gguf_tokens_find(&tokens, g, err) || load_bert_tokens(t, &tokens, err))
        return -1;
    struct wordpiece_options o = {
        .unk = gguf_unknown_id(t, g), .prefix = "##", .most = BERT_LONGEST_WORD};
    if (o.unk < 0)
        o.unk = vocab_find(&t->vocab, "[UNK]", 5);
    t->wordpiece = wordpiece_new(&t->vocab, &o, err);
    if (!t->wordpiece || set_bert_pipeline(t, g, err) || gguf_load_added(t, &tokens, err))
        return -1;
    gguf_load_ends(t, g, true, false);
    int64_t sep = gguf_special_id(t, g, "tokenizer.ggml.seperator_token_id"); /* spelled so */
    if (sep >= 0)
        id_list_add(&t->after, (uint32_t)sep);
    return 0;
}

static bool is(const struct gguf_string *s, const char *name)
{
    return s->len == strlen(name) && !memcmp(s->p, name, s->len);
}

int tokenizer_load_gguf(struct tokenizer *t, const char *path, struct err *err)
{
    struct gguf_string model;
    struct gguf *g;
    if (gguf_open(&g, path, err))
        return -1;
    int rc;
    if (!gguf_get_string(g, "tokenizer.ggml.model", &model))
        rc = err_set(err, "no tokenizer.ggml.model");
    else if (is(&model, "gpt2"))
        rc = load_bpe(t, g, "default", err);
    else if (is(&model, "gemma4") || is(&model, "whitespace"))
        rc = load_bpe(t, g, is(&model, "gemma4") ? "gemma4" : "whitespace", err);
    else if (is(&model, "llama"))
        rc = gguf_load_spm(t, g, err);
    else if (is(&model, "t5"))
        rc = gguf_load_t5(t, g, err);
    else if (is(&model, "bert"))
        rc = load_bert(t, g, err);
    else
        rc =
            err_set(err, "tokenizer.ggml.model \"%.*s\" is not supported", (int)model.len, model.p);
    if (!rc)
        load_templates(t, g);
    gguf_close(g);
    return rc ? err_prefix(err, "%s", path) : 0;
}
