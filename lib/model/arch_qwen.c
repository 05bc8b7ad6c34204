/* Qwen2 (arXiv:2407.10671) and Qwen3 (arXiv:2505.09388). */
#include "model/arch.h"

static const struct rope_keys rope = {.theta = "rope_theta"};

/* The upper layers have a window, if any have. */
static void windows(struct config_keys *k, struct model_config *c)
{
    bool use = c->window != 0;
    size_t first = 0;
    if (k->mode == KEYS_WRITE_JSON) { /* layer_types says it all */
        keys_bool(k, &use, "use_sliding_window", false);
        keys_window(k, c, 4096);
    } else if (k->mode == KEYS_READ_JSON) {
        keys_bool(k, &use, "use_sliding_window", false);
        keys_window(k, c, 4096);
        keys_size(k, &first, "max_window_layers", NULL, 28);
        for (size_t i = first; i < c->n_layers && use && c->window; i++)
            c->layer_flags[i] |= LAYER_WINDOW;
        if (!use)
            c->window = 0;
    }
    keys_layer_types(k, c, NULL);
}

void describe_qwen2(struct config_keys *k, struct model_config *c)
{
    keys_sizes(k, c);
    keys_kv_heads(k, c, 32);
    keys_head_dim(k, c, NULL, 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-6);
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, NULL, true, SLOT_Q);
    keys_tied(k, c, false);
    windows(k, c);
}

void describe_qwen3(struct config_keys *k, struct model_config *c)
{
    keys_sizes(k, c);
    keys_kv_heads(k, c, 32);
    keys_head_dim(k, c, "head_dim", 128);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-6);
    c->qk_norm = QK_NORM_HEAD;
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_tied(k, c, false);
    windows(k, c);
}
