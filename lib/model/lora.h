/*
 * lora: what one adapter adds to a model as the decoder computes with it, and its gradients.
 *
 * A pair changes a matrix: y = W x + scale * B (A x), A [r, in], B [out, r] (Hu et al. 2021,
 * arXiv:2106.09685); scale is alpha/r, or alpha/sqrt(r) for rsLoRA (arXiv:2312.03732). With a
 * magnitude m [out] it is DoRA's (Liu et al. 2024, arXiv:2402.09353, eq. 5): row i of the matrix is
 * m_i (W + scale B A)_i / |(W + scale B A)_i|.
 *
 * A weight takes the place of one of the base's tensors: a whole matrix or vector that is trained
 * itself (PEFT's modules_to_save and bias). Full fine-tuning is all weights and no pairs.
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
    size_t fixed;           /* the last so many of the r are constant: no gradient, no update */
    float *a, *b;           /* views into lora.params */
    float *magnitude;       /* the same, [out]; NULL: no DoRA */
    float *grad_a, *grad_b; /* views into lora.grads; NULL when not training */
    float *grad_magnitude;  /* the same */
    float *gain, *inverse;  /* DoRA, [out]: m_i / n_i and 1 / n_i, n_i the row's norm; kept by the
                               decoder, as is */
    double *square;         /* [out]: |W_i|^2 */
};

struct lora_weight {
    enum slot slot;
    size_t layer;      /* 0 for slots outside of layers */
    size_t rows, cols; /* in Hugging Face's order; a vector has cols = 0 */
    float *values;     /* view into lora.params */
    float *grad;       /* view into lora.grads; NULL when not training */
};

/* Pairs and weights are in the order of layers, then of slots. All parameters are one array: a, b
 * and magnitude of each pair in turn, then the weights, so that an optimiser sees one vector. */
struct lora {
    struct lora_pair *pairs;
    size_t n_pairs;
    struct lora_weight *weights;
    size_t n_weights;
    float *params, *grads;
    size_t n_params;
    double dropout;                     /* on the input of A, while training */
    bool dora;                          /* all pairs have magnitudes; else none has */
    uint64_t version, gains_version;    /* of params; that gains were computed for: 0 for none */
    struct lora_pair **pair_lookup;     /* [n_layers * SLOT_COUNT] */
    struct lora_weight **weight_lookup; /* the same */
};

/* Shapes and values, for lora_new. */
struct lora_parts {
    const struct lora_pair *pairs; /* a and b NULL: zeros; magnitude not NULL: DoRA */
    size_t n_pairs;
    const struct lora_weight *weights; /* values NULL: zeros */
    size_t n_weights;
    bool dora; /* pairs have magnitudes, zero where none is given */
};

/*
 * An adapter of given shapes (slot, layer, in, out, r, scale, fixed; slot, layer, rows, cols) and
 * values, which are copied. With `training` gradients are there too.
 */
int lora_new(struct lora **l, const struct model_config *config, const struct lora_parts *parts,
             bool training, struct err *err);
/* The same of pairs alone. */
int lora_from_pairs(struct lora **l, const struct model_config *config,
                    const struct lora_pair *pairs, size_t n, bool training, struct err *err);
void lora_free(struct lora *l);

/* To be called when parameters were changed. */
void lora_changed(struct lora *l);

/* NULL where the adapter leaves that matrix or tensor alone. l may be NULL. */
const struct lora_pair *lora_find(const struct lora *l, size_t layer, enum slot slot);
const struct lora_weight *lora_find_weight(const struct lora *l, size_t layer, enum slot slot);
size_t lora_weight_size(const struct lora_weight *w); /* numbers in it */
size_t lora_max_rank(const struct lora *l);
/* The lowest layer with a pair or a weight, where the way back ends; n_layers if there is none. */
size_t lora_first_layer(const struct lora *l, size_t n_layers);

/* The same adapter with other parameters [n_params], to be saved: a view of l and of params without
 * gradients and lookup tables, released with lora_view_release. */
struct lora lora_view(const struct lora *l, float *params);
void lora_view_release(struct lora *view);

/* Sets the gradients of what is constant to zero. */
void lora_clear_fixed(struct lora *l);

/*
 * Hands all trained parameters to fn as stretches [first, first + n) of one kind: `raised` for B
 * matrices and vectors, which LoRA+ gives a higher rate (Hayou et al. 2024, arXiv:2402.12354).
 */
void lora_stretches(const struct lora *l,
                    void (*fn)(void *arg, size_t first, size_t n, bool raised), void *arg);

#endif
