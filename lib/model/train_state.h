/*
 * train_state: all that a training run needs to go on as if it had never stopped.
 *
 * One .safetensors file, replaced atomically: the adapter's parameters and AdamW's two moments as
 * flat arrays, and in the metadata the options, the position, and the hashes of everything that
 * the run reads. Nothing in it depends on paths, times or the machine; random numbers need no state
 * since they are functions of seed and position. A hash over all of it is checked when it is read.
 */
#ifndef MODEL_TRAIN_STATE_H
#define MODEL_TRAIN_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "model/lora.h"
#include "model/train_options.h"

struct train_progress {
    uint64_t step;            /* optimiser steps done */
    uint64_t tokens, trained; /* tokens computed and targets learnt from, since the first step */
    uint64_t steps;           /* planned */
    uint64_t warmup, decay;   /* of the schedule, in steps */
    uint64_t evaluated;       /* the last step whose evaluation is done; 0: none */
    uint64_t best_step;       /* 0: no evaluation yet */
    double best_loss;
    uint64_t since_best; /* evaluations that were no better */
    bool stopped_early;
    struct spike_memory spikes; /* of a run that looks for them */
};

struct train_hashes {
    char base[HASH_HEX], rows[HASH_HEX];
    char held[HASH_HEX];    /* "": no evaluation */
    char initial[HASH_HEX]; /* "": a fresh adapter */
};

/* Views for saving; owned by nobody here. */
struct train_arrays {
    const struct lora *lora;
    const float *m, *v;     /* [lora->n_params]; v NULL: the optimiser has none */
    const float *best;      /* [lora->n_params], NULL: none */
    const float *reference; /* [n_reference], NULL: none (yet) */
    size_t n_reference;
    const json_t *adapter_config;
    const struct model_config *model;
};

int train_state_save(const char *path, const struct train_options *options,
                     const struct train_progress *progress, const struct train_hashes *hashes,
                     const struct train_arrays *arrays, struct err *err);

struct train_state {
    struct train_options options; /* texts are views of json */
    struct train_progress progress;
    struct train_hashes hashes;
    struct lora_parts parts; /* shapes, and values that point into params; owned */
    size_t n_params;
    float *params, *m, *v, *best; /* [n_params]; v and best may be NULL */
    float *reference;             /* [n_reference]: log-likelihoods of preferences; NULL: none */
    size_t n_reference;
    const json_t *adapter_config; /* adapter_config.json; a view of json */
    json_t *json;
    char hash[HASH_HEX]; /* of all that the file says */
};

/* Reads and checks a saved state for a model. Errors name the file. */
int train_state_load(struct train_state *s, const char *path, struct err *err);
/* Gives pairs and weights their places in a model: fails if it has no such tensor. */
int train_state_bind(struct train_state *s, const struct model_config *config, struct err *err);
/* Frees the arrays and parts; options and the adapter's configuration stay. */
void train_state_drop_arrays(struct train_state *s);
void train_state_release(struct train_state *s);

#endif
