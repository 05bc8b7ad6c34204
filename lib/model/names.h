/*
 * names: what each tensor of a decoder is called, in Hugging Face folders and in GGUF files.
 *
 * Hugging Face names and row order are the canonical ones. In GGUF files of the llama architecture
 * the rows of attn_q and attn_k are reordered within each head of D rows: canonical row
 * h*D + j*D/2 + i is stored as row h*D + 2*i + j (j = 0, 1).
 */
#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/config.h"

enum slot {
    SLOT_EMBED, /* [V, H] */
    SLOT_NORM,  /* [H]: the last norm */
    SLOT_HEAD,  /* [V, H]: the output matrix; absent when tied */
    SLOT_LAYER_FIRST,
    SLOT_ATTN_NORM = SLOT_LAYER_FIRST, /* [H] */
    SLOT_Q,                            /* [n_heads * D, H] */
    SLOT_K,                            /* [n_kv_heads * D, H] */
    SLOT_V,
    SLOT_O, /* [H, n_heads * D] */
    SLOT_MLP_NORM,
    SLOT_GATE, /* [F, H] */
    SLOT_UP,   /* [F, H] */
    SLOT_DOWN, /* [H, F] */
    SLOT_Q_BIAS,
    SLOT_K_BIAS,
    SLOT_V_BIAS,
    SLOT_O_BIAS,
    SLOT_GATE_BIAS,
    SLOT_UP_BIAS,
    SLOT_DOWN_BIAS,
    SLOT_COUNT,
};

enum { NAME_SIZE = 160 };

struct tensor_name {
    enum slot slot;
    size_t layer;           /* 0 for slots outside of layers */
    char hf[NAME_SIZE];     /* "model.layers.3.self_attn.q_proj.weight" */
    char gguf[NAME_SIZE];   /* "blk.3.attn_q.weight" */
    char module[NAME_SIZE]; /* hf without ".weight" / ".bias": what LoRA targets and PEFT name */
    uint64_t rows, cols;    /* a vector has cols = 0 */
    size_t n_dims;          /* 1 or 2 */
    bool linear; /* a linear layer's matrix that LoRA can target ("all-linear": not the head) */
    size_t gguf_head_dim; /* not 0: GGUF stores rows reordered within heads of that many rows */
};

/* Whether the model has that tensor (biases, an untied head). */
bool names_has(const struct model_config *config, enum slot slot);
void names_describe(const struct model_config *config, enum slot slot, size_t layer,
                    struct tensor_name *out);

/* All tensors of the model, in the order embed, layers, norm, head. */
size_t names_count(const struct model_config *config);
void names_at(const struct model_config *config, size_t i, struct tensor_name *out);

/* Finds by Hugging Face name or by GGUF name; false if the model has no such tensor. */
bool names_find_hf(const struct model_config *config, const char *name, struct tensor_name *out);
bool names_find_gguf(const struct model_config *config, const char *name, struct tensor_name *out);

/* Whether the module's path is the ending or ends in it at a dot: how PEFT's lists name modules. */
bool names_ends_in(const char *module, const char *ending);

/* Last part of a module path, "q_proj", or NULL for a slot that is no linear layer. */
const char *names_linear(enum slot slot);

/* Checks that the checkpoint holds exactly the model's tensors with their shapes: a missing one or
 * one left over is named. */
int names_check(const struct model_config *config, const struct checkpoint *c, struct err *err);

#endif
