/*
 * adapter_config: what adapter_config.json means: which modules an adapter changes, with which rank
 * and scale. Used by adapter*.c and full.c.
 */
#ifndef MODEL_ADAPTER_CONFIG_H
#define MODEL_ADAPTER_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/config.h"

enum adapter_bias { BIAS_NONE, BIAS_ALL, BIAS_OF_TARGETS };

/* Views of the JSON object, which must outlive it. NULL where the key is absent or null. */
struct adapter_settings {
    size_t r;
    double alpha;
    bool rslora, dora;
    enum adapter_bias bias;
    const json_t *rank_pattern, *alpha_pattern;
    const json_t *targets, *excluded; /* a string (a pattern) or an array of endings */
    const json_t *layers, *layers_pattern;
    const json_t *whole; /* modules_to_save */
};

/* Refuses a key that would change the result and is not understood, naming it. */
int adapter_settings_read(struct adapter_settings *s, const json_t *config, struct err *err);

/* Whether the configuration puts a LoRA pair on a module. `linear`: "all-linear" means it too. */
int adapter_settings_target(const struct adapter_settings *s, const char *module, bool linear,
                            bool *targeted, struct err *err);

/* Whether a name in modules_to_save means the module: the path of it, or of a module that it is a
 * part of, ends in the name. At any letter: PEFT's "norm" is also every "input_layernorm". */
bool adapter_saves(const char *name, const char *module);

/* Whether a tensor of the base ("model.norm.weight") is trained whole: by modules_to_save or bias.
 */
int adapter_settings_tensor(const struct adapter_settings *s, const char *tensor, bool *whole,
                            struct err *err);

/* Fails at an ending in a list that no module of the model has; what is the option's name. */
int adapter_check_known(const json_t *list, const char *what, const struct model_config *model,
                        struct err *err);

/* Rank and scale of a module's pair, by rank_pattern and alpha_pattern. */
int adapter_settings_scale(const struct adapter_settings *s, const char *module, size_t *r,
                           double *scale, struct err *err);

#endif
