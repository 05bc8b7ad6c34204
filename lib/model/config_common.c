/* Keys that most architectures share. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_keys.h"

void keys_kv_heads(struct config_keys *k, struct model_config *c, size_t fallback)
{
    keys_size(k, &c->n_kv_heads, "num_key_value_heads", "attention.head_count_kv",
              (int64_t)(fallback ? fallback : c->n_heads));
}

void keys_head_dim(struct config_keys *k, struct model_config *c, const char *json, size_t fallback)
{
    size_t usual = c->n_heads ? c->hidden / c->n_heads : 0, values = c->head_dim;
    size_t implied = k->mode == KEYS_READ_JSON && fallback ? fallback : usual;
    if (k->mode != KEYS_WRITE_GGUF || c->head_dim * c->n_heads != c->hidden) {
        keys_size(k, &c->head_dim, json, "attention.key_length", (int64_t)implied);
        keys_size(k, &values, NULL, "attention.value_length", (int64_t)c->head_dim);
        if (k->mode == KEYS_READ_GGUF && values != c->head_dim)
            keys_fail(k, "%s.attention.value_length %zu differs from the keys' %zu", k->prefix,
                      values, c->head_dim);
    }
    if (keys_are_read(k))
        c->attention_scale = 1 / sqrt((double)c->head_dim);
}

static int64_t first_token(const json_t *v)
{
    if (json_is_array(v))
        v = json_array_get(v, 0);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static int64_t gguf_token(const struct gguf *g, const char *key)
{
    uint64_t v;
    return gguf_get_u64(g, key, &v) && v <= INT32_MAX ? (int64_t)v : -1;
}

static void write_token(struct config_keys *k, const char *json, int64_t v)
{
    json_object_set_new(k->json_out, json, v < 0 ? json_null() : json_integer(v));
}

/* A token id, or the first of a list of them. */
static void keys_token(struct config_keys *k, int64_t *v, const char *json, const char *gguf)
{
    if (k->mode == KEYS_READ_JSON)
        *v = first_token(keys_find_json(k, json));
    else if (k->mode == KEYS_READ_GGUF)
        *v = gguf_token(k->gguf, gguf);
    else if (k->mode == KEYS_WRITE_JSON)
        write_token(k, json, *v);
}

void keys_vocab(struct config_keys *k, struct model_config *c)
{
    if (k->mode == KEYS_READ_GGUF) {
        const struct tensor *embed = checkpoint_find(k->checkpoint, "token_embd.weight");
        if (!embed || embed->n_dims != 2)
            keys_fail(k, "tensor token_embd.weight is missing");
        else
            c->vocab = (size_t)embed->shape[0];
    }
    if (k->mode != KEYS_READ_GGUF)
        keys_size(k, &c->vocab, "vocab_size", "vocab_size", KEYS_REQUIRED);
    keys_token(k, &c->bos, "bos_token_id", "tokenizer.ggml.bos_token_id");
    keys_token(k, &c->eos, "eos_token_id", "tokenizer.ggml.eos_token_id");
    keys_token(k, &c->pad, "pad_token_id", "tokenizer.ggml.padding_token_id");
}

void keys_tied(struct config_keys *k, struct model_config *c, bool fallback)
{
    if (k->mode == KEYS_READ_GGUF)
        c->tied = !checkpoint_find(k->checkpoint, "output.weight");
    else if (k->mode != KEYS_WRITE_GGUF)
        keys_bool(k, &c->tied, "tie_word_embeddings", fallback);
}

void keys_sizes(struct config_keys *k, struct model_config *c)
{
    keys_size(k, &c->n_layers, "num_hidden_layers", "block_count", KEYS_REQUIRED);
    keys_size(k, &c->max_positions, "max_position_embeddings", "context_length", 2048);
    keys_size(k, &c->hidden, "hidden_size", "embedding_length", KEYS_REQUIRED);
    keys_size(k, &c->ffn, "intermediate_size", "feed_forward_length", KEYS_REQUIRED);
    keys_size(k, &c->n_heads, "num_attention_heads", "attention.head_count", KEYS_REQUIRED);
    keys_vocab(k, c);
    if (c->n_layers > CONFIG_MAX_LAYERS) {
        keys_fail(k, "%zu layers are more than any model has", c->n_layers);
        c->n_layers = CONFIG_MAX_LAYERS;
    }
}

