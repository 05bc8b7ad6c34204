/*
 * adapter_mix: the adapters of a command line, ADAPTER[:WEIGHT], as one.
 *
 * Their changes add up: W + sum_i weight_i * scale_i * B_i A_i. That is one low-rank pair again:
 * the A_i stacked, and the B_i, with their factors in them, side by side.
 */
#ifndef MODEL_ADAPTER_MIX_H
#define MODEL_ADAPTER_MIX_H

#include <stddef.h>

#include "base/err.h"
#include "model/config.h"
#include "model/lora.h"

/*
 * Splits ADAPTER[:WEIGHT]: what follows the last colon is a weight if it is a finite number, unless
 * the whole is the name of something that exists. *path is the caller's; *weight is 1 if not given.
 */
void adapter_spec_parse(const char *spec, char **path, double *weight);

/* Loads specs [n], checks them against the model and adds them up. n = 0: *l is NULL. */
int adapter_mix_load(struct lora **l, const char *const *specs, size_t n,
                     const struct model_config *config, struct err *err);

/* parts [n] times weights [n] as one adapter; the parts stay the caller's. */
int lora_mix(struct lora **l, const struct model_config *config, struct lora *const *parts,
             const double *weights, size_t n, struct err *err);

#endif
