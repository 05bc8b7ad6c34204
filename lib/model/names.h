/*
 * names: what each tensor of a decoder is called, in Hugging Face folders and in GGUF files.
 *
 * Hugging Face names and row order are the canonical ones, and shapes are those of the linear layer
 * [out, in] even where a file keeps the matrix transposed (config.h). In GGUF files some
 * architectures have rows in another order (struct row_order).
 */
#ifndef MODEL_NAMES_H
#define MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/matrix.h"
#include "model/config.h"

/* A part of the model with a weight, and perhaps a bias: SLOT_BIAS of the same. */
enum slot {
    SLOT_EMBED,     /* [V, H] */
    SLOT_POSITIONS, /* [max_positions, H]: learned positions */
    SLOT_NORM,      /* [H]: the last norm */
    SLOT_HEAD,      /* [V, H]: the output matrix; absent when tied */
    SLOT_LAYER_FIRST,
    SLOT_ATTN_NORM = SLOT_LAYER_FIRST, /* [H]: before attention */
    SLOT_Q,                            /* [n_heads * D, H] */
    SLOT_K,                            /* [n_kv_heads * D, H] */
    SLOT_V,
    SLOT_QKV,    /* [(n_heads + 2 n_kv_heads) * D, H]: instead of the three, by qkv_layout */
    SLOT_Q_NORM, /* [D] or [n_heads * D] */
    SLOT_K_NORM, /* [D] or [n_kv_heads * D] */
    SLOT_O,      /* [H, n_heads * D] */
    SLOT_ATTN_POST_NORM, /* [H]: of attention's output, before it is added */
    SLOT_MLP_NORM,       /* [H]: before the MLP */
    SLOT_GATE,           /* [F, H] */
    SLOT_UP,             /* [F, H]; the first matrix of an MLP without gate */
    SLOT_GATE_UP,        /* [2 F, H]: instead of the two */
    SLOT_DOWN,           /* [H, F] */
    SLOT_ROUTER,         /* [n_experts, H]: which experts a token goes to */
    SLOT_EXPERT_GATE,    /* [expert_ffn, H], one for each expert; instead of the MLP's */
    SLOT_EXPERT_UP,      /* [expert_ffn, H] */
    SLOT_EXPERT_DOWN,    /* [H, expert_ffn] */
    SLOT_MLP_POST_NORM,  /* [H]: of the MLP's output, before it is added */
    SLOT_WEIGHTS,
    SLOT_COUNT = 2 * SLOT_WEIGHTS,
};

#define SLOT_BIAS(owner) ((enum slot)((owner) + SLOT_WEIGHTS))

static inline bool slot_is_bias(enum slot slot)
{
    return slot >= SLOT_WEIGHTS;
}

/* Whose bias it is; the slot itself where it is none. */
static inline enum slot slot_owner(enum slot slot)
{
    return slot_is_bias(slot) ? (enum slot)(slot - SLOT_WEIGHTS) : slot;
}

static inline bool slot_in_layer(enum slot slot)
{
    return slot_owner(slot) >= SLOT_LAYER_FIRST;
}

/* There is one for each expert. */
static inline bool slot_is_of_expert(enum slot slot)
{
    return slot >= SLOT_EXPERT_GATE && slot <= SLOT_EXPERT_DOWN;
}

/* The matrix of a linear layer that LoRA can target ("all-linear": not the head). */
bool slot_is_linear(enum slot slot);

/* A norm's w: [n], no bias. */
bool slot_is_norm(enum slot slot);

/* What a linear layer is for, whatever the architecture calls it: "q", "gate_up"; NULL for other
 * slots. And back; false if there is none. */
const char *slot_name(enum slot slot);
bool slot_by_name(const char *name, enum slot *slot);

/* A number for what is random about that layer's matrix: by slot_name, so that it stays the same
 * when slots are added. */
uint64_t slot_stream(enum slot slot, size_t layer);

/* What an architecture calls them: paths of modules, without ".weight" and ".bias"; %zu stands for
 * the layer, a second one for the expert. */
struct name_map {
    const struct name_map *rest; /* has the slots that are NULL here */
    struct slot_name {
        const char *hf, *gguf;
    } slots[SLOT_WEIGHTS];
    const char *derived[3]; /* endings of tensors of masks in old folders, which say nothing */
};

extern const struct name_map names_llama;

enum { NAME_SIZE = 160 };

struct tensor_name {
    enum slot slot;
    size_t layer;           /* 0 for slots outside of layers */
    size_t expert;          /* 0 for slots that aren't an expert's */
    char hf[NAME_SIZE];     /* "model.layers.3.self_attn.q_proj.weight" */
    char gguf[NAME_SIZE];   /* "blk.3.attn_q.weight" */
    char module[NAME_SIZE]; /* hf without ".weight" / ".bias": what LoRA targets and PEFT name */
    uint64_t rows, cols;    /* of the linear layer: [out, in]. A vector has cols = 0 */
    size_t n_dims;          /* 1 or 2 */
    bool linear;            /* slot_is_linear */
    bool transposed;        /* a Hugging Face folder has it as [cols, rows] */
    struct row_order gguf_rows; /* where GGUF files have the rows */
};

/* Whether that layer of the model has that tensor. layer: 0 for slots outside of layers. */
bool names_has(const struct model_config *config, enum slot slot, size_t layer);
/* Whether any layer has it. */
bool names_has_anywhere(const struct model_config *config, enum slot slot);
void names_describe(const struct model_config *config, enum slot slot, size_t layer,
                    struct tensor_name *out);
void names_describe_expert(const struct model_config *config, enum slot slot, size_t layer,
                           size_t expert, struct tensor_name *out);

/* All tensors of the model, in the order embed, positions, layers, norm, head. */
size_t names_count(const struct model_config *config);
void names_at(const struct model_config *config, size_t i, struct tensor_name *out);

/* The model's tensor in the file; NULL if it lacks it. Some Hugging Face folders are without the
 * first part of names ("transformer.", "model."). */
const struct tensor *names_tensor(const struct checkpoint *c, const struct tensor_name *name);

/* Finds by Hugging Face name or by GGUF name; false if the model has no such tensor. */
bool names_find_hf(const struct model_config *config, const char *name, struct tensor_name *out);
bool names_find_gguf(const struct model_config *config, const char *name, struct tensor_name *out);

/* Whether the module's path is the ending or ends in it at a dot: how PEFT's lists name modules. */
bool names_ends_in(const char *module, const char *ending);

/* Last part of the module path of a linear layer, "q_proj". Two may have the same ("c_proj"). */
const char *names_linear(const struct model_config *config, enum slot slot);

/* Checks that the checkpoint holds exactly the model's tensors with their shapes: a missing one or
 * one left over is named. */
int names_check(const struct model_config *config, const struct checkpoint *c, struct err *err);

#endif