void keys_rms_norm(struct config_keys *k, struct model_config *c, double fallback)
{
    c->norm = NORM_RMS;
    keys_real(k, &c->norm_eps, "rms_norm_eps", "attention.layer_norm_rms_epsilon",
              k->mode == KEYS_READ_GGUF ? NAN : fallback);
}

void keys_layer_norm(struct config_keys *k, struct model_config *c, const char *json)
{
    c->norm = NORM_LAYER;
    c->norm_bias = true;
    keys_real(k, &c->norm_eps, json, "attention.layer_norm_epsilon",
              k->mode == KEYS_READ_GGUF ? NAN : 1e-5);
}

/* Layers. */

bool keys_every_layer(const struct model_config *c, size_t layer)
{
    (void)c;
    (void)layer;
    return true;
}

static void set_flag(struct model_config *c, size_t layer, enum layer_flag flag, bool on)
{
    if (on)
        c->layer_flags[layer] |= (uint8_t)flag;
    else
        c->layer_flags[layer] &= (uint8_t)~flag;
}

void keys_set_layers(struct model_config *c, enum layer_flag flag, layer_rule *by)
{
    for (size_t i = 0; i < c->n_layers; i++)
        set_flag(c, i, flag, by(c, i));
}

bool keys_layers_follow(const struct model_config *c, enum layer_flag flag, layer_rule *by)
{
    for (size_t i = 0; i < c->n_layers; i++)
        if (!(c->layer_flags[i] & flag) == (by && by(c, i)))
            return false;
    return true;
}

void keys_window(struct config_keys *k, struct model_config *c, size_t fallback)
{
    keys_size_or_none(k, &c->window, "sliding_window", "attention.sliding_window",
                      (int64_t)fallback);
}

/* What an item of the list means for the flag; false: it means nothing. */
typedef bool item_meaning(const json_t *item, bool *on);

static bool layer_type(const json_t *item, bool *on)
{
    const char *type = json_string_value(item);
    *on = type && !strcmp(type, "sliding_attention");
    return type && (*on || !strcmp(type, "full_attention"));
}

static bool zero_or_one(const json_t *item, bool *on)
{
    *on = json_integer_value(item) == 0;
    return json_is_integer(item) && (json_integer_value(item) | 1) == 1;
}

static void read_list(struct config_keys *k, struct model_config *c, enum layer_flag flag,
                      const char *key, item_meaning *meaning)
{
    const json_t *list = keys_find_json(k, key);
    if (!list)
        return;
    if (!json_is_array(list) || json_array_size(list) < c->n_layers) {
        keys_fail(k, "\"%s\": expected a list of %zu, one for each layer", key, c->n_layers);
        return;
    }
    for (size_t i = 0; i < c->n_layers; i++) {
        bool on;
        if (!meaning(json_array_get(list, i), &on))
            keys_fail(k, "\"%s\": item %zu is not supported", key, i);
        else
            set_flag(c, i, flag, on);
    }
}

void keys_layer_types(struct config_keys *k, struct model_config *c, layer_rule *sliding)
{
    if (keys_are_read(k) && sliding)
        keys_set_layers(c, LAYER_WINDOW, sliding);
    if (k->mode == KEYS_READ_JSON)
        read_list(k, c, LAYER_WINDOW, "layer_types", layer_type);
    if (k->mode == KEYS_WRITE_GGUF && !keys_layers_follow(c, LAYER_WINDOW, sliding))
        keys_fail(k, "no key can say which layers of this model have a window "
                     "(\"layer_types\")");
    if (k->mode != KEYS_WRITE_JSON)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_layers; i++)
        json_array_append_new(
            list,
            json_string(c->layer_flags[i] & LAYER_WINDOW ? "sliding_attention" : "full_attention"));
    json_object_set_new(k->json_out, "layer_types", list);
}

void keys_layer_list(struct config_keys *k, struct model_config *c, enum layer_flag flag,
                     const char *json, layer_rule *by)
{
    if (keys_are_read(k))
        keys_set_layers(c, flag, by);
    if (k->mode == KEYS_READ_JSON)
        read_list(k, c, flag, json, zero_or_one);
    if (k->mode == KEYS_WRITE_GGUF && !keys_layers_follow(c, flag, by))
        keys_fail(k, "no key can say this model's \"%s\"", json);
    if (k->mode != KEYS_WRITE_JSON)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_layers; i++)
        json_array_append_new(list, json_integer(!(c->layer_flags[i] & flag)));
    json_object_set_new(k->json_out, json, list);
}
