/* Rotary embeddings in GGUF metadata, as llama.cpp reads them. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_keys.h"
#include "model/config_rope.h"

static bool read_divisors(struct config_keys *k, const struct model_config *c, const char *name,
                          float *divisors)
{
    const struct tensor *t = checkpoint_find(k->checkpoint, name);
    size_t n = c->rotary_dim / 2;
    if (!t)
        return false;
    if (t->dtype != DTYPE_F32 || t->n_dims != 1 || t->shape[0] != n || n > ROPE_MAX_PAIRS) {
        keys_fail(k, "tensor %s is not F32 of %zu numbers", name, n);
        return false;
    }
    memcpy(divisors, t->data, t->bytes);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(divisors[i]) || !(divisors[i] > 0))
            keys_fail(k, "tensor %s: number %zu is not above 0", name, i);
    return true;
}

/* llama3's scaling is a tensor of divisors; longrope's are two, and then llama.cpp needs no type.
 */
static void read_tensors(struct config_keys *k, struct model_config *c)
{
    struct rope_config *rope = &c->rope;
    if (read_divisors(k, c, "rope_freqs.weight", rope->divisors[0])) {
        memcpy(rope->divisors[1], rope->divisors[0], sizeof rope->divisors[0]);
        rope->has_divisors = true;
    }
    bool shorter = read_divisors(k, c, "rope_factors_short.weight", rope->divisors[0]);
    bool longer = read_divisors(k, c, "rope_factors_long.weight", rope->divisors[1]);
    if (shorter != longer)
        keys_fail(k, "tensor rope_factors_%s.weight is missing", shorter ? "long" : "short");
    if (longer) {
        rope->scaling = ROPE_LONGROPE;
        rope->has_divisors = true;
    }
}

static enum rope_scaling scaling_type(struct config_keys *k)
{
    static const struct {
        const char *name;
        enum rope_scaling scaling;
    } types[] = {{"none", ROPE_DEFAULT},
                 {"linear", ROPE_LINEAR},
                 {"yarn", ROPE_YARN},
                 {"longrope", ROPE_LONGROPE}};
    char full[128];
    struct gguf_string type;
    keys_ignore(k, "rope.scaling.type");
    if (!gguf_get_string(k->gguf, keys_full_gguf(k, "rope.scaling.type", full), &type))
        return ROPE_DEFAULT;
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strlen(types[i].name) == type.len && !memcmp(types[i].name, type.p, type.len))
            return types[i].scaling;
    keys_fail(k, "%s \"%.*s\" is not supported (none, linear, yarn, longrope)", full,
              (int)(type.len < 40 ? type.len : 40), type.p);
    return ROPE_DEFAULT;
}

void rope_from_gguf(struct config_keys *k, struct model_config *c, const struct rope_keys *names)
{
    struct rope_config *rope = &c->rope;
    double attn_factor;
    size_t original;
    keys_real(k, &rope->theta, NULL, "rope.freq_base", 10000);
    keys_size(k, &c->rotary_dim, NULL, "rope.dimension_count", (int64_t)c->head_dim);
    if (c->rotary_dim > c->head_dim || (!names->partial && c->rotary_dim != c->head_dim))
        keys_fail(k, "%s.rope.dimension_count is %zu, but heads have %zu", k->prefix, c->rotary_dim,
                  c->head_dim);
    rope->scaling = scaling_type(k);
    keys_real(k, &rope->factor, NULL, "rope.scaling.factor",
              rope->scaling == ROPE_LINEAR || rope->scaling == ROPE_YARN ? NAN : 1);
    keys_size(k, &original, NULL, "rope.scaling.original_context_length",
              (int64_t)c->max_positions);
    keys_real(k, &attn_factor, NULL, "rope.scaling.attn_factor", 1);
    keys_real(k, &rope->beta_fast, NULL, "rope.scaling.yarn_beta_fast", 32);
    keys_real(k, &rope->beta_slow, NULL, "rope.scaling.yarn_beta_slow", 1);
    rope->original_positions = original;
    rope->truncate = true;
    read_tensors(k, c);
    rope->attention_factor = attn_factor;
    if (rope->scaling == ROPE_YARN)
        rope->attention_factor *= rope_yarn_scale(rope->factor, 1);
    if (names->local_theta)
        keys_real(k, &c->local_rope.theta, NULL, "rope.freq_base_swa", 10000);
}

