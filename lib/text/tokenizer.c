#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/gguf.h"
#include "text/tokenizer_parts.h"

struct tokenizer_scratch {
    struct normalizer_scratch *normalizer;
    struct pretokenizer_scratch *pretokenizer;
    struct word_cache *words;
    struct bpe_scratch *bpe; /* what the model needs */
    struct unigram_scratch *unigram;
    struct wordpiece_scratch *wordpiece;
    void *model;
    struct text_builder repaired;
};

static void start(struct tokenizer *t)
{
    *t = (struct tokenizer){.bos = -1, .eos = -1};
    unicode_init(&t->unicode);
    vocab_init(&t->vocab);
    added_init(&t->added);
}

struct tokenizer *tokenizer_new(void)
{
    struct tokenizer *t = xmalloc(sizeof *t);
    start(t);
    return t;
}

static void release(struct tokenizer *t)
{
    bpe_free(t->bpe);
    unigram_free(t->unigram);
    wordpiece_free(t->wordpiece);
    sp_units_free(t->sp_units);
    pretokenizer_free(t->pretokenizer);
    normalizer_free(t->normalizer);
    detokenizer_free(t->detokenizer);
    added_release(&t->added);
    vocab_release(&t->vocab);
    unicode_release(&t->unicode);
    free(t->before.v);
    free(t->after.v);
    free(t->end_ids.v);
    free(t->special);
    for (size_t i = 0; i < t->n_templates; i++) {
        free(t->templates[i].name);
        free(t->templates[i].text);
    }
    free(t->templates);
    image_close(t->image);
}

void tokenizer_clear(struct tokenizer *t)
{
    release(t);
    start(t);
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    release(t);
    free(t);
}

static int load(struct tokenizer *t, const struct tokenizer_source *s, const char *path,
                struct err *err)
{
    switch (s->kind) {
    case TOKENIZER_JSON:
        return tokenizer_load_json(t, s->path.p, err);
    case TOKENIZER_TIKTOKEN:
        return tokenizer_load_tiktoken(t, s->path.p, err);
    case TOKENIZER_SP:
        return tokenizer_load_sp(t, s->path.p, err);
    case TOKENIZER_GGUF:
        return tokenizer_load_gguf(t, s->path.p, err);
    case TOKENIZER_NONE:
        break;
    }
    return err_set(err, "%s: has no tokenizer: no tokenizer.json, tokenizer.model or *.tiktoken",
                   path);
}

