/* OLMo 2 (arXiv:2501.00656): norms behind attention and MLP, and of all queries and keys together.
 */
#include "model/arch.h"

const struct name_map names_olmo2 = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_ATTN_POST_NORM] = {"model.layers.%zu.post_attention_layernorm",
                                     "blk.%zu.post_attention_norm"},
            [SLOT_MLP_POST_NORM] = {"model.layers.%zu.post_feedforward_layernorm",
                                    "blk.%zu.post_ffw_norm"},
        },
};

void describe_olmo2(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {.theta = "rope_theta"};
    c->pre_norms = false;
    c->post_norms = true;
    c->qk_norm = QK_NORM_WHOLE;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 0);
    keys_head_dim(k, c, "head_dim", 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-5);
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_tied(k, c, false);
}
