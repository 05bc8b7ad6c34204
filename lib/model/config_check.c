/* Whether a file has keys that the description of its architecture doesn't know. */
#include <string.h>

#include "base/mem.h"
#include "model/config_keys.h"

/* Keys of config.json that never change what a trained decoder computes, whatever its architecture.
 */
static const char *const harmless_keys[] = {
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "pruned_heads",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "vllm_config",
};

/* Keys under the architecture's name in GGUF files, of the same kind. */
static const char *const harmless_gguf[] = {
    "embedding_length_out", "pooling_type", "rope.scaling.finetuned",
    "tensor_data_layout",   "vocab_size",
};

static bool is_listed(const char *key, size_t len, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == len && !memcmp(list[i], key, len))
            return true;
    return false;
}

int keys_check_json(struct config_keys *k, bool whole_file)
{
    const char *key;
    json_t *value;
    if (k->failed)
        return -1;
    json_object_foreach((json_t *)(uintptr_t)k->json, key, value)
    {
        size_t len = strlen(key);
        if (!json_is_null(value) && !json_is_false(value) &&
            !is_listed(key, len, k->asked, k->n_asked) &&
            !(whole_file && is_listed(key, len, harmless_keys, ARRAY_SIZE(harmless_keys))))
            return err_set(k->err,
                           "%s: key \"%s\" is not supported, and ignoring it could change "
                           "the model's results",
                           k->where, key);
    }
    return 0;
}

static bool says_nothing(const struct gguf_value *v)
{
    switch (v->type) {
    case GGUF_BOOL:
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        return v->u == 0;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        return v->i == 0;
    case GGUF_F32:
    case GGUF_F64:
        return v->f == 0;
    default:
        return false;
    }
}

int keys_check_gguf(struct config_keys *k)
{
    size_t prefix = strlen(k->prefix);
    if (k->failed)
        return -1;
    for (size_t i = 0; i < gguf_count(k->gguf); i++) {
        const struct gguf_value *v = gguf_at(k->gguf, i);
        if (v->key.len <= prefix || memcmp(v->key.p, k->prefix, prefix) != 0 ||
            v->key.p[prefix] != '.' || says_nothing(v))
            continue;
        const char *key = v->key.p + prefix + 1;
        size_t len = v->key.len - prefix - 1;
        if (!is_listed(key, len, k->asked, k->n_asked) &&
            !is_listed(key, len, harmless_gguf, ARRAY_SIZE(harmless_gguf)))
            return err_set(k->err,
                           "%s: metadata key %.*s is not supported, and ignoring it could change "
                           "the model's results",
                           k->where, (int)(v->key.len < 120 ? v->key.len : 120), v->key.p);
    }
    return 0;
}