int tokenizer_load(struct tokenizer **out, const char *path, struct err *err)
{
    struct tokenizer_source source;
    struct tokenizer *t = tokenizer_new();
    int rc = tokenizer_find(&source, path, err);
    if (!rc)
        rc = load(t, &source, path, err);
    if (!rc && source.folder && source.kind != TOKENIZER_JSON)
        rc = tokenizer_load_added(t, path, err);
    if (!rc && source.folder)
        rc = tokenizer_load_config(t, path, err);
    buf_release(&source.path);
    if (rc || tokenizer_finish(t, err)) {
        tokenizer_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

static int gguf_has_tokenizer(const char *path, struct err *err)
{
    struct gguf_string model;
    struct gguf *g;
    if (gguf_open(&g, path, err))
        return -1;
    int found =
        gguf_get_string(g, "tokenizer.ggml.model", &model) && gguf_find(g, "tokenizer.ggml.tokens");
    gguf_close(g);
    return found;
}

int tokenizer_exists(const char *path, struct err *err)
{
    struct tokenizer_source source;
    int rc = tokenizer_find(&source, path, err);
    if (!rc)
        rc = source.kind == TOKENIZER_GGUF ? gguf_has_tokenizer(source.path.p, err)
                                           : source.kind != TOKENIZER_NONE;
    buf_release(&source.path);
    return rc;
}

bool tokenizer_is_file(const char *path)
{
    struct tokenizer_source source;
    struct err ignored;
    bool is =
        !tokenizer_find(&source, path, &ignored) && !source.folder && source.kind != TOKENIZER_GGUF;
    buf_release(&source.path);
    return is;
}

int tokenizer_finish(struct tokenizer *t, struct err *err)
{
    if (t->bpe)
        t->model = bpe_model(t->bpe);
    else if (t->unigram)
        t->model = unigram_model(t->unigram);
    else if (t->wordpiece)
        t->model = wordpiece_model(t->wordpiece);
    else
        t->model = sp_units_model(t->sp_units);
    if (t->bpe && bpe_cuts(t->bpe) && pretokenizer_add_cuts(t->pretokenizer, bpe_cuts(t->bpe), err))
        return -1;
    added_finish(&t->added);
    t->size = t->vocab.n;
    if (t->added.n && t->added.tokens[t->added.n - 1].id >= t->size)
        t->size = t->added.tokens[t->added.n - 1].id + 1;
    if (!t->size)
        return err_set(err, "the vocabulary is empty");
    t->special = xcalloc(t->size / 8 + 1, 1);
    for (size_t i = 0; i < t->added.n; i++) {
        const struct added_token *token = &t->added.tokens[i];
        t->special[token->id / 8] |= (uint8_t)(token->special << token->id % 8);
    }
    tokenizer_find_end_ids(t);
    return 0;
}

struct tokenizer_scratch *tokenizer_scratch_new(const struct tokenizer *t)
{
    struct tokenizer_scratch *s = xcalloc(1, sizeof *s);
    s->normalizer = normalizer_scratch_new(t->normalizer);
    s->pretokenizer = pretokenizer_scratch_new(t->pretokenizer);
    s->words = word_cache_new();
    if (t->bpe)
        s->model = s->bpe = bpe_scratch_new();
    else if (t->unigram)
        s->model = s->unigram = unigram_scratch_new();
    else if (t->wordpiece)
        s->model = s->wordpiece = wordpiece_scratch_new();
    text_builder_init(&s->repaired);
    return s;
}

void tokenizer_scratch_free(struct tokenizer_scratch *s)
{
    if (!s)
        return;
    normalizer_scratch_free(s->normalizer);
    pretokenizer_scratch_free(s->pretokenizer);
    word_cache_free(s->words);
    bpe_scratch_free(s->bpe);
    unigram_scratch_free(s->unigram);
    wordpiece_scratch_free(s->wordpiece);
    text_builder_release(&s->repaired);
    free(s);
}

/*
 * Encoding: the text between tokens found as they are is normalised; the text between tokens found
 * in that is cut into words, and each word goes to the model.
 */

struct encoding {
    const struct tokenizer *t;
    struct tokenizer_scratch *s;
    struct added_rules rules;
    struct token_list *out;
};

static int encode_words(struct encoding *e, const struct text *text, struct err *err)
{
    const struct piece *pieces;
    struct text words;
    size_t n;
    int rc;
    pretokenize_start(e->s->pretokenizer, text);
    while ((rc = pretokenize_next(e->t->pretokenizer, e->s->pretokenizer, &words, &pieces, &n,
                                  err)) > 0)
        if (words_encode(&e->t->model, e->s->words, e->s->model, &words, pieces, n, e->out, err))
            return -1;
    return rc;
}

static int encode_between(struct encoding *e, const struct text *text, bool normalized,
                          int (*rest)(struct encoding *, const struct text *, struct err *),
                          struct err *err)
{
    struct added_match m;
    size_t pos = 0, searched = 0;
    while (added_next(&e->t->added, normalized, &e->rules, text, pos, &searched, &m)) {
        struct text gap = text_slice(text, pos, m.start > pos ? m.start : pos);
        if (gap.len && rest(e, &gap, err))
            return -1;
        token_list_reserve(e->out, 1);
        token_list_put(e->out, m.token->id, text_origin(text, m.start < pos ? pos - 1 : m.start));
        pos = m.end;
    }
    struct text gap = text_slice(text, pos, text->len);
    return gap.len ? rest(e, &gap, err) : 0;
}

static int encode_raw(struct encoding *e, const struct text *text, struct err *err)
{
    struct text normal;
    if (normalize(e->t->normalizer, e->s->normalizer, text, &normal, err))
        return -1;
    return encode_between(e, &normal, true, encode_words, err);
}

/* The text with U+FFFD for what is no UTF-8. */
static struct text repair(struct text_builder *b, const struct text *in, size_t valid)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t i = valid, part;
    text_builder_clear(b);
    text_builder_copy(b, in, 0, valid);
    while (i < in->len) {
        if (!utf8_well_formed(in->p + i, in->len - i, &part)) {
            text_builder_add(b, replacement, 3, text_origin(in, i));
            i += part;
        }
        valid = utf8_valid(in->p + i, in->len - i);
        text_builder_copy(b, in, i, i + valid);
        i += valid;
    }
    return text_builder_text(b);
}

static void put_all(struct token_list *out, const struct id_list *ids, size_t offset)
{
    token_list_reserve(out, ids->n);
    for (size_t i = 0; i < ids->n; i++)
        token_list_put(out, ids->v[i], (uint32_t)offset);
}

int tokenizer_encode_around(const struct tokenizer *t, struct tokenizer_scratch *s, const char *p,
                            size_t len, unsigned flags, const struct tokenizer_span *plain,
                            size_t n_plain, struct token_list *out, struct err *err)
{
    struct encoding e = {
        t, s, {&t->unicode, (flags & TOKENIZER_ALLOW_SPECIAL) != 0, plain, n_plain}, out};
    struct text text = {p, len, NULL, 0};
    if (len >= UINT32_MAX)
        return err_set(err, "a text of %zu bytes is more than 4 GiB", len);
    size_t valid = utf8_valid(p, len);
    if (valid < len)
        text = repair(&s->repaired, &text, valid);
    if (text.len >= UINT32_MAX)
        return err_set(err, "a text of %zu bytes is more than 4 GiB", text.len);
    if (flags & TOKENIZER_ADD_SPECIAL)
        put_all(out, &t->before, 0);
    if (encode_between(&e, &text, false, encode_raw, err))
        return -1;
    if (flags & TOKENIZER_ADD_SPECIAL)
        put_all(out, &t->after, len);
    return 0;
}

int tokenizer_encode(const struct tokenizer *t, struct tokenizer_scratch *s, const char *text,
                     size_t len, unsigned flags, struct token_list *out, struct err *err)
{
    return tokenizer_encode_around(t, s, text, len, flags, NULL, 0, out, err);
}

/* An added token that is looked for in normalised text is decoded from what it's there. */
static const char *decoded_string(const struct tokenizer *t, uint32_t id, size_t *len)
{
    const struct added_token *added = added_by_id(&t->added, id);
    if (!added)
        return vocab_string(&t->vocab, id, len);
    *len = added->normal ? added->normal_len : added->len;
    return added->normal ? added->normal : added->content;
}

/* By its string, as `tokenizers` has it: what the normaliser changed is no longer special. */
static bool is_special_string(const struct tokenizer *t, const char *p, size_t len)
{
    const struct added_token *added = added_by_content(&t->added, p, len);
    return added && added->special;
}

int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_special,
                     struct buf *out, struct err *err)
{
    struct token_strings tokens;
    token_strings_init(&tokens);
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *p = decoded_string(t, ids[i], &len);
        if (p && !(skip_special && is_special_string(t, p, len)))
            token_strings_add(&tokens, p, len);
    }
    int rc = detokenize(t->detokenizer, &tokens, out, err);
    token_strings_release(&tokens);
    return rc;
}

