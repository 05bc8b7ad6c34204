/* Rotary embeddings in config.json and in GGUF. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_rope.h"

static const struct key_word types[] = {
    {"default", ROPE_DEFAULT}, {"linear", ROPE_LINEAR},     {"llama3", ROPE_LLAMA3},
    {"yarn", ROPE_YARN},       {"longrope", ROPE_LONGROPE}, {"su", ROPE_LONGROPE},
};

double rope_yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static void yarn_json(struct config_keys *k, struct rope_config *rope)
{
    double scale, scale_all, scaled;
    keys_real(k, &rope->factor, "factor", NULL, NAN);
    keys_real(k, &rope->beta_fast, "beta_fast", NULL, 32);
    keys_real(k, &rope->beta_slow, "beta_slow", NULL, 1);
    keys_bool(k, &rope->truncate, "truncate", true);
    keys_real(k, &scale, "mscale", NULL, 0);
    keys_real(k, &scale_all, "mscale_all_dim", NULL, 0);
    if (scale != 0 && scale_all != 0)
        scaled = rope_yarn_scale(rope->factor, scale) / rope_yarn_scale(rope->factor, scale_all);
    else
        scaled = rope_yarn_scale(rope->factor, 1);
    keys_real(k, &rope->attention_factor, "attention_factor", NULL, scaled);
}

static void read_divisors(struct config_keys *k, float *divisors, const char *key, size_t n)
{
    const json_t *list = keys_find_json(k, key);
    if (json_array_size(list) != n || n > ROPE_MAX_PAIRS) {
        keys_fail(k, "\"%s\": expected a list of %zu numbers", key, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        divisors[i] = (float)json_number_value(v);
        if (!json_is_number(v) || !isfinite(divisors[i]) || !(divisors[i] > 0))
            keys_fail(k, "\"%s\": item %zu is not a number above 0", key, i);
    }
}

/* sqrt(1 + ln(factor) / ln(P)) (LongRoPE, arXiv:2402.13753, as in transformers). */
static void longrope_json(struct config_keys *k, struct rope_config *rope,
                          const struct model_config *c)
{
    double original = (double)rope->original_positions;
    read_divisors(k, rope->divisors[0], "short_factor", c->rotary_dim / 2);
    read_divisors(k, rope->divisors[1], "long_factor", c->rotary_dim / 2);
    rope->has_divisors = true;
    keys_real(k, &rope->factor, "factor", NULL, (double)c->max_positions / original);
    double scaled = rope->factor <= 1 ? 1 : sqrt(1 + log(rope->factor) / log(original));
    keys_real(k, &rope->attention_factor, "attention_factor", NULL, scaled);
}

/* One object of rope_scaling or rope_parameters; original: the same key outside of it, or 0. */
static void rope_object(struct config_keys *k, struct rope_config *rope,
                        const struct model_config *c, size_t original)
{
    int type = ROPE_DEFAULT;
    size_t positions;
    keys_word(k, &type, keys_find_json(k, "rope_type") ? "rope_type" : "type", types,
              ARRAY_SIZE(types), "default");
    keys_ignore(k, "type");
    if (!strcmp(c->architecture, "phi3") && type == ROPE_YARN)
        type = ROPE_LONGROPE; /* what phi3's first folders called it */
    rope->scaling = (enum rope_scaling)type;
    keys_real(k, &rope->theta, "rope_theta", NULL, rope->theta);
    keys_size(k, &positions, "original_max_position_embeddings", NULL, (int64_t)c->max_positions);
    rope->original_positions = original ? original : positions;
    if (rope->scaling == ROPE_LINEAR || rope->scaling == ROPE_LLAMA3)
        keys_real(k, &rope->factor, "factor", NULL, NAN);
    if (rope->scaling == ROPE_LLAMA3) {
        keys_real(k, &rope->low_freq_factor, "low_freq_factor", NULL, NAN);
        keys_real(k, &rope->high_freq_factor, "high_freq_factor", NULL, NAN);
    }
    if (rope->scaling == ROPE_YARN)
        yarn_json(k, rope);
    if (rope->scaling == ROPE_LONGROPE)
        longrope_json(k, rope, c);
}

static struct config_keys inside(struct config_keys *k, const json_t *object, const char *where)
{
    struct config_keys in = {
        .mode = k->mode, .json = object, .where = where, .err = k->err, .failed = k->failed};
    return in;
}

/* How many of a head's dimensions are rotated: the part is the object's, or the file's. */
static void rotary_dim_json(struct config_keys *in, struct model_config *c,
                            const struct rope_keys *names, double part)
{
    if (names->partial)
        keys_real(in, &part, "partial_rotary_factor", NULL, part);
    if (!(part > 0 && part <= 1))
        keys_fail(in, "a rotated part of %g is not above 0 and at most 1", part);
    else
        c->rotary_dim = (size_t)((double)c->head_dim * part);
}

static void read_object(struct config_keys *k, struct model_config *c, const json_t *object,
                        const char *name, const struct rope_keys *names, struct rope_config *rope,
                        double part, size_t original)
{
    char where[400];
    snprintf(where, sizeof where, "%s: %s", k->where, name);
    struct config_keys in = inside(k, object, where);
    if (!json_is_object(object))
        keys_fail_value(k, name, "an object");
    else {
        rotary_dim_json(&in, c, names, part);
        rope_object(&in, rope, c, original);
        k->failed = keys_check_json(&in, false) != 0;
    }
}

