/*
 * adapter: a LoRA adapter on disk, as PEFT writes and reads it: a folder with adapter_config.json
 * and adapter_model.safetensors.
 *
 * The change to the matrix W [out, in] of a module is scale * B A, with A [r, in] and B [out, r]
 * (Hu et al. 2021, arXiv:2106.09685), and with a magnitude [out] DoRA's (model/lora.h). Modules
 * carry the names of the Hugging Face model, "model.layers.3.self_attn.q_proj". What the file holds
 * is a view of its mapping, in the type it has there. A key of the configuration that would change
 * the result and isn't understood is an error that names it, and so is a tensor that isn't.
 */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/lora.h"

struct adapter;

struct adapter_pair {
    const char *module; /* "model.layers.3.self_attn.q_proj" */
    size_t in, out, r;
    double scale; /* alpha / r, or alpha / sqrt(r) for rsLoRA, with the patterns' r and alpha */
    const struct tensor *a, *b;
    const struct tensor *magnitude; /* [out]; NULL: no DoRA */
};

/* A weight that the adapter replaces (modules_to_save, bias). */
struct adapter_whole {
    const char *name; /* "model.embed_tokens.weight" */
    const struct tensor *tensor;
};

int adapter_load(struct adapter **a, const char *path, struct err *err);
void adapter_free(struct adapter *a); /* NULL is allowed */

const char *adapter_path(const struct adapter *a);
const json_t *adapter_config(const struct adapter *a); /* adapter_config.json as it was read */
size_t adapter_count(const struct adapter *a);         /* pairs, sorted by module */
const struct adapter_pair *adapter_at(const struct adapter *a, size_t i);
size_t adapter_whole_count(const struct adapter *a);
const struct adapter_whole *adapter_whole_at(const struct adapter *a, size_t i);
/* By the tensor's Hugging Face name, "model.layers.3.self_attn.q_proj.weight"; NULL where the
 * adapter leaves it alone. */
const struct adapter_pair *adapter_find(const struct adapter *a, const char *tensor);
const struct adapter_whole *adapter_find_whole(const struct adapter *a, const char *tensor);
/* The pair as float32: a [r, in], b [out, r]. */
void adapter_pair_values(const struct adapter_pair *p, float *a, float *b);
/* DoRA's last step when it is merged: v [n, in] = rows [row, row + n) of W + scale * B A become
 * magnitude_i * v_i / |v_i|. Without a magnitude they stay. */
void adapter_pair_normalise(const struct adapter_pair *p, size_t row, size_t n, float *v);

/* How it was made, by its metadata; NULL if it doesn't say. */
const char *adapter_provenance(const struct adapter *a);
/* XXH3-128 over its configuration and tensors. */
void adapter_hash(const struct adapter *a, char hex[33]);

/*
 * Checks that the adapter is one for such a model: every pair and every whole weight has its tensor
 * there with its shape, and every matrix that the configuration targets has its pair.
 */
int adapter_check(const struct adapter *a, const struct model_config *config, struct err *err);

/* The adapter as the decoder computes with it; checks it first. */
int adapter_lora(struct lora **l, const struct adapter *a, const struct model_config *config,
                 bool training, struct err *err);

extern const char *const adapter_bias_choices[]; /* "none", "all", "lora_only": for OPT_CHOICE */

/* A new adapter as a command line says it: NULL for what it leaves out. */
struct adapter_options {
    size_t rank;
    double alpha, dropout;
    bool rslora, dora;
    const char *targets;  /* names of PEFT's target_modules with commas between, "all-linear", or a
                             pattern for whole paths: it has one of ( [ | * + ? ^ $ or a backslash */
    const char *excluded; /* the same, exclude_modules */
    const char *layers;   /* "0,4-7": layers_to_transform */
    const char *rank_pattern, *alpha_pattern; /* "NAME=NUMBER,..." */
    const char *saved;                        /* names, modules_to_save */
    const char *bias;                         /* "none", "all", "lora_only" */
};

/* The configuration of a new adapter, as PEFT writes one; NULL with an error. base is what
 * adapter_base_name says of the model. The caller decrefs it. */
json_t *adapter_config_new(const struct adapter_options *options, const struct model_config *config,
                           const char *base, struct err *err);
/*
 * The adapter that a configuration describes, for training, all zeros. A name in it that nothing
 * in the model has is an error. With `part` each pair has twice the rank, and its second half is
 * constant (model/lora_init.h): adapter_config_double makes the configuration say so.
 */
int adapter_new(struct lora **l, const json_t *config, const struct model_config *model, bool part,
                struct err *err);
void adapter_config_double(json_t *config);
/*
 * What to call the base in an adapter: its Hugging Face name where config.json says one, else the
 * last part of the path, never a path of this machine. The caller frees it.
 */
char *adapter_base_name(const struct checkpoint *c);

/*
 * Writes a folder that PEFT and vLLM load: tensors as F32, sorted by name; keys sorted; the same
 * bytes for the same values. provenance may be NULL. Each file appears whole or not at all, the
 * configuration last.
 */
int adapter_save(const char *folder, const json_t *config, const struct lora *l,
                 const struct model_config *model, const char *provenance, struct err *err);

#endif
