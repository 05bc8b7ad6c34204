/* tokenizer.json, the format of the `tokenizers` library. */
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "text/json_field.h"
#include "text/tokenizer_cache.h"
#include "text/tokenizer_parts.h"
#include "text/vocab_json.h"

static int load_bpe(struct tokenizer *t, const json_t *model, const struct vocab_json *v,
                    bool bytes, struct err *err)
{
    struct bpe_options o = {
        .bytes = bytes,
        .ignore_merges = json_field_bool(model, "ignore_merges", false),
        .byte_fallback = json_field_bool(model, "byte_fallback", false),
        .fuse_unk = json_field_bool(model, "fuse_unk", false),
        .unk = -1,
        .prefix = json_field_string(model, "continuing_subword_prefix", NULL),
        .suffix = json_field_string(model, "end_of_word_suffix", NULL),
    };
    const char *unk = json_field_string(model, "unk_token", NULL);
    if (json_number_value(json_object_get(model, "dropout")) > 0)
        return err_set(err, "dropout is not supported");
    if (!v->has_merges)
        return err_set(err, "no merges");
    if (unk && (o.unk = vocab_find(&t->vocab, unk, strlen(unk))) < 0)
        return err_set(err, "unk_token \"%s\" is not in the vocabulary", unk);
    if (t->image) {
        t->bpe = bpe_restore(&t->vocab, &o, t->image);
        return t->bpe ? 0 : -1;
    }
    t->bpe = bpe_new(&t->vocab, &o, v->n_merges, err);
    return t->bpe ? bpe_add_merges(t->bpe, (const uint32_t(*)[2])v->merges, v->n_merges, err) : -1;
}

static int load_unigram(struct tokenizer *t, const json_t *model, const struct vocab_json *v,
                        struct err *err)
{
    json_int_t unk = json_field_integer(model, "unk_id", -1);
    if (!v->has_scores)
        return err_set(err, "vocab has no scores");
    if (unk >= (json_int_t)t->vocab.n)
        return err_set(err, "unk_id %lld is not in the vocabulary", (long long)unk);
    struct unigram_options o = {
        .unk = unk,
        .byte_fallback = json_field_bool(model, "byte_fallback", false),
    };
    t->unigram = t->image ? unigram_restore(&t->vocab, &o, t->image)
                          : unigram_new(&t->vocab, v->scores, &o, err);
    return t->unigram ? 0 : -1;
}

static int load_wordpiece(struct tokenizer *t, const json_t *model, bool whole, struct err *err)
{
    const char *unk = json_field_string(model, "unk_token", whole ? "<unk>" : "[UNK]");
    json_int_t most = json_field_integer(model, "max_input_chars_per_word", 100);
    struct wordpiece_options o = {
        .unk = vocab_find(&t->vocab, unk, strlen(unk)),
        .prefix = json_field_string(model, "continuing_subword_prefix", "##"),
        .most = most < 0 ? 0 : (size_t)most,
        .whole = whole,
    };
    t->wordpiece = wordpiece_new(&t->vocab, &o, err);
    return t->wordpiece ? 0 : -1;
}

static int load_model(struct tokenizer *t, const char *type, const json_t *model,
                      struct vocab_json *v, bool bytes, struct err *err)
{
    t->vocab = v->vocab; /* it's the tokenizer's now */
    vocab_init(&v->vocab);
    if (!strcmp(type, "Unigram"))
        return load_unigram(t, model, v, err);
    if (v->has_scores)
        return err_set(err, "vocab is no object");
    if (!strcmp(type, "BPE"))
        return load_bpe(t, model, v, bytes, err);
    if (!strcmp(type, "WordPiece"))
        return load_wordpiece(t, model, false, err);
    if (!strcmp(type, "WordLevel"))
        return load_wordpiece(t, model, true, err);
    return err_set(err, "not supported");
}