/*
 * What a tokenizer knows of itself.
 */

size_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->size;
}

const char *tokenizer_token(const struct tokenizer *t, uint32_t id, size_t *len)
{
    const struct added_token *added = added_by_id(&t->added, id);
    if (!added)
        return vocab_string(&t->vocab, id, len);
    if (len)
        *len = added->len;
    return added->content;
}

int64_t tokenizer_id(const struct tokenizer *t, const char *token, size_t len)
{
    const struct added_token *added = added_by_content(&t->added, token, len);
    return added ? (int64_t)added->id : vocab_find(&t->vocab, token, len);
}

struct tokenizer_specials tokenizer_specials(const struct tokenizer *t)
{
    return (struct tokenizer_specials){t->special, t->size};
}

bool tokenizer_is_special(const struct tokenizer *t, uint32_t id)
{
    const struct tokenizer_specials specials = tokenizer_specials(t);
    return tokenizer_specials_has(&specials, id);
}

int64_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int64_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

size_t tokenizer_end_ids(const struct tokenizer *t, const uint32_t **ids)
{
    *ids = t->end_ids.v;
    return t->end_ids.n;
}

const char *tokenizer_chat_template(const struct tokenizer *t, const char *name, size_t *len)
{
    if (!name)
        name = "default";
    for (size_t i = 0; i < t->n_templates; i++) {
        if (strcmp(t->templates[i].name, name))
            continue;
        if (len)
            *len = t->templates[i].len;
        return t->templates[i].text;
    }
    return NULL;
}

