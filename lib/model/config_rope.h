/*
 * config_rope: rotary embeddings as either format writes them down. For keys_rope, and for who
 * writes the tensors.
 */
#ifndef MODEL_CONFIG_ROPE_H
#define MODEL_CONFIG_ROPE_H

#include "model/config_keys.h"

/* Yarn's 0.1 mscale ln(factor) + 1 (arXiv:2309.00071, eq. 22). */
double rope_yarn_scale(double factor, double mscale);

void rope_from_gguf(struct config_keys *k, struct model_config *c, const struct rope_keys *names);
void rope_to_gguf(struct config_keys *k, struct model_config *c, const struct rope_keys *names);
void rope_to_json(struct config_keys *k, struct model_config *c, const struct rope_keys *names);

/* The parameters that give llama3's divisors; false: they are no such scaling. */
bool rope_llama3_of_divisors(const struct rope_config *rope, size_t rotary_dim,
                             struct rope_config *found);

/* A tensor of divisors [n] that a GGUF file needs beside the keys. */
struct rope_tensor {
    const char *name; /* "rope_freqs.weight" */
    size_t n;
    float divisors[ROPE_MAX_PAIRS];
};
size_t rope_gguf_tensors(const struct model_config *c, struct rope_tensor out[2]);

#endif