/* Files from before the field was there are told apart by what else they have. */
static const char *model_type(const json_t *model, const struct vocab_json *v)
{
    const char *type = json_field_string(model, "type", NULL);
    if (type)
        return type;
    if (v->has_merges)
        return "BPE";
    if (json_object_get(model, "unk_id"))
        return "Unigram";
    return json_object_get(model, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

/*
 * Whether words can go to the model as bytes: ByteLevel spells each byte as one character, and
 * nothing in the model looks at characters otherwise.
 */
static bool model_takes_bytes(const json_t *spec, const json_t *model)
{
    return pretokenizer_ends_in_bytes(json_object_get(spec, "pre_tokenizer")) &&
           !*json_field_string(model, "continuing_subword_prefix", "") &&
           !*json_field_string(model, "end_of_word_suffix", "") &&
           !json_field_string(model, "unk_token", NULL) &&
           !json_field_bool(model, "byte_fallback", false);
}

/* The id of an added token: the vocabulary's, else the next one behind all ids. What the file says
 * must agree, as it does in every file that `tokenizers` wrote. */
static int load_added_token(struct tokenizer *t, const json_t *spec, uint32_t *next,
                            struct err *err)
{
    const json_t *content = json_object_get(spec, "content");
    json_int_t stated = json_field_integer(spec, "id", -1);
    if (!json_is_string(content))
        return err_set(err, "an added token has no content");
    struct added_token token = {
        .content = (char *)json_string_value(content),
        .len = json_string_length(content),
        .special = json_field_bool(spec, "special", false),
        .single_word = json_field_bool(spec, "single_word", false),
        .lstrip = json_field_bool(spec, "lstrip", false),
        .rstrip = json_field_bool(spec, "rstrip", false),
    };
    token.normalized = json_field_bool(spec, "normalized", !token.special);
    const struct added_token *before = added_by_content(&t->added, token.content, token.len);
    int64_t id = before ? (int64_t)before->id : vocab_find(&t->vocab, token.content, token.len);
    if (id < 0)
        id = (*next)++;
    if (stated >= 0 && stated != id)
        return err_set(err, "added token \"%s\" has id %lld, but its place is %lld", token.content,
                       (long long)stated, (long long)id);
    token.id = (uint32_t)id;
    return tokenizer_add_token(t, token, err);
}

static int load_added_tokens(struct tokenizer *t, const json_t *list, struct err *err)
{
    const json_t *one;
    size_t i;
    uint32_t next = (uint32_t)t->vocab.n_tokens;
    json_array_foreach(list, i, one)
    {
        if (load_added_token(t, one, &next, err))
            return -1;
    }
    return 0;
}

/*
 * Post-processors: for one sequence, all of them come to ids before and behind it.
 */

static void surround(struct tokenizer *t, const struct id_list *before, const struct id_list *after)
{
    struct id_list *old = &t->before, new = {NULL, 0, 0};
    for (size_t i = 0; i < before->n + old->n; i++) {
        ARRAY_GROW(new.v, new.n, new.cap);
        new.v[new.n++] = i < before->n ? before->v[i] : old->v[i - before->n];
    }
    free(old->v);
    *old = new;
    for (size_t i = 0; i < after->n; i++) {
        ARRAY_GROW(t->after.v, t->after.n, t->after.cap);
        t->after.v[t->after.n++] = after->v[i];
    }
}

static int add_special_ids(struct id_list *l, const json_t *special, const char *name,
                           struct err *err)
{
    const json_t *ids = json_object_get(json_object_get(special, name), "ids"), *id;
    size_t i;
    if (!json_is_array(ids))
        return err_set(err, "special token \"%s\" has no ids", name);
    json_array_foreach(ids, i, id)
    {
        json_int_t n = json_is_integer(id) ? json_integer_value(id) : -1;
        if (n < 0 || n > VOCAB_MAX_ID)
            return err_set(err, "special token \"%s\" has a bad id", name);
        ARRAY_GROW(l->v, l->n, l->cap);
        l->v[l->n++] = (uint32_t)n;
    }
    return 0;
}

static int set_template(struct tokenizer *t, const json_t *spec, struct err *err)
{
    const json_t *special = json_object_get(spec, "special_tokens"), *part;
    struct id_list sides[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    size_t i, seen = 0;
    int rc = 0;
    json_array_foreach(json_object_get(spec, "single"), i, part)
    {
        const char *token = json_field_string(json_object_get(part, "SpecialToken"), "id", NULL);
        const char *sequence = json_field_string(json_object_get(part, "Sequence"), "id", NULL);
        if (token)
            rc = rc ? rc : add_special_ids(&sides[seen > 0], special, token, err);
        else if (sequence && !strcmp(sequence, "A") && !seen)
            seen++;
        else if (!rc)
            rc = err_set(err, "single is not special tokens around one $A");
    }
    if (!rc && !seen)
        rc = err_set(err, "single has no $A");
    if (!rc)
        surround(t, &sides[0], &sides[1]);
    free(sides[0].v);
    free(sides[1].v);
    return rc;
}

/* [CLS] text [SEP], each given as ["token", id]. */
static int set_cls_sep(struct tokenizer *t, const json_t *spec, struct err *err)
{
    json_int_t cls = json_integer_value(json_array_get(json_object_get(spec, "cls"), 1));
    json_int_t sep = json_integer_value(json_array_get(json_object_get(spec, "sep"), 1));
    if (cls < 0 || cls > VOCAB_MAX_ID || sep < 0 || sep > VOCAB_MAX_ID)
        return err_set(err, "cls or sep has a bad id");
    uint32_t first = (uint32_t)cls, last = (uint32_t)sep;
    struct id_list before = {&first, 1, 1}, after = {&last, 1, 1};
    surround(t, &before, &after);
    return 0;
}

static int set_postprocessor(struct tokenizer *t, const json_t *spec, unsigned depth,
                             struct err *err)
{
    const char *type = json_field_string(spec, "type", NULL);
    const json_t *one;
    size_t i;
    int rc = 0;
    if (!spec || json_is_null(spec))
        return 0;
    if (!type || depth > 8)
        return err_set(err, type ? "nested too deeply" : "no type");
    if (!strcmp(type, "Sequence")) {
        json_array_foreach(json_object_get(spec, "processors"), i, one)
        {
            if (set_postprocessor(t, one, depth + 1, err))
                return -1;
        }
        return 0;
    }
    if (!strcmp(type, "TemplateProcessing"))
        rc = set_template(t, spec, err);
    else if (!strcmp(type, "BertProcessing") || !strcmp(type, "RobertaProcessing"))
        rc = set_cls_sep(t, spec, err);
    else if (strcmp(type, "ByteLevel"))
        rc = err_set(err, "not supported");
    return rc ? err_prefix(err, "%s", type) : 0;
}

int tokenizer_set_postprocessor(struct tokenizer *t, const json_t *spec, struct err *err)
{
    return set_postprocessor(t, spec, 0, err) ? err_prefix(err, "post_processor") : 0;
}

static int load_spec(struct tokenizer *t, struct vocab_json *v, struct err *err)
{
    const json_t *spec = v->rest, *model = json_object_get(spec, "model");
    if (!json_is_object(model) || !v->has_vocab)
        return err_set(err, "no model with a vocabulary");
    const char *type = model_type(model, v);
    bool bytes = !strcmp(type, "BPE") && model_takes_bytes(spec, model);
    if (load_model(t, type, model, v, bytes, err))
        return err_prefix(err, "model %s", type);
    if (tokenizer_set_pipeline(t, spec, bytes, err) ||
        load_added_tokens(t, json_object_get(spec, "added_tokens"), err))
        return -1;
    return tokenizer_set_postprocessor(t, json_object_get(spec, "post_processor"), err);
}

/* From the cache; false where that can't be, and then t is as it was. */
static bool load_cached(struct tokenizer *t, const struct tokenizer_cache *cache)
{
    struct vocab_json v;
    struct err ignored;
    t->image = image_open(cache->path.p, cache->key);
    if (!t->image)
        return false;
    bool loaded = tokenizer_cache_restore(t->image, &v) && !load_spec(t, &v, &ignored);
    vocab_json_release(&v);
    if (!loaded)
        tokenizer_clear(t);
    return loaded;
}

static int load_file(struct tokenizer *t, const char *text, size_t len,
                     const struct tokenizer_cache *cache, struct err *err)
{
    struct vocab_json v;
    if (vocab_json_read(&v, text, len, err))
        return -1;
    int rc = load_spec(t, &v, err);
    if (!rc && cache)
        tokenizer_cache_keep(cache, t, &v);
    vocab_json_release(&v);
    return rc;
}

int tokenizer_load_json(struct tokenizer *t, const char *path, struct err *err)
{
    struct tokenizer_cache cache;
    struct mapfile file;
    int rc = 0;
    if (mapfile_open(&file, path, err))
        return -1;
    const char *text = file.size ? (const char *)file.p : "";
    bool caches = tokenizer_cache_find(&cache, text, file.size);
    if (!caches || !load_cached(t, &cache))
        rc = load_file(t, text, file.size, caches ? &cache : NULL, err);
    tokenizer_cache_release(&cache);
    mapfile_close(&file);
    return rc ? err_prefix(err, "%s", path) : 0;
}
