/* Mixtures of experts: Mixtral (arXiv:2401.04088), Qwen3-MoE (arXiv:2505.09388), OLMoE
 * (arXiv:2409.02060). */
#include "base/mem.h"
#include "model/arch.h"

const struct name_map names_mixtral = {
    .rest = &names_llama,
    .slots =
        {
            [SLOT_ROUTER] = {"model.layers.%zu.block_sparse_moe.gate", "blk.%zu.ffn_gate_inp"},
            [SLOT_EXPERT_GATE] = {"model.layers.%zu.block_sparse_moe.experts.%zu.w1",
                                  "blk.%zu.ffn_gate.%zu"},
            [SLOT_EXPERT_UP] = {"model.layers.%zu.block_sparse_moe.experts.%zu.w3",
                                "blk.%zu.ffn_up.%zu"},
            [SLOT_EXPERT_DOWN] = {"model.layers.%zu.block_sparse_moe.experts.%zu.w2",
                                  "blk.%zu.ffn_down.%zu"},
        },
};

enum { MAX_EXPERTS = 4096 };

static const struct rope_keys rope = {.theta = "rope_theta"};

/* How many experts there are: both keys are in use, and a file may have either. */
static const char *experts_key(const struct config_keys *k, const char *usual)
{
    static const char *const keys[] = {"num_experts", "num_local_experts"};
    for (size_t i = 0; k->mode == KEYS_READ_JSON && i < ARRAY_SIZE(keys); i++)
        if (json_object_get(k->json, keys[i]))
            return keys[i];
    return usual;
}

static void experts(struct config_keys *k, struct model_config *c, const char *n_key,
                    size_t n_fallback, size_t used_fallback)
{
    bool gguf = k->mode == KEYS_READ_GGUF;
    keys_size(k, &c->n_experts, experts_key(k, n_key), "expert_count",
              gguf ? KEYS_REQUIRED : (int64_t)n_fallback);
    keys_size(k, &c->experts_used, "num_experts_per_tok", "expert_used_count",
              gguf ? KEYS_REQUIRED : (int64_t)used_fallback);
    /* Of the loss that balances experts, which frozen ones don't need. */
    keys_ignore(k, "router_aux_loss_coef");
    keys_ignore(k, "output_router_logits");
    if (c->experts_used > c->n_experts || c->n_experts > MAX_EXPERTS)
        keys_fail(k, "%zu of %zu experts", c->experts_used, c->n_experts);
}

void describe_mixtral(struct config_keys *k, struct model_config *c)
{
    describe_windowed(k, c, 0, 1e6, 1e-5);
    experts(k, c, "num_local_experts", 8, 2);
    keys_ignore(k, "router_jitter_noise"); /* while the router is trained */
    c->norm_topk = true;
    c->expert_ffn = c->ffn;
    if (keys_are_read(k))
        keys_set_layers(c, LAYER_EXPERTS, keys_every_layer);
}

/* Experts in every `step`-th layer but those of the list "mlp_only_layers". */
static void sparse_layers(struct config_keys *k, struct model_config *c)
{
    size_t step = 1;
    keys_size(k, &step, "decoder_sparse_step", NULL, 1);
    for (size_t i = 0; i < c->n_layers && k->mode == KEYS_WRITE_GGUF; i++)
        if (!(c->layer_flags[i] & LAYER_EXPERTS))
            keys_fail(k,
                      "no key can say that layer %zu has no experts "
                      "(\"mlp_only_layers\")",
                      i);
    if (k->mode == KEYS_WRITE_JSON) {
        json_t *list = json_array();
        for (size_t i = 0; i < c->n_layers; i++)
            if (!(c->layer_flags[i] & LAYER_EXPERTS))
                json_array_append_new(list, json_integer((json_int_t)i));
        json_object_set_new(k->json_out, "mlp_only_layers", list);
    }
    for (size_t i = 0; i < c->n_layers && keys_are_read(k); i++)
        if ((i + 1) % step == 0)
            c->layer_flags[i] |= LAYER_EXPERTS;
    if (k->mode != KEYS_READ_JSON)
        return;
    const json_t *dense = keys_find_json(k, "mlp_only_layers");
    for (size_t i = 0; i < json_array_size(dense); i++) {
        json_int_t layer = json_integer_value(json_array_get(dense, i));
        if (layer >= 0 && (size_t)layer < c->n_layers)
            c->layer_flags[layer] &= (uint8_t)~LAYER_EXPERTS;
    }
}

void describe_qwen3_moe(struct config_keys *k, struct model_config *c)
{
    describe_qwen3(k, c);
    experts(k, c, "num_experts", 128, 8);
    keys_size(k, &c->expert_ffn, "moe_intermediate_size", "expert_feed_forward_length", 768);
    /* In GGUF files it is always so. */
    bool gguf = k->mode == KEYS_READ_GGUF || k->mode == KEYS_WRITE_GGUF;
    keys_bool(k, &c->norm_topk, "norm_topk_prob", gguf);
    sparse_layers(k, c);
}

/* Queries and keys are normed whole, as in olmo2, but with norms before either half, as in llama.
 * "clip_qkv", which published models have as null, is an error by not being asked for. */
void describe_olmoe(struct config_keys *k, struct model_config *c)
{
    c->qk_norm = QK_NORM_WHOLE;
    keys_sizes(k, c);
    keys_kv_heads(k, c, 0);
    keys_head_dim(k, c, NULL, 0);
    keys_activation(k, c, "hidden_act", "silu");
    keys_rms_norm(k, c, 1e-5);
    keys_rope(k, c, &rope);
    keys_bias(k, c, &c->qkv_bias, "attention_bias", false, SLOT_Q);
    keys_bias(k, c, &c->o_bias, "attention_bias", false, SLOT_O);
    keys_tied(k, c, false);
    experts(k, c, "num_experts", 64, 8);
    keys_bool(k, &c->norm_topk, "norm_topk_prob", false);
    c->expert_ffn = c->ffn;
    if (keys_are_read(k))
        keys_set_layers(c, LAYER_EXPERTS, keys_every_layer);
}