static void write_real(struct config_keys *k, const char *key, double v)
{
    keys_real(k, &v, NULL, key, NAN);
}

static void write_type(struct config_keys *k, const char *type)
{
    char full[128];
    gguf_writer_string(k->gguf_out, keys_full_gguf(k, "rope.scaling.type", full), type,
                       strlen(type));
}

static void write_yarn(struct config_keys *k, struct rope_config *rope)
{
    double attn_factor = rope->attention_factor / rope_yarn_scale(rope->factor, 1);
    size_t original = rope->original_positions;
    if (!rope->truncate)
        keys_fail(k, "no key can say yarn's \"truncate\": false");
    write_type(k, "yarn");
    write_real(k, "rope.scaling.factor", rope->factor);
    keys_size(k, &original, NULL, "rope.scaling.original_context_length", KEYS_REQUIRED);
    if (fabs(attn_factor - 1) > 1e-6)
        write_real(k, "rope.scaling.attn_factor", attn_factor);
    if (rope->beta_fast != 32 || rope->beta_slow != 1) {
        write_real(k, "rope.scaling.yarn_beta_fast", rope->beta_fast);
        write_real(k, "rope.scaling.yarn_beta_slow", rope->beta_slow);
    }
}

void rope_to_gguf(struct config_keys *k, struct model_config *c, const struct rope_keys *names)
{
    struct rope_config *rope = &c->rope;
    size_t original = rope->original_positions;
    write_real(k, "rope.freq_base", rope->theta);
    keys_size(k, &c->rotary_dim, NULL, "rope.dimension_count", KEYS_REQUIRED);
    if (rope->scaling == ROPE_LINEAR) {
        write_type(k, "linear");
        write_real(k, "rope.scaling.factor", rope->factor);
    } else if (rope->scaling == ROPE_YARN) {
        write_yarn(k, rope);
    } else if (rope->scaling == ROPE_LONGROPE) {
        keys_size(k, &original, NULL, "rope.scaling.original_context_length", KEYS_REQUIRED);
        write_real(k, "rope.scaling.attn_factor", rope->attention_factor);
    }
    if (names->local_theta && c->local_rope.scaling != ROPE_DEFAULT)
        keys_fail(k, "no key can say that sliding layers have scaled rotary embeddings");
    if (names->local_theta && c->local_rope.theta != 10000)
        write_real(k, "rope.freq_base_swa", c->local_rope.theta);
}

size_t rope_gguf_tensors(const struct model_config *c, struct rope_tensor out[2])
{
    const struct rope_config *rope = &c->rope;
    size_t n = c->rotary_dim / 2;
    for (size_t i = 0; i < 2; i++) {
        out[i].n = n;
        memcpy(out[i].divisors, rope->divisors[i], sizeof out[i].divisors);
    }
    if (rope->scaling == ROPE_LONGROPE) {
        out[0].name = "rope_factors_short.weight";
        out[1].name = "rope_factors_long.weight";
        return 2;
    }
    out[0].name = "rope_freqs.weight";
    if (rope->scaling == ROPE_LLAMA3) {
        struct rope_config plain = *rope;
        float scaled[ROPE_MAX_PAIRS];
        plain.scaling = ROPE_DEFAULT;
        rope_inv_freq(rope, c->rotary_dim, false, scaled);
        rope_inv_freq(&plain, c->rotary_dim, false, out[0].divisors);
        for (size_t i = 0; i < n; i++)
            out[0].divisors[i] /= scaled[i];
        return 1;
    }
    return rope->has_divisors ? 1 : 0;
}
