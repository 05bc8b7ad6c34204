/* A vocabulary from a GGUF file's metadata (ggml's docs/gguf.md, "Tokenizer"). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "text/gguf_pre.h"
#include "text/json_field.h"
#include "text/scan.h"
#include "text/tokenizer_parts.h"

enum token_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

static const struct gguf_value *find_strings(const struct gguf *g, const char *key)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->type == GGUF_ARRAY && v->element == GGUF_STRING ? v : NULL;
}

/* The token types, which older files lack: all are normal then. */
static int find_types(const struct gguf *g, size_t n, const struct gguf_value **types,
                      struct err *err)
{
    *types = gguf_find(g, "tokenizer.ggml.token_type");
    if (!*types)
        return 0;
    if ((*types)->type != GGUF_ARRAY || (*types)->element != GGUF_I32 || (*types)->n != n)
        return err_set(err, "tokenizer.ggml.token_type is no array of %zu int32", n);
    return 0;
}

static int load_tokens(struct tokenizer *t, const struct gguf_value *tokens,
                       const struct gguf_value *types, struct err *err)
{
    for (size_t i = 0; i < tokens->n; i++) {
        const struct gguf_string *s = &tokens->strings[i];
        int type = types ? (int)gguf_array_number(types, i) : NORMAL;
        if (type == UNUSED)
            continue;
        if (i > VOCAB_MAX_ID || vocab_add(&t->vocab, (uint32_t)i, s->p, s->len, err))
            return err_prefix(err, "tokenizer.ggml.tokens");
    }
    return 0;
}

static int load_added(struct tokenizer *t, const struct gguf_value *tokens,
                      const struct gguf_value *types, struct err *err)
{
    for (size_t i = 0; types && i < tokens->n; i++) {
        int type = (int)gguf_array_number(types, i);
        if (type != CONTROL && type != USER_DEFINED && type != UNKNOWN)
            continue;
        struct added_token token = {
            .content = (char *)vocab_string(&t->vocab, (uint32_t)i, NULL),
            .len = tokens->strings[i].len,
            .id = (uint32_t)i,
            .special = type != USER_DEFINED,
        };
        if (tokenizer_add_token(t, token, err))
            return -1;
    }
    return 0;
}

static int load_merges(struct tokenizer *t, const struct gguf *g, bool ignore_merges,
                       struct err *err)
{
    const struct gguf_value *merges = find_strings(g, "tokenizer.ggml.merges");
    struct bpe_options o = {.bytes = true, .ignore_merges = ignore_merges, .unk = -1};
    if (!merges)
        return err_set(err, "no tokenizer.ggml.merges");
    t->bpe = bpe_new(&t->vocab, &o, merges->n, err);
    if (!t->bpe)
        return -1;
    for (size_t i = 0; i < merges->n; i++) {
        const struct gguf_string *s = &merges->strings[i];
        /* A byte-level token holds no space, so the first is the one between. */
        const char *space = s->len ? memchr(s->p, ' ', s->len) : NULL;
        if (!space)
            return err_set(err, "tokenizer.ggml.merges: merge %zu is not two tokens", i);
        size_t left = (size_t)(space - s->p);
        if (bpe_add_merge_strings(t->bpe, s->p, left, space + 1, s->len - left - 1, err))
            return err_prefix(err, "tokenizer.ggml.merges");
    }
    return 0;
}

static int set_pipeline(struct tokenizer *t, const struct gguf_pre *pre, struct err *err)
{
    struct buf spec = BUF_INIT;
    buf_addf(&spec, "{\"pre_tokenizer\":%s,\"decoder\":{\"type\":\"ByteLevel\"}",
             pre->pre_tokenizer);
    if (pre->normalizer)
        buf_addf(&spec, ",\"normalizer\":{\"type\":\"%s\"}", pre->normalizer);
    buf_addstr(&spec, "}");
    json_t *json = json_parse(spec.p, spec.len, err);
    int rc = json ? tokenizer_set_pipeline(t, json, true, err) : -1;
    json_decref(json);
    buf_release(&spec);
    return rc;
}

static int64_t special_id(const struct tokenizer *t, const struct gguf *g, const char *key)
{
    uint64_t id;
    if (!gguf_get_u64(g, key, &id) || id >= t->vocab.n)
        return -1;
    return vocab_string(&t->vocab, (uint32_t)id, NULL) ? (int64_t)id : -1;
}

static void load_ends(struct tokenizer *t, const struct gguf *g, bool add_bos, bool add_eos)
{
    static const char *const ends[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    t->bos = special_id(t, g, "tokenizer.ggml.bos_token_id");
    t->eos = special_id(t, g, "tokenizer.ggml.eos_token_id");
    if (t->eos >= 0)
        id_list_add(&t->end_ids, (uint32_t)t->eos);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        int64_t id = special_id(t, g, ends[i]);
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

static int load_gpt2(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    const struct gguf_value *tokens = find_strings(g, "tokenizer.ggml.tokens"), *types;
    struct gguf_string name = {"default", 7};
    gguf_get_string(g, "tokenizer.ggml.pre", &name);
    const struct gguf_pre *pre = gguf_pre_find(name.p, name.len);
    if (!pre)
        return err_set(err, "tokenizer.ggml.pre \"%.*s\" is not supported", (int)name.len, name.p);
    if (!tokens)
        return err_set(err, "no tokenizer.ggml.tokens");
    if (find_types(g, tokens->n, &types, err) || load_tokens(t, tokens, types, err) ||
        load_merges(t, g, pre->ignore_merges, err) || set_pipeline(t, pre, err) ||
        load_added(t, tokens, types, err))
        return -1;
    load_ends(t, g, pre->add_bos, false);
    return 0;
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
    else if (model.len == 4 && !memcmp(model.p, "gpt2", 4))
        rc = load_gpt2(t, g, err);
    else
        rc =
            err_set(err, "tokenizer.ggml.model \"%.*s\" is not supported", (int)model.len, model.p);
    if (!rc)
        load_templates(t, g);
    gguf_close(g);
    return rc ? err_prefix(err, "%s", path) : 0;
}
