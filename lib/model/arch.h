/*
 * arch: the architectures there are. Adding one: a describe function (config_keys.h), a map of
 * names if they aren't llama's, and a line in the table of arch.c.
 */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include "model/config_keys.h"

struct architecture {
    const char *model_type;  /* in config.json */
    const char *gguf;        /* general.architecture; NULL: only Hugging Face folders are known */
    const char *model_class; /* config.json's "architectures": "LlamaForCausalLM" */
    const struct name_map *names;
    bool gguf_pairs; /* config.h */
    void (*describe)(struct config_keys *k, struct model_config *c);
};

const struct architecture *arch_at(size_t i);                    /* NULL at the end */
const struct architecture *arch_by_type(const char *model_type); /* NULL: unknown */
/* Of a GGUF file, where "llama" stands for several. */
const struct architecture *arch_of_gguf(const struct gguf *g);

void describe_llama(struct config_keys *k, struct model_config *c);
void describe_mistral(struct config_keys *k, struct model_config *c);
/* Llama whose layers all have a window; these where config.json says nothing of them. */
void describe_windowed(struct config_keys *k, struct model_config *c, size_t window, double theta,
                       double norm_eps);
void describe_granite(struct config_keys *k, struct model_config *c);
void describe_smollm3(struct config_keys *k, struct model_config *c);
void describe_qwen2(struct config_keys *k, struct model_config *c);
void describe_qwen3(struct config_keys *k, struct model_config *c);
void describe_gemma(struct config_keys *k, struct model_config *c);
void describe_gemma2(struct config_keys *k, struct model_config *c);
void describe_gemma3(struct config_keys *k, struct model_config *c);
void describe_phi3(struct config_keys *k, struct model_config *c);
void describe_gpt2(struct config_keys *k, struct model_config *c);
void describe_gpt_neox(struct config_keys *k, struct model_config *c);
void describe_olmo2(struct config_keys *k, struct model_config *c);
void describe_stablelm(struct config_keys *k, struct model_config *c);
void describe_starcoder2(struct config_keys *k, struct model_config *c);
void describe_mixtral(struct config_keys *k, struct model_config *c);
void describe_qwen3_moe(struct config_keys *k, struct model_config *c);
void describe_olmoe(struct config_keys *k, struct model_config *c);

extern const struct name_map names_gemma2, names_phi3, names_gpt2, names_gpt_neox, names_olmo2,
    names_starcoder2, names_mixtral;

#endif
