/*
 * Descriptions of models: rotary frequencies against transformers (tests/data/rope/make.py), and
 * config.json files that must be refused, each by an error that names what is wrong with it.
 */
#include "files.h"
#include "fixture.h"

#include <unistd.h>

static char folder[64] = "/tmp/test-config-XXXXXX";
static struct err err;

static const char llama[] = "{\"model_type\": \"llama\", \"vocab_size\": 32, \"hidden_size\": 16, "
                            "\"intermediate_size\": 24, \"num_hidden_layers\": 2, "
                            "\"num_attention_heads\": 4, \"num_key_value_heads\": 2}";

/* rope.json */

static void check_rope(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    struct model_config c;
    char what[128];
    if (!tap_ok(!fixture_config(folder, json_object_get(item, "config"), &c, &err), "%s", name)) {
        printf("# %s\n", err.msg);
        return;
    }
    tap_ok(fabs(c.rope.attention_factor - json_number_value(json_object_get(item, "factor"))) <
               1e-12,
           "%s: factor of cosines and sines", name);
    for (size_t k = 0; k < 2; k++) {
        const json_t *want = json_array_get(json_object_get(item, "inv_freq"), k);
        float freq[ROPE_MAX_PAIRS];
        double worst = 0;
        rope_inv_freq(&c.rope, c.rotary_dim, k == 1, freq);
        snprintf(what, sizeof what, "%s: %s documents", name, k ? "long" : "short");
        for (size_t i = 0; i < json_array_size(want); i++) {
            double w = json_number_value(json_array_get(want, i));
            worst = fmax(worst, fabs((double)freq[i] - w) / w);
        }
        tap_is_u64("pairs", c.rotary_dim / 2, json_array_size(want));
        /* Two roundings of float32: torch's power is not the correctly rounded one. */
        tap_ok(worst <= 0x1p-22, "%s: frequencies within 2^-22 (%.2g)", what, worst);
    }
}

/* Keys that are laid over the llama above, or over what they name as model_type; and the words that
 * the error must have. */
static const struct {
    const char *keys, *error;
} refused[] = {
    {"{\"model_type\": \"bert\"}", "architecture \"bert\" is not supported"},
    {"{\"model_type\": null}", "architecture"},
    {"{\"model_type\": 7}", "architecture"},
    {"{\"vocab_size\": null}", "\"vocab_size\" is missing"},
    {"{\"hidden_size\": 0}", "\"hidden_size\": expected a positive whole number"},
    {"{\"hidden_size\": -16}", "\"hidden_size\""},
    {"{\"hidden_size\": 16.5}", "\"hidden_size\""},
    {"{\"hidden_size\": \"16\"}", "\"hidden_size\""},
    {"{\"hidden_size\": 99999999999}", "\"hidden_size\""},
    {"{\"hidden_size\": 2147483646}", "head size"},
    {"{\"num_hidden_layers\": 1001}", "more than any model has"},
    {"{\"num_hidden_layers\": 2147483647}", "more than any model has"},
    {"{\"num_attention_heads\": 3}", "no multiple"},
    {"{\"num_key_value_heads\": 3}", "no multiple"},
    {"{\"num_key_value_heads\": 0}", "\"num_key_value_heads\""},
    {"{\"head_dim\": 7}", "head size of 7"},
    {"{\"head_dim\": 4096}", "head size of 4096"},
    {"{\"rms_norm_eps\": -1}", "epsilon"},
    {"{\"rms_norm_eps\": \"tiny\"}", "\"rms_norm_eps\": expected a number"},
    {"{\"hidden_act\": \"quick_gelu\"}", "hidden_act \"quick_gelu\" is not supported"},
    {"{\"hidden_act\": 1}", "\"hidden_act\": expected a string"},
    {"{\"attention_bias\": 1}", "\"attention_bias\": expected true or false"},
    {"{\"attn_logit_softcapping\": 30}", "\"attn_logit_softcapping\" is not supported"},
    {"{\"sliding_window\": 8}", "\"sliding_window\" is not supported"},
    {"{\"layer_types\": [\"full_attention\"]}", "\"layer_types\" is not supported"},
    {"{\"quantization_config\": {\"bits\": 4}}", "\"quantization_config\" is not supported"},
    {"{\"partial_rotary_factor\": 0.5}", "\"partial_rotary_factor\" is not supported"},
    {"{\"rope_theta\": 0}", "rope_theta"},
    {"{\"rope_theta\": -5}", "rope_theta"},
    {"{\"rope_theta\": \"10000\"}", "\"rope_theta\": expected a number"},
    {"{\"rope_scaling\": 4}", "\"rope_scaling\": expected an object"},
    {"{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2}}",
     "rope_scaling: type \"dynamic\""},
    {"{\"rope_scaling\": {\"rope_type\": \"mrope\"}}", "rope_type \"mrope\" is not supported"},
    {"{\"rope_scaling\": {\"rope_type\": 3}}", "\"rope_type\": expected a string"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\"}}", "\"factor\" is missing"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 0}}", "rope factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2, \"wave\": 3}}", "\"wave\""},
    {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
     "\"high_freq_factor\": 1}}",
     "high_freq_factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": -1}}",
     "beta_fast"},
    {"{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": 0}}",
     "attention factor"},
    {"{\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 1], "
     "\"long_factor\": [2]}}",
     "\"long_factor\": expected a list of 2 numbers"},
    {"{\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1, 0], "
     "\"long_factor\": [2, 2]}}",
     "\"short_factor\": item 1"},
    {"{\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}}",
     "\"full_attention\" is not supported"},
    {"{\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}}",
     "\"partial_rotary_factor\" is not supported"},
    {"{\"model_type\": \"mistral\", \"sliding_window\": -3}", "\"sliding_window\""},
    {"{\"model_type\": \"mistral\", \"sliding_window\": [3]}", "\"sliding_window\""},
    {"{\"model_type\": \"qwen2\", \"layer_types\": [\"full_attention\"]}", "a list of 2"},
    {"{\"model_type\": \"qwen2\", \"layer_types\": [\"full_attention\", \"linear_attention\"]}",
     "\"layer_types\": item 1"},
    {"{\"model_type\": \"qwen2\", \"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
     "layer 1 has a sliding window, but sliding_window is missing"},
    {"{\"model_type\": \"qwen2\", \"use_mrope\": true}", "\"use_mrope\" is not supported"},
    {"{\"model_type\": \"gemma\", \"head_dim\": 4, \"use_bidirectional_attention\": true}",
     "\"use_bidirectional_attention\" is not supported"},
    {"{\"model_type\": \"gemma2\", \"head_dim\": 4, \"query_pre_attn_scalar\": 0}",
     "query_pre_attn_scalar"},
    {"{\"model_type\": \"gemma2\", \"head_dim\": 4, \"final_logit_softcapping\": -1}", "soft cap"},
    {"{\"model_type\": \"gemma2\", \"head_dim\": 4, \"sliding_window\": null}", "layer 0 has"},
    {"{\"model_type\": \"phi3\", \"partial_rotary_factor\": 1.5}", "rotated part of 1.5"},
    {"{\"model_type\": \"phi3\", \"partial_rotary_factor\": 0.3}", "1 rotated dimensions"},
    {"{\"model_type\": \"phi3\", \"partial_rotary_factor\": 0.1}", "0 rotated dimensions"},
    {"{\"model_type\": \"gpt2\"}", "\"n_layer\" is missing"},
    {"{\"model_type\": \"gpt2\", \"n_layer\": 1, \"n_positions\": 8, \"n_embd\": 8, \"n_head\": 2, "
     "\"scale_attn_by_inverse_layer_idx\": true}",
     "scale_attn_by_inverse_layer_idx"},
    {"{\"model_type\": \"smollm3\", \"no_rope_layers\": [1, 2]}", "\"no_rope_layers\": item 1"},
    {"{\"model_type\": \"smollm3\", \"use_sliding_window\": true, \"sliding_window\": 4}",
     "use_sliding_window"},
    {"{\"model_type\": \"granite\", \"logits_scaling\": 0}", "the logits"},
    {"{\"model_type\": \"granite\", \"attention_multiplier\": 0}", "the attention scores"},
    {"{\"model_type\": \"granite\", \"embedding_multiplier\": 1e300}", "the embedding"},
    {"{\"model_type\": \"mixtral\", \"num_experts_per_tok\": 9}", "9 of 8 experts"},
    {"{\"model_type\": \"mixtral\", \"num_local_experts\": 2147483647}", "of 2147483647 experts"},
    {"{\"model_type\": \"qwen3_moe\", \"num_experts\": 0}", "\"num_experts\""},
    {"{\"model_type\": \"qwen3_moe\", \"decoder_sparse_step\": 0}", "\"decoder_sparse_step\""},
    {"{\"model_type\": \"qwen3_moe\", \"moe_intermediate_size\": 2000000000}", "are absurd"},
    {"{\"model_type\": \"olmoe\", \"clip_qkv\": 4}", "\"clip_qkv\" is not supported"},
    {"{\"model_type\": \"stablelm\", \"qk_layernorm\": true}", "\"qk_layernorm\" is not supported"},
};