/* rope_parameters of transformers 5 may have an object for each type of layers. */
static void read_nested(struct config_keys *k, struct model_config *c, const json_t *object,
                        const struct rope_keys *names, double part, size_t original)
{
    static const char *const layer_types[] = {"full_attention", "sliding_attention"};
    struct rope_config *ropes[] = {&c->rope, &c->local_rope};
    struct config_keys in = inside(k, object, k->where);
    for (size_t i = 0; i < ARRAY_SIZE(layer_types); i++) {
        const json_t *v = keys_find_json(&in, layer_types[i]);
        if (v)
            read_object(k, c, v, layer_types[i], names, ropes[i], part, original);
    }
    k->failed = k->failed || keys_check_json(&in, false);
}

static void read_json(struct config_keys *k, struct model_config *c, const struct rope_keys *names)
{
    double theta = names->default_theta != 0 ? names->default_theta : 10000, part = 1;
    size_t original;
    keys_real(k, &c->rope.theta, names->theta, NULL, theta);
    keys_size(k, &original, "original_max_position_embeddings", NULL, 0);
    if (names->partial)
        keys_real(k, &part, names->partial, NULL, names->default_partial);
    struct config_keys plain = inside(k, NULL, k->where);
    rotary_dim_json(&plain, c, names, part);
    k->failed = plain.failed;
    if (names->local_theta)
        keys_real(k, &c->local_rope.theta, names->local_theta, NULL, 10000);
    const json_t *scaling = keys_find_json(k, "rope_scaling");
    const json_t *parameters = keys_find_json(k, "rope_parameters");
    if (scaling)
        read_object(k, c, scaling, "rope_scaling", names, &c->rope, part, original);
    if (parameters && names->local_theta &&
        (json_object_get(parameters, "full_attention") ||
         json_object_get(parameters, "sliding_attention")))
        read_nested(k, c, parameters, names, part, original);
    else if (parameters)
        read_object(k, c, parameters, "rope_parameters", names, &c->rope, part, original);
}

static void write_list(json_t *object, const char *key, const float *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_real_of_float((double)v[i]));
    json_object_set_new(object, key, list);
}

static json_t *scaling_object(struct config_keys *k, const struct model_config *c,
                              const struct rope_config *rope)
{
    const char *type = "default";
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].value == (int)rope->scaling && !strcmp(type, "default"))
            type = types[i].word;
    json_t *o = json_pack("{s:s}", "rope_type", type);
    struct config_keys in = {.mode = KEYS_WRITE_JSON, .json_out = o, .where = k->where};
    struct rope_config r = *rope;
    size_t original = rope->original_positions;
    if (r.scaling != ROPE_LONGROPE)
        keys_real(&in, &r.factor, "factor", NULL, NAN);
    if (r.scaling != ROPE_LINEAR)
        keys_size(&in, &original, "original_max_position_embeddings", NULL, KEYS_REQUIRED);
    if (r.scaling == ROPE_LLAMA3) {
        keys_real(&in, &r.low_freq_factor, "low_freq_factor", NULL, NAN);
        keys_real(&in, &r.high_freq_factor, "high_freq_factor", NULL, NAN);
    }
    if (r.scaling == ROPE_YARN) {
        keys_real(&in, &r.beta_fast, "beta_fast", NULL, NAN);
        keys_real(&in, &r.beta_slow, "beta_slow", NULL, NAN);
    }
    if (r.scaling == ROPE_YARN || r.scaling == ROPE_LONGROPE)
        keys_real(&in, &r.attention_factor, "attention_factor", NULL, NAN);
    if (r.scaling == ROPE_LONGROPE) {
        write_list(o, "short_factor", r.divisors[0], c->rotary_dim / 2);
        write_list(o, "long_factor", r.divisors[1], c->rotary_dim / 2);
    }
    return o;
}

void rope_to_json(struct config_keys *k, struct model_config *c, const struct rope_keys *names)
{
    struct rope_config rope = c->rope;
    double part = (double)c->rotary_dim / (double)c->head_dim;
    size_t original = rope.original_positions;
    if (rope.has_divisors && rope.scaling != ROPE_LONGROPE &&
        !rope_llama3_of_divisors(&c->rope, c->rotary_dim, &rope))
        keys_fail(k, "rope_freqs.weight is no llama3 scaling, the only one that config.json can "
                     "express");
    keys_real(k, &rope.theta, names->theta, NULL, NAN);
    if (names->partial)
        keys_real(k, &part, names->partial, NULL, NAN);
    if (names->local_theta)
        keys_real(k, &c->local_rope.theta, names->local_theta, NULL, NAN);
    if (!strcmp(c->architecture, "phi3"))
        keys_size(k, &original, "original_max_position_embeddings", NULL, KEYS_REQUIRED);
    json_object_set_new(k->json_out, "rope_scaling",
                        rope.scaling == ROPE_DEFAULT ? json_null() : scaling_object(k, c, &rope));
}

void keys_rope(struct config_keys *k, struct model_config *c, const struct rope_keys *names)
{
    if (k->mode == KEYS_READ_JSON)
        read_json(k, c, names);
    else if (k->mode == KEYS_READ_GGUF)
        rope_from_gguf(k, c, names);
    else if (k->mode == KEYS_WRITE_JSON)
        rope_to_json(k, c, names);
    else
        rope_to_gguf(k, c, names);
    if (keys_are_read(k) && names->local_theta)
        for (size_t i = 0; i < c->n_layers; i++)
            if (c->layer_flags[i] & LAYER_WINDOW)
                c->layer_flags[i] |= LAYER_LOCAL_ROPE;
}
