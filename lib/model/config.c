#include "model/config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "formats/gguf.h"
#include "model/names.h"

/* Keys of config.json that never change what a trained decoder computes. */
static const char *const harmless_keys[] = {
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "max_window_layers",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "vllm_config",
};

/* A reader over config.json's object that remembers which keys it was asked for. */
struct config_reader {
    const json_t *object;
    const char *where; /* for messages */
    const char *asked[64];
    size_t n_asked;
    struct err *err;
    bool failed;
};

static const json_t *look_up(struct config_reader *r, const char *key)
{
    if (r->n_asked < ARRAY_SIZE(r->asked))
        r->asked[r->n_asked++] = key;
    const json_t *v = json_object_get(r->object, key);
    return v && !json_is_null(v) ? v : NULL;
}

static void fail(struct config_reader *r, const char *key, const char *expected)
{
    if (!r->failed)
        err_set(r->err, "%s: \"%s\": expected %s", r->where, key, expected);
    r->failed = true;
}

/* A whole number from 1 (or 0 where fallback is 0) to 2^31. fallback -1: the key is required. */
static size_t read_size(struct config_reader *r, const char *key, int64_t fallback)
{
    const json_t *v = look_up(r, key);
    if (!v && fallback >= 0)
        return (size_t)fallback;
    if (!v || !json_is_integer(v) || json_integer_value(v) < (fallback != 0) ||
        json_integer_value(v) > INT32_MAX) {
        fail(r, key, v ? "a positive whole number" : "a value, but it is missing");
        return 1;
    }
    return (size_t)json_integer_value(v);
}

static double read_number(struct config_reader *r, const char *key, double fallback)
{
    const json_t *v = look_up(r, key);
    if (!v && !isnan(fallback))
        return fallback;
    if (!v || !json_is_number(v) || !isfinite(json_number_value(v))) {
        fail(r, key, v ? "a number" : "a value, but it is missing");
        return 1;
    }
    return json_number_value(v);
}

static bool read_bool(struct config_reader *r, const char *key, bool fallback)
{
    const json_t *v = look_up(r, key);
    if (!v)
        return fallback;
    if (!json_is_boolean(v))
        fail(r, key, "true or false");
    return json_is_true(v);
}

static const char *read_string(struct config_reader *r, const char *key, const char *fallback)
{
    const json_t *v = look_up(r, key);
    if (!v)
        return fallback;
    if (!json_is_string(v)) {
        fail(r, key, "a string");
        return fallback;
    }
    return json_string_value(v);
}

/* A token id, or the first of a list of them; -1 when absent. */
static int64_t read_token(struct config_reader *r, const char *key)
{
    const json_t *v = look_up(r, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

/* Every key must have been asked for, be known as harmless, or say "nothing". */
static int check_keys(const struct config_reader *r, const char *const *harmless, size_t n)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)r->object, key, value)
    {
        bool known = json_is_null(value) || json_is_false(value);
        for (size_t i = 0; i < r->n_asked && !known; i++)
            known = !strcmp(key, r->asked[i]);
        for (size_t i = 0; i < n && !known; i++)
            known = !strcmp(key, harmless[i]);
        if (!known)
            return err_set(r->err,
                           "%s: key \"%s\" is not supported, and ignoring it could change "
                           "the model's results",
                           r->where, key);
    }
    return 0;
}

/* rope_scaling of published folders, or rope_parameters of transformers 5. */
static int read_rope(struct rope_config *rope, const json_t *object, const char *where,
                     struct err *err)
{
    struct config_reader r = {.object = object, .where = where, .err = err};
    const char *type = read_string(&r, "rope_type", NULL);
    const char *old_type = read_string(&r, "type", NULL);
    if (!type)
        type = old_type ? old_type : "default";
    rope->theta = read_number(&r, "rope_theta", rope->theta);
    if (!strcmp(type, "default")) {
        rope->scaling = ROPE_DEFAULT;
    } else if (!strcmp(type, "linear")) {
        rope->scaling = ROPE_LINEAR;
        rope->factor = read_number(&r, "factor", NAN);
    } else if (!strcmp(type, "llama3")) {
        rope->scaling = ROPE_LLAMA3;
        rope->factor = read_number(&r, "factor", NAN);
        rope->low_freq_factor = read_number(&r, "low_freq_factor", NAN);
        rope->high_freq_factor = read_number(&r, "high_freq_factor", NAN);
        rope->original_positions = read_size(&r, "original_max_position_embeddings", -1);
    } else {
        return err_set(err, "%s: rope_type \"%s\" is not supported (default, linear, llama3)",
                       where, type);
    }
    if (r.failed)
        return -1;
    return check_keys(&r, NULL, 0);
}

