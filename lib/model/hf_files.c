#include "model/hf_files.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/json.h"

/* GGUF keeps reals as float32: the decimal number of the fewest digits that rounds to the same one
 * is the one that config.json had. */
static json_t *real_of_float(double v)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v)
            break;
    }
    return json_real(strtod(text, NULL));
}

/*
 * llama3's rope scaling from its divisors. With s = (P/wavelength - low) / (high - low) and
 * 1/divisor = (1 - s)/factor + s, s is a straight line over 1/wavelength, which any two pairs on
 * the ramp determine; of the numbers that give this line, low = 1 is the usual choice.
 */
static json_t *llama3_rope(const struct model_config *c, struct err *err)
{
    size_t n = c->head_dim / 2, first = n, last = n;
    struct model_config plain = *c, again;
    float *freq = xcalloc(n, sizeof *freq), *got = xcalloc(n, sizeof *got);
    double factor = 1, *s = xcalloc(n, sizeof *s);
    json_t *rope = NULL;
    plain.rope.has_divisors = false;
    rope_inv_freq(&plain.rope, c->head_dim, false, freq);
    for (size_t i = 0; i < n; i++) {
        s[i] = (double)c->rope.divisors[0][i];
        factor = s[i] > factor ? s[i] : factor;
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = factor > 1 ? (1 / s[i] - 1 / factor) / (1 - 1 / factor) : 1;
        if (s[i] > 1e-6 && s[i] < 1 - 1e-6) {
            first = first == n ? i : first;
            last = i;
        }
    }
    again = *c;
    again.rope = (struct rope_config){.scaling = ROPE_LLAMA3,
                                      .theta = c->rope.theta,
                                      .factor = factor,
                                      .low_freq_factor = 1,
                                      .high_freq_factor = 4,
                                      .original_positions = 8192};
    if (first != last) {
        const double turn = 2 * 3.14159265358979323846;
        double x0 = (double)freq[first] / turn, x1 = (double)freq[last] / turn;
        double slope = (s[first] - s[last]) / (x0 - x1), high = 1 + 1 / (slope * x0 - s[first]);
        again.rope.high_freq_factor = fabs(high - round(high)) < 1e-3 * high ? round(high) : high;
        double positions = slope * (again.rope.high_freq_factor - 1);
        again.rope.original_positions =
            positions >= 1 && positions < 1e9 ? (uint64_t)llround(positions) : 1;
    }
    rope_inv_freq(&again.rope, c->head_dim, false, got);
    rope_inv_freq(&c->rope, c->head_dim, false, freq);
    bool fits = again.rope.high_freq_factor > 1;
    for (size_t i = 0; i < n; i++)
        fits = fits && fabsf(got[i] - freq[i]) <= 1e-5f * freq[i];
    if (fits)
        rope = json_pack("{s:s, s:o, s:o, s:o, s:I}", "rope_type", "llama3", "factor",
                         real_of_float(factor), "low_freq_factor", json_real(1), "high_freq_factor",
                         real_of_float(again.rope.high_freq_factor),
                         "original_max_position_embeddings",
                         (json_int_t)again.rope.original_positions);
    else
        err_set(
            err,
            "rope_freqs.weight is no llama3 scaling, the only one that config.json can express");
    free(freq);
    free(got);
    free(s);
    return rope;
}

static void set_id(json_t *object, const char *key, int64_t id)
{
    json_object_set_new(object, key, id < 0 ? json_null() : json_integer(id));
}

json_t *hf_config(const struct model_config *c, const struct gguf *g, struct err *err)
{
    (void)g;
    json_t *rope = json_null();
    if (c->rope.has_divisors)
        rope = llama3_rope(c, err);
    else if (c->rope.scaling == ROPE_LINEAR)
        rope =
            json_pack("{s:s, s:o}", "rope_type", "linear", "factor", real_of_float(c->rope.factor));
    if (!rope)
        return NULL;
    json_t *o = json_object();
    json_object_set_new(o, "architectures", json_pack("[s]", "LlamaForCausalLM"));
    json_object_set_new(o, "model_type", json_string(c->architecture));
    json_object_set_new(o, "vocab_size", json_integer((json_int_t)c->vocab));
    json_object_set_new(o, "hidden_size", json_integer((json_int_t)c->hidden));
    json_object_set_new(o, "intermediate_size", json_integer((json_int_t)c->ffn));
    json_object_set_new(o, "num_hidden_layers", json_integer((json_int_t)c->n_layers));
    json_object_set_new(o, "num_attention_heads", json_integer((json_int_t)c->n_heads));
    json_object_set_new(o, "num_key_value_heads", json_integer((json_int_t)c->n_kv_heads));
    json_object_set_new(o, "head_dim", json_integer((json_int_t)c->head_dim));
    json_object_set_new(o, "max_position_embeddings", json_integer((json_int_t)c->max_positions));
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "rms_norm_eps", real_of_float(c->norm_eps));
    json_object_set_new(o, "rope_theta", real_of_float(c->rope.theta));
    json_object_set_new(o, "rope_scaling", rope);
    json_object_set_new(o, "attention_bias", json_boolean(c->qkv_bias));
    json_object_set_new(o, "mlp_bias", json_boolean(c->mlp_bias));
    json_object_set_new(o, "attention_dropout", json_real(0));
    json_object_set_new(o, "tie_word_embeddings", json_boolean(c->tied));
    json_object_set_new(o, "use_cache", json_true());
    json_object_set_new(o, "initializer_range", json_real(0.02));
    set_id(o, "bos_token_id", c->bos);
    set_id(o, "eos_token_id", c->eos);
    set_id(o, "pad_token_id", c->pad);
    return o;
}
