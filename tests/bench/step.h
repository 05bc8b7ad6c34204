/*
 * step: the matrix products of one step of LoRA training, in the order in which they are made, for
 * programs that make these products and nothing else: a ceiling for what training can reach.
 *
 * It is the step of a llama-like model with adapters of one rank on all linear layers, on whole
 * documents of one length. Gradients of frozen weights aren't among the products, logits are made
 * of targets alone, attention is causal in tiles, and the way back ends at the lowest adapter.
 */
#ifndef BENCH_STEP_H
#define BENCH_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum product_kind {
    PRODUCT_FORWARD,        /* y [m, n] = x [m, k] W^T + h [m, r] B^T */
    PRODUCT_BACKWARD,       /* dx [m, k] = dy [m, n] W + dh [m, r] A */
    PRODUCT_DOWN,           /* h [m, r] = x [m, k] A^T, of all matrices that share x */
    PRODUCT_DOWN_BACKWARD,  /* dh [m, r] = dy [m, n] B */
    PRODUCT_GRAD_A,         /* dA [r, k] = dh [m, r]^T x [m, k] */
    PRODUCT_GRAD_B,         /* dB [n, r] = dy [m, n]^T h [m, r] */
    PRODUCT_ATTEND,         /* scores and sums of values of all documents */
    PRODUCT_ATTEND_BACKWARD /* scores again, dP, dV, dQ and dK */
};

struct product {
    enum product_kind kind;
    size_t matrix; /* which of `weights`, for FORWARD and BACKWARD */
    size_t m, n, k, r;
};

struct weight {
    size_t n, k;
};

/* Causal attention is computed for blocks of queries with all keys up to the block's end. */
enum { STEP_QUERIES = 64, STEP_KEYS = 256 };

struct step {
    size_t tokens, documents, length;
    size_t n_heads, n_kv_heads, head_dim;
    struct weight *weights; /* those of some layers, taken in turn, and the output matrix */
    size_t n_weights;
    struct product *products;
    size_t n_products;
    double operations; /* two for each multiplication and addition */
};

/* Of the model at path; its documents have `length` tokens, all but the first of each a target. */
int step_open(struct step *s, const char *model, size_t documents, size_t length, size_t rank,
              struct err *err);
void step_release(struct step *s);

/* What products are made with. */
struct arithmetic {
    const char *name;
    void *(*open)(const struct step *s, size_t threads, struct err *err); /* NULL: an error */
    void (*multiply)(void *with, const struct product *p);
    void (*close)(void *with);
};

extern const struct arithmetic arithmetic_own;  /* lib/compute, as training has it */
extern const struct arithmetic arithmetic_dnnl; /* oneDNN: weights packed in advance, both ways */

/* Deterministic bfloat16 numbers between 1/4 and 1. The caller frees them. */
void *step_numbers(size_t n);

#endif