static int load_llama_json(struct model_config *c, struct config_reader *r)
{
    c->n_layers = read_size(r, "num_hidden_layers", -1);
    c->hidden = read_size(r, "hidden_size", -1);
    c->ffn = read_size(r, "intermediate_size", -1);
    c->n_heads = read_size(r, "num_attention_heads", -1);
    c->n_kv_heads = read_size(r, "num_key_value_heads", (int64_t)c->n_heads);
    c->head_dim = read_size(r, "head_dim", (int64_t)(c->hidden / c->n_heads));
    c->vocab = read_size(r, "vocab_size", -1);
    c->max_positions = read_size(r, "max_position_embeddings", 2048);
    c->norm_eps = read_number(r, "rms_norm_eps", 1e-6);
    c->qkv_bias = c->o_bias = read_bool(r, "attention_bias", false);
    c->mlp_bias = read_bool(r, "mlp_bias", false);
    c->tied = read_bool(r, "tie_word_embeddings", false);
    c->rope.theta = read_number(r, "rope_theta", 10000);
    const char *activation = read_string(r, "hidden_act", "silu");
    if (strcmp(activation, "silu"))
        return err_set(r->err, "%s: hidden_act \"%s\" is not supported (silu)", r->where,
                       activation);
    /* Slices of matrices for an old way of running in parallel; the product is the same. */
    look_up(r, "pretraining_tp");
    return 0;
}

static int load_json(struct model_config *c, const json_t *config, const char *path,
                     struct err *err)
{
    char where[300];
    snprintf(where, sizeof where, "%s/config.json", path);
    struct config_reader r = {.object = config, .where = where, .err = err};
    const char *type = read_string(&r, "model_type", "");
    if (strcmp(type, "llama"))
        return err_set(err, "%s: architecture \"%s\" is not supported (llama)", where, type);
    snprintf(c->architecture, sizeof c->architecture, "%s", type);
    if (load_llama_json(c, &r))
        return -1;
    const char *const rope_keys[] = {"rope_scaling", "rope_parameters"};
    for (size_t i = 0; i < ARRAY_SIZE(rope_keys); i++) {
        const json_t *rope = look_up(&r, rope_keys[i]);
        if (rope && !json_is_object(rope))
            fail(&r, rope_keys[i], "an object");
        else if (rope && read_rope(&c->rope, rope, where, err))
            return err_prefix(err, "%s", rope_keys[i]);
    }
    c->bos = read_token(&r, "bos_token_id");
    c->eos = read_token(&r, "eos_token_id");
    c->pad = read_token(&r, "pad_token_id");
    if (r.failed)
        return -1;
    return check_keys(&r, harmless_keys, ARRAY_SIZE(harmless_keys));
}

/* Reads one required (fallback < 0) or optional whole number under the architecture's prefix. */
static int gguf_size(const struct gguf *g, const char *key, int64_t fallback, size_t *out,
                     struct err *err)
{
    uint64_t v;
    if (!gguf_find(g, key) && fallback >= 0) {
        *out = (size_t)fallback;
        return 0;
    }
    if (!gguf_get_u64(g, key, &v))
        return err_set(err, "%s: metadata key %s",
                       gguf_find(g, key) ? "not a whole number" : "missing", key);
    if (v < 1 || v > INT32_MAX)
        return err_set(err, "metadata key %s: %" PRIu64 " is out of range", key, v);
    *out = (size_t)v;
    return 0;
}

