/* StableLM 2 (arXiv:2402.17834). */
#include "model/arch.h"

void describe_stablelm(struct config_keys *k, struct model_config *c)
{
    static const struct rope_keys rope = {
        .theta = "rope_theta", .partial = "partial_rotary_factor", .default_partial = 0.25};
    bool shared = c->residual == RESIDUAL_SHARED_NORM, qk_norm = false;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 32);
    keys_head_dim(k, c, NULL, 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_layer_norm(k, c, "layer_norm_eps");
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "use_qkv_bias", false, SLOT_Q);
    keys_tied(k, c, false);
    keys_bool(k, &qk_norm, "qk_layernorm", false);
    if (qk_norm)
        keys_fail(k, "\"qk_layernorm\" is not supported");
    if (k->mode == KEYS_READ_GGUF) /* llama.cpp goes by the tensors too */
        shared = !checkpoint_find(k->checkpoint, "blk.0.ffn_norm.weight");
    else if (k->mode != KEYS_WRITE_GGUF)
        keys_bool(k, &shared, "use_parallel_residual", false);
    c->residual = shared ? RESIDUAL_SHARED_NORM : RESIDUAL_SEQUENTIAL;
    keys_ignore(k, "use_parallel_residual"); /* GGUF files say true of any */
    keys_ignore(k, "hidden_dropout");
}
