#include "model/arch.h"

#include <string.h>

#include "base/mem.h"

/* Where two have the same GGUF name, arch_of_gguf decides. */
static const struct architecture architectures[] = {
    {"llama", "llama", "LlamaForCausalLM", &names_llama, true, describe_llama},
    {"mistral", "llama", "MistralForCausalLM", &names_llama, true, describe_mistral},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", &names_llama, false, describe_qwen2},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", &names_llama, false, describe_qwen3},
    {"gemma", "gemma", "GemmaForCausalLM", &names_llama, false, describe_gemma},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", &names_gemma2, false, describe_gemma2},
    {"gemma3_text", "gemma3", "Gemma3ForCausalLM", &names_gemma2, false, describe_gemma3},
    {"phi3", "phi3", "Phi3ForCausalLM", &names_phi3, false, describe_phi3},
    {"gpt2", "gpt2", "GPT2LMHeadModel", &names_gpt2, false, describe_gpt2},
    {"gpt_neox", "gptneox", "GPTNeoXForCausalLM", &names_gpt_neox, false, describe_gpt_neox},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", &names_olmo2, false, describe_olmo2},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", &names_llama, true, describe_smollm3},
    {"granite", "granite", "GraniteForCausalLM", &names_llama, true, describe_granite},
    {"stablelm", "stablelm", "StableLmForCausalLM", &names_llama, false, describe_stablelm},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM", &names_starcoder2, false,
     describe_starcoder2},
    {"mixtral", "llama", "MixtralForCausalLM", &names_mixtral, true, describe_mixtral},
    {"qwen3_moe", "qwen3moe", "Qwen3MoeForCausalLM", &names_llama, false, describe_qwen3_moe},
    {"olmoe", "olmoe", "OlmoeForCausalLM", &names_llama, false, describe_olmoe},
};

const struct architecture *arch_at(size_t i)
{
    return i < ARRAY_SIZE(architectures) ? &architectures[i] : NULL;
}

const struct architecture *arch_by_type(const char *model_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(architectures); i++)
        if (!strcmp(architectures[i].model_type, model_type))
            return &architectures[i];
    return NULL;
}

const struct architecture *arch_of_gguf(const struct gguf *g)
{
    struct gguf_string name;
    if (!gguf_get_string(g, "general.architecture", &name))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(architectures); i++) {
        const char *known = architectures[i].gguf;
        if (!known || strlen(known) != name.len || memcmp(known, name.p, name.len) != 0)
            continue;
        uint64_t n_experts;
        if (!strcmp(known, "llama") && gguf_get_u64(g, "llama.expert_count", &n_experts) &&
            n_experts)
            return arch_by_type("mixtral");
        if (!strcmp(known, "llama") && gguf_find(g, "llama.attention.sliding_window"))
            return arch_by_type("mistral");
        return &architectures[i];
    }
    return NULL;
}