static char *put_u64(char *p, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

/* Of id and length, little-endian, and the string, in order of id. */
void tokenizer_hash(const struct tokenizer *t, char hex[HASH_HEX])
{
    enum { CHUNK = 64 * 1024 };
    struct hash *h = hash_new();
    struct buf chunk = BUF_INIT;
    size_t added = 0;
    for (uint32_t id = 0; id < t->size; id++) {
        size_t len;
        const char *p = vocab_string(&t->vocab, id, &len);
        if (added < t->added.n && t->added.tokens[added].id == id) {
            p = t->added.tokens[added].content;
            len = t->added.tokens[added++].len;
        }
        if (!p)
            continue;
        buf_reserve(&chunk, 16 + len);
        memcpy(put_u64(put_u64(chunk.p + chunk.len, id), len), p, len);
        chunk.len += 16 + len;
        if (chunk.len > CHUNK) {
            hash_add(h, chunk.p, chunk.len);
            buf_clear(&chunk);
        }
    }
    hash_add(h, chunk.p, chunk.len);
    hash_hex(h, hex);
    buf_release(&chunk);
    hash_free(h);
}

/*
 * Building.
 */

void id_list_add(struct id_list *l, uint32_t id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i] == id)
            return;
    ARRAY_GROW(l->v, l->n, l->cap);
    l->v[l->n++] = id;
}

int tokenizer_set_pipeline(struct tokenizer *t, const json_t *spec, bool byte_model,
                           struct err *err)
{
    if (normalizer_new(&t->normalizer, json_object_get(spec, "normalizer"), &t->unicode, err) ||
        pretokenizer_new(&t->pretokenizer, json_object_get(spec, "pre_tokenizer"), byte_model,
                         &t->unicode, err) ||
        detokenizer_new(&t->detokenizer, json_object_get(spec, "decoder"), err))
        return -1;
    return 0;
}

static int normalize_token(struct tokenizer *t, struct added_token *token, struct err *err)
{
    struct text in = {token->content, token->len, NULL, 0}, out;
    if (!token->normalized || normalizer_is_identity(t->normalizer))
        return 0;
    struct normalizer_scratch *s = normalizer_scratch_new(t->normalizer);
    int rc = normalize(t->normalizer, s, &in, &out, err);
    if (!rc && (out.len != in.len || memcmp(out.p, in.p, in.len))) {
        token->normal = xmemdup0(out.p, out.len);
        token->normal_len = out.len;
    }
    normalizer_scratch_free(s);
    return rc;
}

int tokenizer_add_token(struct tokenizer *t, struct added_token token, struct err *err)
{
    if (!token.len)
        return 0;
    if (token.id > VOCAB_MAX_ID)
        return err_set(err, "added token \"%s\": id %u is above %u", token.content, token.id,
                       VOCAB_MAX_ID);
    if (normalize_token(t, &token, err))
        return err_prefix(err, "added token \"%s\"", token.content);
    added_put(&t->added, &token);
    free(token.normal);
    return 0;
}

void tokenizer_add_template(struct tokenizer *t, const char *name, const char *p, size_t len)
{
    for (size_t i = 0; i < t->n_templates; i++)
        if (!strcmp(t->templates[i].name, name))
            return;
    ARRAY_GROW(t->templates, t->n_templates, t->templates_cap);
    t->templates[t->n_templates++] = (struct chat_template){xstrdup(name), xmemdup0(p, len), len};
}

void tokenizer_find_end_ids(struct tokenizer *t)
{
    static const char *const names[] = {
        "<|im_end|>",      "<|eot_id|>",         "<|eom_id|>",
        "<|end|>",         "<end_of_turn>",      "<|END_OF_TURN_TOKEN|>",
        "<|return|>",      "<|call|>",           "<|endoftext|>",
        "<|end_of_text|>", "<end_of_utterance>", "<EOT>",
        "<turn|>",
    };
    if (t->eos >= 0)
        id_list_add(&t->end_ids, (uint32_t)t->eos);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct added_token *token = added_by_content(&t->added, names[i], strlen(names[i]));
        if (token && token->special)
            id_list_add(&t->end_ids, token->id);
    }
}