static void check_refused(const char *keys, const char *error)
{
    struct model_config c;
    json_t *config = json_loads(llama, 0, NULL), *patch = json_loads(keys, 0, NULL);
    json_object_update(config, patch);
    bool bad = fixture_config(folder, config, &c, &err) != 0;
    if (!tap_ok(bad && strstr(err.msg, error) && strstr(err.msg, folder) && !strchr(err.msg, '\n'),
                "refused: %s", keys))
        printf("# %s\n", bad ? err.msg : "was taken");
    json_decref(config);
    json_decref(patch);
}

/* What the description says of small things that the likelihoods don't show. */
static void check_details(void)
{
    struct model_config c;
    json_t *config = json_loads(llama, 0, NULL);
    tap_ok(!fixture_config(folder, config, &c, &err), "a small llama");
    tap_is_u64("head size", c.head_dim, 4);
    tap_ok(c.bos == -1 && c.eos == -1 && !c.tied, "no special tokens, no tied head");
    json_object_set_new(config, "eos_token_id", json_pack("[i, i]", 5, 7));
    json_object_set_new(config, "bos_token_id", json_integer(3));
    tap_ok(!fixture_config(folder, config, &c, &err) && c.eos == 5 && c.bos == 3,
           "the first of several ends");
    json_object_set_new(config, "model_type", json_string("mistral"));
    tap_ok(!fixture_config(folder, config, &c, &err) && c.window == 4096 &&
               c.layer_flags[1] == LAYER_WINDOW,
           "mistral has a window unless it says that it has none");
    json_object_set_new(config, "sliding_window", json_null());
    tap_ok(!fixture_config(folder, config, &c, &err) && !c.window && !c.layer_flags[1],
           "and none where it says so");
    json_object_set_new(config, "model_type", json_string("mixtral"));
    json_object_del(config, "sliding_window");
    tap_ok(!fixture_config(folder, config, &c, &err) && !c.window, "mixtral has none");
    json_decref(config);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    json_t *rope = fixture_json(data_file("rope"), "rope.json");
    for (size_t i = 0; i < json_array_size(rope); i++)
        check_rope(json_array_get(rope, i));
    json_decref(rope);
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        check_refused(refused[i].keys, refused[i].error);
    check_details();
    return tap_done();
}
