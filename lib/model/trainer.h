/*
 * trainer: the loop of a training run: steps, evaluations, checkpoints.
 *
 * A step takes the next rows of the epoch's order, adds up the gradients of all their targets, each
 * times its weight, divides by the weight of the targets, clips, and updates the adapter. So the
 * loss is a mean over targets (or preferences), whatever rows and passes they came in. What a step
 * computes is a function of the options, the rows and the number of the step; nothing else is
 * carried over but the adapter, AdamW's moments, what a reference said before the first step, and
 * which loss is usual. A run that was stopped and resumed is therefore the same to the byte, and so
 * is one of any number of ranks: they share the passes and add up in the same order.
 */
#ifndef MODEL_TRAINER_H
#define MODEL_TRAINER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ranks.h"
#include "model/decoder.h"
#include "model/lora.h"
#include "model/metrics.h"
#include "model/preference.h"
#include "model/rows.h"
#include "model/train_folder.h"
#include "model/train_options.h"
#include "model/train_state.h"

/* All of it must outlive the trainer. With several ranks all have the same but for folder and
 * metrics, which only rank 0 uses. */
struct trainer_setup {
    struct ranks *ranks; /* that share each step's passes; NULL: this process does all */
    struct decoder *decoder;
    const struct checkpoint *base; /* what the decoder was opened from */
    struct lora *lora;             /* with gradients */
    const json_t *adapter_config;  /* an empty object where the model itself is trained */
    const char *provenance;        /* for the adapter */
    const struct rows *rows;
    const struct rows *held;             /* NULL: no evaluation */
    struct preference *preference;       /* of the rows; NULL: they are documents */
    struct preference *held_preference;  /* of the held-out rows, if there are any */
    const struct train_options *options; /* complete */
    struct train_hashes hashes;
    const struct train_folder *folder;
    struct metrics *metrics;
    uint64_t checkpoint_every; /* steps; 0: none but at the end */
    uint64_t stop_after;       /* pause after that step; 0: none */
};

/* What is going on, for whoever watches. */
struct trainer_report {
    uint64_t step, steps; /* done, planned */
    double part;          /* share of the step after these that is done, by tokens */
    double loss;          /* of the last step, NaN before the first */
    bool evaluating;
    const char *left_out;             /* why the last step had no update, once; NULL */
    uint64_t steps_here, tokens_here; /* done since this process began training */
    double seconds_here;
};

struct trainer_watch {
    void (*report)(void *arg, const struct trainer_report *r); /* may be NULL */
    void *arg;
    const volatile sig_atomic_t *stop; /* not 0: write a checkpoint and come back; may be NULL */
};

enum trainer_end {
    TRAINER_DONE,
    TRAINER_EARLY,       /* the held-out loss had stopped falling */
    TRAINER_PAUSED,      /* at stop_after */
    TRAINER_INTERRUPTED, /* by watch->stop */
};

struct trainer;

/* Plans the run: fails if the options don't fit it or if there is nothing to learn. */
int trainer_new(struct trainer **t, const struct trainer_setup *setup, struct err *err);
void trainer_free(struct trainer *t); /* NULL is allowed */

/* Puts the trainer where the state was saved. Fails if the base or the rows are others, or if
 * another number of steps would change what the steps done were part of. */
int trainer_restore(struct trainer *t, const struct train_state *s, struct err *err);

/*
 * Trains until the end, saving as it goes; the state before the first step too. After an error the
 * last checkpoint is whole, and the message says which it is.
 */
int trainer_run(struct trainer *t, const struct trainer_watch *watch, enum trainer_end *end,
                struct err *err);

/* What a run takes, measured on some of its rows. */
struct trainer_rehearsal {
    uint64_t tokens;       /* that it was measured with */
    double token_seconds;  /* forward and backward of a token */
    double token_error;    /* standard error of that */
    double update_seconds; /* of the optimiser, a step */
    double score_seconds;  /* forward alone of a held-out token; 0 where there is none */
};

/* Learns for about so many seconds in place of trainer_run; nothing is written. The parameters are
 * of no use afterwards. */
int trainer_rehearse(struct trainer *t, double seconds, struct trainer_rehearsal *r,
                     struct err *err);

const struct train_progress *trainer_progress(const struct trainer *t);

#endif
