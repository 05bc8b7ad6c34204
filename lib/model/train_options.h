/*
 * train_options: everything a user can say that changes what a training run computes.
 *
 * One table knows each option's name, type and default: it writes them into the training state,
 * reads them back, finds the ones that differ when a run is resumed, and prints them as provenance.
 * How fast or where a run computes (threads, paths, checkpoints) is not here.
 */
#ifndef MODEL_TRAIN_OPTIONS_H
#define MODEL_TRAIN_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/loss.h"
#include "model/spike.h"

enum train_keep { KEEP_BEST, KEEP_LAST };
extern const char *const keep_choices[]; /* "best", "last": for OPT_CHOICE */
/* Under which model a preference's reference is computed: the base, or as the run began. */
enum train_reference { REFERENCE_BASE, REFERENCE_START };
extern const char *const reference_choices[];

/* Unset: SIZE_MAX, UINT64_MAX, NaN, NULL, -1; a flag is unset when false. Texts are not owned. */
struct train_options {
    bool full;         /* the model's own weights are trained: no adapter */
    int save_type;     /* enum full_type */
    size_t shard_size; /* bytes */

    /* A fresh adapter; unset when the run goes on from another adapter. */
    size_t rank;
    double alpha;
    const char *targets; /* module name endings with commas between, or "all-linear" */
    bool rslora, dora;
    const char *excluded, *layers, *rank_pattern, *alpha_pattern, *saved; /* adapter_options */
    int bias; /* in adapter_bias_choices */
    int init; /* enum lora_init */

    double dropout;
    uint64_t seed;

    size_t steps;  /* 0 or unset: epochs say how long */
    double epochs; /* 0 or unset: steps do */
    size_t batch;  /* rows of an optimiser step */
    bool no_shuffle;
    size_t micro_batch; /* tokens of one pass through the model */
    int backend;        /* enum backend */
    int base_type;      /* enum base_type */

    int optimizer; /* enum optimizer_kind; unset: AdamW */
    double lr;
    double lora_plus_ratio;     /* of the rate for B matrices and vectors to lr */
    int schedule;               /* enum schedule_kind */
    const char *warmup, *decay; /* as schedule_length takes them */
    double weight_decay, clip, beta1, beta2, eps;

    /* What is learnt. An option that the loss has no use for stays unset, as do all that leave it
     * at -log p of the targets: a loss of sft, smoothing and noise of 0. */
    int loss; /* enum loss_kind */
    double beta, gamma, label_smoothing, desirable_weight, undesirable_weight;
    int reference; /* enum train_reference */
    double neftune;

    int on_spike; /* enum spike_policy; unset: SPIKE_IGNORE */
    double spike; /* distances from the usual loss */

    size_t eval_every; /* steps; 0: at the end of each epoch */
    size_t patience;   /* evaluations without improvement; 0: no early stop */
    int keep;          /* enum train_keep */
};

extern const struct train_options train_options_unset;

/* Fails if options of adapters and of whole models are mixed. To be called before the defaults are
 * filled in. */
int train_options_check_kind(const struct train_options *o, struct err *err);

/* Fills what is unset with the defaults. With `fresh` false, or for a whole model,
 * rank, alpha and targets stay unset. */
void train_options_complete(struct train_options *o, bool fresh);

/* The loss as loss.h has it, of complete options; label_smoothing also for LOSS_SFT. */
struct loss train_options_loss(const struct train_options *o);

/* Whether a trainer can work with the values, which may come from a file. */
int train_options_check(const struct train_options *o, struct err *err);

/* Fills what is unset from another run's options. An option that is set and differs is an error
 * that names it; steps and epochs may differ, and are taken together. */
int train_options_adopt(struct train_options *o, const struct train_options *earlier,
                        struct err *err);

/* The set options as a JSON object, a new reference; and back. Texts of the result are views of
 * json. A key that is unknown or of another type is an error. */
json_t *train_options_to_json(const struct train_options *o);
int train_options_from_json(struct train_options *o, const json_t *json, struct err *err);

/* " --rank=16 --alpha=32 ...": the set options in the table's order. */
void train_options_add_arguments(struct buf *b, const struct train_options *o);

#endif
