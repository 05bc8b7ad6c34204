/* GPT-NeoX (arXiv:2204.06745): attention and MLP side by side, a quarter of each head rotated. */
#include "model/arch.h"

const struct name_map names_gpt_neox = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_EMBED] = {"gpt_neox.embed_in", "token_embd"},
            [SLOT_NORM] = {"gpt_neox.final_layer_norm", "output_norm"},
            [SLOT_HEAD] = {"embed_out", "output"},
            [SLOT_ATTN_NORM] = {"gpt_neox.layers.%zu.input_layernorm", "blk.%zu.attn_norm"},
            [SLOT_QKV] = {"gpt_neox.layers.%zu.attention.query_key_value", "blk.%zu.attn_qkv"},
            [SLOT_O] = {"gpt_neox.layers.%zu.attention.dense", "blk.%zu.attn_output"},
            [SLOT_MLP_NORM] = {"gpt_neox.layers.%zu.post_attention_layernorm", "blk.%zu.ffn_norm"},
            [SLOT_UP] = {"gpt_neox.layers.%zu.mlp.dense_h_to_4h", "blk.%zu.ffn_up"},
            [SLOT_DOWN] = {"gpt_neox.layers.%zu.mlp.dense_4h_to_h", "blk.%zu.ffn_down"},
        },
    .derived = {"attention.bias", "attention.masked_bias"},
};

static void residual(struct config_keys *k, struct model_config *c)
{
    char full[128];
    bool parallel = c->residual == RESIDUAL_PARALLEL;
    if (k->mode == KEYS_READ_JSON || k->mode == KEYS_WRITE_JSON)
        keys_bool(k, &parallel, "use_parallel_residual", true);
    keys_full_gguf(k, "use_parallel_residual", full);
    keys_ignore(k, "use_parallel_residual");
    if (k->mode == KEYS_WRITE_GGUF)
        gguf_writer_bool(k->gguf_out, full, parallel);
    if (k->mode == KEYS_READ_GGUF && !gguf_get_bool(k->gguf, full, &parallel))
        parallel = true;
    c->residual = parallel ? RESIDUAL_PARALLEL : RESIDUAL_SEQUENTIAL;
}

void describe_gpt_neox(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {
        .theta = "rotary_emb_base", .partial = "rotary_pct", .default_partial = 0.25};
    c->qkv = QKV_PER_HEAD;
    c->gated = false;
    c->mlp_bias = true;
    keys_sizes(k, c);
    c->n_kv_heads = c->n_heads;
    keys_head_dim(k, c, NULL, 0);
    keys_activation(k, c, "hidden_act", "gelu");
    keys_layer_norm(k, c, "layer_norm_eps");
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", true, SLOT_QKV);
    keys_bias(k, c, &c->o_bias, "attention_bias", true, SLOT_O);
    keys_tied(k, c, false);
    residual(k, c);
    keys_ignore(k, "classifier_dropout"); /* of another kind of head */
    keys_ignore(k, "hidden_dropout");
}
