/*
 * config: the table that describes one decoder, filled from config.json or from GGUF keys.
 *
 * Everything that computes, converts or plans reads this table and nothing else about the
 * architecture. A key that is neither understood nor known to be without effect is an error that
 * names it: a model is never computed as something that it isn't.
 *
 * One layer, with x [T, H] the residual stream:
 *
 *   sequential    x += r * post(attention(pre(x)));  x += r * post(mlp(pre(x)))
 *   parallel      x += r * (attention(pre(x)) + mlp(pre'(x))), both from the same x
 *   shared norm   x += r * (attention(n) + mlp(n)), n = pre(x)
 *
 * where r is residual_scale and pre or post is nothing where the model has no such norm.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/activation.h"
#include "formats/checkpoint.h"
#include "model/rope.h"

enum { CONFIG_MAX_LAYERS = 1000 };

enum norm_kind {
    NORM_RMS,   /* w * x / sqrt(mean(x^2) + eps) */
    NORM_LAYER, /* w * (x - mean(x)) / sqrt(var(x) + eps) + b */
};

/* A norm of queries and keys before they are rotated, of the kind of the other norms. */
enum qk_norm {
    QK_NORM_NONE,
    QK_NORM_HEAD,  /* each head by itself, w [D] for all of them */
    QK_NORM_WHOLE, /* all heads together, w [n_heads * D] and [n_kv_heads * D] */
};

enum residual {
    RESIDUAL_SEQUENTIAL,
    RESIDUAL_PARALLEL,    /* attention and MLP read the same x, each through its norm */
    RESIDUAL_SHARED_NORM, /* ... both through SLOT_ATTN_NORM */
};

/* How the projections to queries, keys and values are stored. */
enum qkv_layout {
    QKV_SEPARATE, /* SLOT_Q, SLOT_K, SLOT_V */
    QKV_BLOCKS,   /* SLOT_QKV: rows of all queries, then of all keys, then of all values */
    QKV_PER_HEAD, /* SLOT_QKV: for each head D rows of queries, keys, values; n_kv_heads = n_heads
                   */
};

/* What distinguishes a layer: a set of these. */
enum layer_flag {
    LAYER_WINDOW = 1,     /* attends to the last `window` positions only */
    LAYER_NO_ROPE = 2,    /* queries and keys are not rotated */
    LAYER_LOCAL_ROPE = 4, /* rotated by local_rope */
    LAYER_EXPERTS = 8,    /* its MLP is a mixture of experts */
};

struct name_map; /* model/names.h */

struct model_config {
    char architecture[32];        /* model_type: "llama", whatever a GGUF file calls it */
    const struct name_map *names; /* what its tensors are called */
    bool gguf_pairs; /* llama.cpp rotates it pair by pair, and GGUF files have the rows of queries
                        and keys in that order */
    size_t n_layers;
    size_t hidden;     /* H: width of the residual stream */
    size_t ffn;        /* F: width inside the MLP */
    size_t n_heads;    /* query heads */
    size_t n_kv_heads; /* divides n_heads */
    size_t head_dim;   /* D, even */
    size_t vocab;      /* V: rows of the embedding */
    size_t max_positions;
    bool tied; /* the output matrix is the token embedding */
    uint8_t layer_flags[CONFIG_MAX_LAYERS];

    enum norm_kind norm;
    bool norm_bias;     /* of SLOT_NORM, SLOT_ATTN_NORM, SLOT_MLP_NORM */
    bool norm_plus_one; /* Hugging Face folders, and so PEFT's, keep w - 1 for every norm's w; GGUF
                           files keep w (gemma) */
    bool pre_norms, post_norms; /* of both halves of a layer: before, after, or both */
    enum qk_norm qk_norm;
    enum residual residual;
    double norm_eps;

    enum qkv_layout qkv;
    bool qkv_bias, o_bias;
    double attention_scale;   /* of q . k: mostly 1/sqrt(D) */
    double attention_softcap; /* c: a score s becomes c tanh(s / c), before the mask; 0: none */
    size_t window; /* w: in layers with LAYER_WINDOW position t attends to t-w+1 .. t; 0: none */

    bool gated;         /* down(act(gate(x)) * up(x)), else down(act(up(x))) */
    bool fused_gate_up; /* SLOT_GATE_UP: rows of gate, then of up */
    bool mlp_bias;
    enum activation activation;

    bool learned_positions; /* SLOT_POSITIONS [max_positions, H] is added to the embedding; a longer
                               document is an error. rotary_dim is 0 then */
    size_t rotary_dim;      /* the first of a head's D dimensions that are rotated: i with
                               i + rotary_dim / 2. Even, at most D */
    struct rope_config rope, local_rope;

    double embed_scale;    /* of the embedding's rows, as float32 */
    double residual_scale; /* r above */
    double logit_scale;    /* of the logits, before the cap */
    double final_softcap;  /* of the logits; 0: none */

    bool transposed; /* Hugging Face folders keep the layers' matrices as [in, out] (gpt2); GGUF
                        files, and shapes in names.h, have [out, in] */

    /*
     * Mixture of experts: p = softmax(router(x)) over all experts; the experts_used largest p,
     * divided by their sum with norm_topk, weigh the outputs of those experts.
     */
    size_t n_experts, experts_used, expert_ffn;
    bool norm_topk;

    int64_t bos, eos, pad; /* -1: none; the first one where there are several */
};

/* Fills config from an opened model and checks that the sizes fit each other. */
int config_load(struct model_config *config, const struct checkpoint *c, struct err *err);

#endif
