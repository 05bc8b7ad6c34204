/* Phi-3 (arXiv:2404.14219): llama with fused projections. */
#include "model/arch.h"

const struct name_map names_phi3 = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_QKV] = {"model.layers.%zu.self_attn.qkv_proj", "blk.%zu.attn_qkv"},
            [SLOT_GATE_UP] = {"model.layers.%zu.mlp.gate_up_proj", "blk.%zu.ffn_up"},
        },
};

void describe_phi3(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {
        .theta = "rope_theta", .partial = "partial_rotary_factor", .default_partial = 1};
    c->qkv = QKV_BLOCKS;
    c->fused_gate_up = true;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 0);
    keys_head_dim(k, c, NULL, 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-5);
    keys_rope(k, c, &rope);
    keys_tied(k, c, false);
    keys_window(k, c, 0);
    if (keys_are_read(k) && c->window)
        keys_set_layers(c, LAYER_WINDOW, keys_every_layer);
}