static int64_t gguf_token(const struct gguf *g, const char *key)
{
    uint64_t v;
    return gguf_get_u64(g, key, &v) && v <= INT32_MAX ? (int64_t)v : -1;
}

static int load_gguf_rope(struct model_config *c, const struct gguf *g, struct err *err)
{
    struct gguf_string scaling;
    size_t rotated;
    c->rope.theta = 10000;
    gguf_get_f64(g, "llama.rope.freq_base", &c->rope.theta);
    if (gguf_size(g, "llama.rope.dimension_count", (int64_t)c->head_dim, &rotated, err))
        return -1;
    if (rotated != c->head_dim)
        return err_set(err, "llama.rope.dimension_count is %zu, but heads have %zu", rotated,
                       c->head_dim);
    if (gguf_get_string(g, "llama.rope.scaling.type", &scaling) &&
        !(scaling.len == 4 && !memcmp(scaling.p, "none", 4))) {
        if (scaling.len != 6 || memcmp(scaling.p, "linear", 6))
            return err_set(err, "llama.rope.scaling.type \"%.*s\" is not supported (none, linear)",
                           (int)(scaling.len < 40 ? scaling.len : 40), scaling.p);
        if (!gguf_get_f64(g, "llama.rope.scaling.factor", &c->rope.factor))
            return err_set(err, "metadata key llama.rope.scaling.factor is missing");
        c->rope.scaling = ROPE_LINEAR;
    }
    return 0;
}

static int load_gguf(struct model_config *c, const struct checkpoint *ck, struct err *err)
{
    const struct gguf *g = checkpoint_gguf(ck);
    struct gguf_string architecture;
    if (!gguf_get_string(g, "general.architecture", &architecture))
        return err_set(err, "metadata key general.architecture is missing");
    if (architecture.len != 5 || memcmp(architecture.p, "llama", 5))
        return err_set(err, "architecture \"%.*s\" is not supported (llama)",
                       (int)(architecture.len < 40 ? architecture.len : 40), architecture.p);
    strcpy(c->architecture, "llama");
    if (gguf_size(g, "llama.block_count", -1, &c->n_layers, err) ||
        gguf_size(g, "llama.embedding_length", -1, &c->hidden, err) ||
        gguf_size(g, "llama.feed_forward_length", -1, &c->ffn, err) ||
        gguf_size(g, "llama.attention.head_count", -1, &c->n_heads, err) ||
        gguf_size(g, "llama.attention.head_count_kv", (int64_t)c->n_heads, &c->n_kv_heads, err) ||
        gguf_size(g, "llama.attention.key_length", (int64_t)(c->hidden / c->n_heads), &c->head_dim,
                  err) ||
        gguf_size(g, "llama.context_length", 2048, &c->max_positions, err))
        return -1;
    uint64_t experts;
    size_t value_length;
    if (gguf_size(g, "llama.attention.value_length", (int64_t)c->head_dim, &value_length, err))
        return -1;
    if (value_length != c->head_dim)
        return err_set(err, "llama.attention.value_length %zu differs from the keys' %zu",
                       value_length, c->head_dim);
    if (gguf_get_u64(g, "llama.expert_count", &experts) && experts)
        return err_set(err, "mixture of experts (llama.expert_count %" PRIu64 ") is not supported",
                       experts);
    if (!gguf_get_f64(g, "llama.attention.layer_norm_rms_epsilon", &c->norm_eps))
        return err_set(err, "metadata key llama.attention.layer_norm_rms_epsilon is missing");
    /* Stored as float32: 1e-5 comes back as 9.99999974e-06, which is what is computed with. */
    const struct tensor *embed = checkpoint_find(ck, "token_embd.weight");
    if (!embed || embed->n_dims != 2)
        return err_set(err, "tensor token_embd.weight is missing");
    c->vocab = (size_t)embed->shape[0];
    c->tied = !checkpoint_find(ck, "output.weight");
    c->qkv_bias = c->o_bias = checkpoint_find(ck, "blk.0.attn_q.bias") != NULL;
    c->mlp_bias = checkpoint_find(ck, "blk.0.ffn_up.bias") != NULL;
    c->bos = gguf_token(g, "tokenizer.ggml.bos_token_id");
    c->eos = gguf_token(g, "tokenizer.ggml.eos_token_id");
    c->pad = gguf_token(g, "tokenizer.ggml.padding_token_id");
    return load_gguf_rope(c, g, err);
}

