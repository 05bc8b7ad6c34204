/* Gemma (arXiv:2403.08295), Gemma 2 (arXiv:2408.00118) and the text part of Gemma 3
 * (arXiv:2503.19786). */
#include <math.h>

#include "model/arch.h"

const struct name_map names_gemma2 = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_ATTN_POST_NORM] = {"model.layers.%zu.post_attention_layernorm",
                                     "blk.%zu.post_attention_norm"},
            [SLOT_MLP_NORM] = {"model.layers.%zu.pre_feedforward_layernorm", "blk.%zu.ffn_norm"},
            [SLOT_MLP_POST_NORM] = {"model.layers.%zu.post_feedforward_layernorm",
                                    "blk.%zu.post_ffw_norm"},
        },
};

/* Norms keep w - 1 in Hugging Face folders; llama.cpp's converter adds the 1. */
static void shared(struct config_keys *k, struct model_config *c, size_t kv_heads)
{
    keys_sizes(k, c);
    keys_kv_heads(k, c, kv_heads);
    keys_head_dim(k, c, "head_dim", 256);
    keys_rms_norm(k, c, 1e-6);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_tied(k, c, true);
    c->norm_plus_one = true;
    c->embed_scale = sqrt((double)c->hidden);
}

void describe_gemma(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {.theta = "rope_theta"};
    shared(k, c, 16);
    keys_activation(k, c, "hidden_act", "gelu_pytorch_tanh");
    if (c->activation == ACTIVATION_GELU) /* the first folders said so and meant the other one */
        c->activation = ACTIVATION_GELU_TANH;
    keys_ignore(k, "hidden_activation"); /* transformers looks at hidden_act alone */
    keys_rope(k, c, &rope);
}

/* query_pre_attn_scalar s: scores are q . k / sqrt(s). llama.cpp takes the head's size, and
 * hidden / n_heads in the model of 46 or 62 layers, whatever the keys say. */
static void attention_scale(struct config_keys *k, struct model_config *c, size_t layers_of_largest)
{
    double scalar = 1 / (c->attention_scale * c->attention_scale);
    double by_llama_cpp = c->n_layers == layers_of_largest ? (double)c->hidden / (double)c->n_heads
                                                           : (double)c->head_dim;
    if (k->mode == KEYS_WRITE_GGUF && fabs(scalar - by_llama_cpp) > 1e-6 * scalar)
        keys_fail(k, "llama.cpp can't be told a query_pre_attn_scalar of %g, it takes %g", scalar,
                  by_llama_cpp);
    if (k->mode == KEYS_READ_GGUF)
        scalar = by_llama_cpp;
    else if (k->mode != KEYS_WRITE_GGUF)
        keys_real(k, &scalar, "query_pre_attn_scalar", NULL, 256);
    if (!(scalar > 0))
        keys_fail_value(k, "query_pre_attn_scalar", "a number above 0");
    c->attention_scale = 1 / sqrt(scalar);
}

static bool is_even(const struct model_config *c, size_t layer)
{
    (void)c;
    return layer % 2 == 0;
}

void describe_gemma2(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {.theta = "rope_theta"};
    shared(k, c, 4);
    c->post_norms = true;
    keys_activation(k, c, "hidden_activation", "gelu_pytorch_tanh");
    keys_ignore(k, "hidden_act");
    attention_scale(k, c, 46);
    keys_window(k, c, 4096);
    keys_layer_types(k, c, is_even);
    keys_rope(k, c, &rope);
    keys_real_or_none(k, &c->attention_softcap, "attn_logit_softcapping", "attn_logit_softcapping",
                      50);
    keys_real_or_none(k, &c->final_softcap, "final_logit_softcapping", "final_logit_softcapping",
                      30);
    if (k->mode == KEYS_WRITE_GGUF && (c->attention_softcap == 0 || c->final_softcap == 0))
        keys_fail(k, "llama.cpp can't be told that a gemma2 model has no soft caps");
}

static bool not_sixth(const struct model_config *c, size_t layer)
{
    return c->window && (layer + 1) % 6 != 0;
}

/* Each period-th layer has no window, the others have; 0: there is no such period. */
static size_t period_of(const struct model_config *c)
{
    for (size_t period = 2; period <= c->n_layers + 1; period++) {
        size_t i = 0;
        while (i < c->n_layers && !(c->layer_flags[i] & LAYER_WINDOW) == ((i + 1) % period == 0))
            i++;
        if (i == c->n_layers)
            return period;
    }
    return 0;
}

/* Which layers have a window: a list in config.json, or all but each sixth or however many a key
 * says. GGUF has the latter alone. */
static void layers_with_window(struct config_keys *k, struct model_config *c)
{
    static const char json[] = "sliding_window_pattern",
                      gguf[] = "attention.sliding_window_pattern";
    size_t period = 6;
    if (keys_are_read(k)) {
        keys_size(k, &period, json, gguf, 6);
        for (size_t i = 0; i < c->n_layers; i++)
            if (c->window && (i + 1) % period != 0)
                c->layer_flags[i] |= LAYER_WINDOW;
    }
    if (k->mode != KEYS_WRITE_GGUF) {
        keys_layer_types(k, c, NULL);
    } else if (!keys_layers_follow(c, LAYER_WINDOW, not_sixth)) {
        period = period_of(c);
        if (period)
            keys_size(k, &period, NULL, gguf, 6);
        else
            keys_fail(k, "no key can say which layers of this model have a window "
                         "(\"layer_types\")");
    }
}

void describe_gemma3(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {
        .theta = "rope_theta", .default_theta = 1e6, .local_theta = "rope_local_base_freq"};
    shared(k, c, 4);
    c->post_norms = true;
    c->qk_norm = QK_NORM_HEAD;
    keys_activation(k, c, "hidden_activation", "gelu_pytorch_tanh");
    attention_scale(k, c, 62);
    keys_window(k, c, k->mode == KEYS_READ_JSON ? 4096 : 0);
    layers_with_window(k, c);
    keys_ignore(k, "_sliding_window_pattern"); /* layer_types was made from it */
    keys_rope(k, c, &rope);
    keys_real(k, &c->attention_softcap, "attn_logit_softcapping", NULL, 0);
    keys_real(k, &c->final_softcap, "final_logit_softcapping", "final_logit_softcapping", 0);
}
