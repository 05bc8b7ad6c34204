/*
 * config: the table that describes one decoder, filled from config.json or from GGUF keys.
 *
 * Everything that computes, converts or plans reads this table and nothing else about the
 * architecture. A key that is neither understood nor known to be without effect is an error that
 * names it: a model is never computed as something that it isn't.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/checkpoint.h"

enum rope_scaling {
    ROPE_DEFAULT,
    ROPE_LINEAR, /* frequencies divided by factor */
    ROPE_LLAMA3, /* low frequencies divided by factor, high ones kept, a ramp between */
};

struct rope_config {
    enum rope_scaling scaling;
    double theta;
    double factor;
    double low_freq_factor, high_freq_factor; /* llama3 */
    uint64_t original_positions;              /* llama3: positions trained on before scaling */
    const void *divisors; /* GGUF's rope_freqs.weight: float32 [head_dim / 2] inside the mapping,
                             perhaps unaligned; NULL for none */
};

struct model_config {
    char architecture[32]; /* model_type: "llama" */
    size_t n_layers;
    size_t hidden;     /* H: width of the residual stream */
    size_t ffn;        /* F: width inside the MLP */
    size_t n_heads;    /* query heads */
    size_t n_kv_heads; /* divides n_heads */
    size_t head_dim;   /* D, even */
    size_t vocab;      /* V: rows of the embedding */
    size_t max_positions;
    double norm_eps;
    bool attention_bias; /* biases on q, k, v and o */
    bool mlp_bias;       /* biases on gate, up and down */
    bool tied;           /* the output matrix is the token embedding */
    struct rope_config rope;
    int64_t bos, eos, pad; /* -1: none; the first one where there are several */
};

/* Fills config from an opened model and checks that the sizes fit each other. */
int config_load(struct model_config *config, const struct checkpoint *c, struct err *err);

/*
 * inv_freq [head_dim / 2]: radians a position for each pair of a head, as transformers computes
 * them (float32, scaling applied).
 */
void config_inv_freq(const struct model_config *config, float *inv_freq);

#endif