/* llama3's scaling reaches GGUF only as a tensor of divisors, one for each pair of a head. */
static int load_rope_factors(struct model_config *c, const struct checkpoint *ck, struct err *err)
{
    const struct tensor *t = checkpoint_find(ck, "rope_freqs.weight");
    if (!t)
        return 0;
    if (t->dtype != DTYPE_F32 || t->n_dims != 1 || t->shape[0] != c->head_dim / 2)
        return err_set(err, "tensor rope_freqs.weight is not F32 of %zu numbers", c->head_dim / 2);
    if (c->head_dim / 2 > ROPE_MAX_PAIRS)
        return 0; /* check_sizes says what is wrong */
    memcpy(c->rope.divisors[0], t->data, t->bytes);
    memcpy(c->rope.divisors[1], t->data, t->bytes);
    c->rope.has_divisors = true;
    return 0;
}

static int check_sizes(const struct model_config *c, struct err *err)
{
    if (c->n_layers > CONFIG_MAX_LAYERS)
        return err_set(err, "%zu layers are more than any model has", c->n_layers);
    if (c->n_heads % c->n_kv_heads)
        return err_set(err, "%zu query heads are no multiple of %zu key heads", c->n_heads,
                       c->n_kv_heads);
    if (c->head_dim % 2 || c->head_dim > 2 * ROPE_MAX_PAIRS)
        return err_set(err, "a head size of %zu is not an even number up to %d", c->head_dim,
                       2 * ROPE_MAX_PAIRS);
    if (!(c->norm_eps >= 0 && c->norm_eps < 1))
        return err_set(err, "a norm epsilon of %g is not between 0 and 1", c->norm_eps);
    if (!(c->rope.theta > 0) || (c->rope.scaling != ROPE_DEFAULT && !(c->rope.factor > 0)))
        return err_set(err, "rope_theta and the rope factor must be above 0");
    if (c->rope.scaling == ROPE_LLAMA3 && !(c->rope.high_freq_factor > c->rope.low_freq_factor))
        return err_set(err, "rope high_freq_factor must be above low_freq_factor");
    const size_t limit = (size_t)1 << 24;
    if (c->hidden > limit || c->ffn > limit || c->vocab > limit || c->n_heads > 4096)
        return err_set(err, "sizes (hidden %zu, ffn %zu, vocabulary %zu, heads %zu) are absurd",
                       c->hidden, c->ffn, c->vocab, c->n_heads);
    return 0;
}

/* What an architecture has unless it says otherwise: llama's ways. */
static void set_defaults(struct model_config *c)
{
    *c = (struct model_config){
        .names = &names_llama,
        .pre_norms = true,
        .gated = true,
        .embed_scale = 1,
        .residual_scale = 1,
        .logit_scale = 1,
        .bos = -1,
        .eos = -1,
        .pad = -1,
    };
    c->rope.attention_factor = c->local_rope.attention_factor = 1;
}

int config_load(struct model_config *config, const struct checkpoint *c, struct err *err)
{
    set_defaults(config);
    const char *path = checkpoint_path(c);
    if (!checkpoint_gguf(c)) {
        if (load_json(config, checkpoint_config(c), path, err))
            return -1;
    } else if (load_gguf(config, c, err) || load_rope_factors(config, c, err)) {
        return err_prefix(err, "%s", path);
    }
    if (check_sizes(config, err))
        return err_prefix(err, "%s", path);
    config->rotary_dim = config->head_dim;
    config->attention_scale = 1 / sqrt((double)config->head_dim);
    return 0;
}
