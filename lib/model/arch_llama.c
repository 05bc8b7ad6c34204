/* Llama (Touvron et al. 2023, arXiv:2302.13971) and what differs from it in a key or two. */
#include <math.h>

#include "model/arch.h"

static const struct rope_keys rope = {.theta = "rope_theta"};

void describe_llama(struct config_keys *k, struct model_config *c)
{
    keys_sizes(k, c);
    keys_kv_heads(k, c, 0);
    keys_head_dim(k, c, "head_dim", 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-6);
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_bias(k, c, &c->mlp_bias, "mlp_bias", false, SLOT_UP);
    keys_tied(k, c, false);
    keys_ignore(k, "pretraining_tp"); /* slices of matrices for an old way of running in parallel */
}

/* Mistral 7B (arXiv:2310.06825). llama.cpp takes it for a llama and knows no window there. */
void describe_mistral(struct config_keys *k, struct model_config *c)
{
    describe_windowed(k, c, 4096, 10000, 1e-6);
}

void describe_windowed(struct config_keys *k, struct model_config *c, size_t window, double theta,
                       double norm_eps)
{
    const struct rope_keys names = {.theta = "rope_theta", .default_theta = theta};
    keys_sizes(k, c);
    keys_kv_heads(k, c, 8);
    keys_head_dim(k, c, "head_dim", 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, norm_eps);
    keys_rope(k, c, &names);
    keys_tied(k, c, false);
    keys_window(k, c, k->mode == KEYS_READ_JSON ? window : 0);
    if (keys_are_read(k) && c->window)
        keys_set_layers(c, LAYER_WINDOW, keys_every_layer);
}

/* Granite (IBM 2024): llama with a factor at each place where a scale could be. */
void describe_granite(struct config_keys *k, struct model_config *c)
{
    double logits_scaling = 1 / c->logit_scale;
    describe_llama(k, c);
    keys_real(k, &c->attention_scale, "attention_multiplier", "attention.scale",
              k->mode == KEYS_READ_GGUF ? 1 / sqrt((double)c->head_dim) : 1);
    keys_real(k, &c->embed_scale, "embedding_multiplier", "embedding_scale", 1);
    keys_real(k, &c->residual_scale, "residual_multiplier", "residual_scale", 1);
    keys_real(k, &logits_scaling, "logits_scaling", "logit_scale", 1);
    c->logit_scale = 1 / logits_scaling;
}

/* SmolLM3: every fourth layer is without rotary embeddings (Kazemnejad et al. 2023,
 * arXiv:2305.19466). */
static bool every_fourth(const struct model_config *c, size_t layer)
{
    (void)c;
    return (layer + 1) % 4 == 0;
}

static bool never(const struct model_config *c, size_t layer)
{
    (void)c;
    (void)layer;
    return false;
}

void describe_smollm3(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys slow = {.theta = "rope_theta", .default_theta = 2e6};
    bool windows = false;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 4);
    keys_head_dim(k, c, "head_dim", 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-6);
    keys_rope(k, c, &slow);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_bias(k, c, &c->mlp_bias, "mlp_bias", false, SLOT_UP);
    keys_tied(k, c, true);
    keys_layer_list(k, c, LAYER_NO_ROPE, "no_rope_layers", every_fourth);
    keys_ignore(k, "no_rope_layer_interval"); /* what the list was made from */
    keys_bool(k, &windows, "use_sliding_window", false);
    keys_ignore(k, "sliding_window");
    keys_layer_types(k, c, never);
    if (windows)
        keys_fail(k, "\"use_sliding_window\" is not supported in a smollm3 model");
}
