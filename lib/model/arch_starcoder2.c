/* StarCoder 2 (arXiv:2402.19173): llama with LayerNorm, biases and a plain MLP. */
#include "model/arch.h"

const struct name_map names_starcoder2 = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_UP] = {"model.layers.%zu.mlp.c_fc", "blk.%zu.ffn_up"},
            [SLOT_DOWN] = {"model.layers.%zu.mlp.c_proj", "blk.%zu.ffn_down"},
        },
};

void describe_starcoder2(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {.theta = "rope_theta"};
    c->gated = false;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 2);
    keys_head_dim(k, c, "head_dim", 0);
    keys_activation(k, c, "hidden_act", "gelu_pytorch_tanh");
    keys_layer_norm(k, c, "norm_epsilon");
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "use_bias", true, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "use_bias", true, SLOT_O);
    keys_bias(k, c, &c->mlp_bias, "use_bias", true, SLOT_UP);
    keys_tied(k, c, true);
    keys_window(k, c, 0);
    if (keys_are_read(k) && c->window)
        keys_set_layers(c, LAYER_WINDOW, keys_every_layer);
    keys_ignore(k, "embedding_dropout");
    keys_ignore(k, "residual_dropout");
}
