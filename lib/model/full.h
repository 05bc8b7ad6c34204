/*
 * full: fine-tuning of a model's own weights: which of them, and the folder that they become.
 *
 * Every trained tensor is held in float32, as an adapter's weight (model/lora.h), whatever type the
 * base has; it is rounded once, when the model is written.
 */
#ifndef MODEL_FULL_H
#define MODEL_FULL_H

#include <stddef.h>

#include "base/err.h"
#include "formats/checkpoint.h"
#include "model/decoder.h"
#include "model/lora.h"

struct full_options {
    const char *targets;  /* as adapter_options has them; NULL: everything */
    const char *excluded; /* the same; NULL: nothing */
    const char *layers;   /* "0,4-7": only what lies in these layers; NULL: any */
};

/* The weights and biases of the chosen modules with the base's values, for training. */
int full_new(struct lora **l, struct decoder *d, const struct full_options *options,
             struct err *err);

enum full_type { FULL_AS_BASE, FULL_F32, FULL_F16, FULL_BF16 };
extern const char *const full_type_choices[]; /* "base", "f32", "f16", "bf16": for OPT_CHOICE */

struct full_output {
    const struct checkpoint *base; /* a Hugging Face folder */
    const struct model_config *model;
    enum full_type type;
    size_t shard_bytes; /* of the largest file of weights; a larger tensor goes alone */
    const char *provenance;
};

/* Whether a model can be written to the folder: the base is a folder, and a different one, and what
 * lies in the other isn't somebody else's model. */
int full_check_folder(const char *folder, const struct checkpoint *base, struct err *err);
/* Removes an earlier model's config.json and weights, config.json first. */
int full_drop(const char *folder, struct err *err);
/* Writes a Hugging Face folder: the base's tensors with the trained ones in their place, its
 * tokenizer and other files, config.json last. Each file appears whole or not at all. */
int full_save(const char *folder, const struct full_output *out, const struct lora *l,
              struct err *err);

#endif
