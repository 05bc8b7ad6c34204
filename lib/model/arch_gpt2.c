/* GPT-2 (Radford et al. 2019): learned positions, LayerNorm, a plain MLP, matrices as [in, out]. */
#include <math.h>

#include "model/arch.h"

const struct name_map names_gpt2 = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_EMBED] = {"transformer.wte", "token_embd"},
            [SLOT_POSITIONS] = {"transformer.wpe", "position_embd"},
            [SLOT_NORM] = {"transformer.ln_f", "output_norm"},
            [SLOT_ATTN_NORM] = {"transformer.h.%zu.ln_1", "blk.%zu.attn_norm"},
            [SLOT_QKV] = {"transformer.h.%zu.attn.c_attn", "blk.%zu.attn_qkv"},
            [SLOT_O] = {"transformer.h.%zu.attn.c_proj", "blk.%zu.attn_output"},
            [SLOT_MLP_NORM] = {"transformer.h.%zu.ln_2", "blk.%zu.ffn_norm"},
            [SLOT_UP] = {"transformer.h.%zu.mlp.c_fc", "blk.%zu.ffn_up"},
            [SLOT_DOWN] = {"transformer.h.%zu.mlp.c_proj", "blk.%zu.ffn_down"},
        },
    .derived = {"attn.bias", "attn.masked_bias"},
};

void describe_gpt2(struct config_keys *k, struct model_config *c)
{
    bool scaled = c->attention_scale != 1, by_layer = false;
    c->qkv = QKV_BLOCKS;
    c->qkv_bias = c->o_bias = c->mlp_bias = true;
    c->gated = false;
    c->learned_positions = true;
    c->transposed = true;
    keys_size(k, &c->n_layers, "n_layer", "block_count", KEYS_REQUIRED);
    keys_size(k, &c->max_positions, "n_positions", "context_length", KEYS_REQUIRED);
    keys_size(k, &c->hidden, "n_embd", "embedding_length", KEYS_REQUIRED);
    keys_size(k, &c->ffn, "n_inner", "feed_forward_length", (int64_t)(4 * c->hidden));
    keys_size(k, &c->n_heads, "n_head", "attention.head_count", KEYS_REQUIRED);
    c->n_kv_heads = c->n_heads;
    keys_vocab(k, c);
    keys_head_dim(k, c, NULL, 0);
    keys_layer_norm(k, c, "layer_norm_epsilon");
    keys_activation(k, c, "activation_function", "gelu_new");
    keys_tied(k, c, true);
    keys_bool(k, &scaled, "scale_attn_weights", true);
    if (!scaled)
        c->attention_scale = 1;
    keys_bool(k, &by_layer, "scale_attn_by_inverse_layer_idx", false);
    if (by_layer)
        keys_fail(k, "\"scale_attn_by_inverse_layer_idx\" is not supported");
    static const char *const without_effect[] = {
        "attn_pdrop",
        "n_ctx",
        "reorder_and_upcast_attn", /* the same sums in float32 */
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj", /* of another kind of head */
    };
    for (size_t i = 0; i < sizeof without_effect / sizeof *without_effect; i++)
        keys_ignore(k, without_effect[i]);
}
