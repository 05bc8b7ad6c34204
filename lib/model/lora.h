/*
 * lora: the low-rank pairs of one adapter as the decoder computes with them, and their gradients.
 *
 * y = W x + scale * B (A x), A [r, in], B [out, r] (Hu et al. 2021, arXiv:2106.09685); scale is
 * alpha/r, or alpha/sqrt(r) for rsLoRA (arXiv:2312.03732).
 */
#ifndef MODEL_LORA_H
#define MODEL_LORA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/config.h"
#include "model/names.h"

struct lora_pair {
    enum slot slot;
    size_t layer;
    size_t in, out, r;
    float scale;
    float *a, *b;           /* views into lora.params */
    float *grad_a, *grad_b; /* views into lora.grads; NULL when not training */
};

/* Pairs are in the order of layers, then of slots. All parameters are one array, a and b of each
 * pair in turn, so that an optimiser sees one vector. */
struct lora {
    struct lora_pair *pairs;
    size_t n_pairs;
    float *params, *grads;
    size_t n_params;
    double dropout;            /* on the input of A, while training */
    struct lora_pair **lookup; /* [n_layers * SLOT_COUNT] */
};

struct lora_options {
    size_t rank;
    double alpha;
    bool rslora;
    double dropout;
    const char *const
        *targets; /* module name endings ("q_proj", "layers.0.mlp.up_proj"), n_targets of them */
    size_t n_targets; /* or the single word "all-linear" */
    uint64_t seed;
};

/* A fresh adapter for training: A uniform in +-1/sqrt(in) as PEFT's default, B zero. A target that
 * matches no linear layer is an error that names it and the names there are. */
int lora_new(struct lora **l, const struct model_config *config, const struct lora_options *options,
             struct err *err);

/*
 * An adapter of given shapes: pairs[n] (slot, layer, in, out, r, scale; a and b point to the
 * caller's values, which are copied). With `training` gradients are there too.
 */
int lora_from_pairs(struct lora **l, const struct model_config *config,
                    const struct lora_pair *pairs, size_t n, bool training, struct err *err);
void lora_free(struct lora *l);

/* NULL where the adapter leaves that matrix alone. l may be NULL. */
const struct lora_pair *lora_find(const struct lora *l, size_t layer, enum slot slot);
size_t lora_max_rank(const struct lora *l);
/* The lowest layer with a pair, where the way back ends; n_layers if there is none. */
size_t lora_first_layer(const struct lora *l, size_t n_layers);

#endif
