/*
 * trainer_internal: what the trainer's files share. Private to lib/model/trainer*.c.
 */
#ifndef MODEL_TRAINER_INTERNAL_H
#define MODEL_TRAINER_INTERNAL_H

#include "compute/optimizer.h"
#include "compute/schedule.h"
#include "compute/tree_sum.h"
#include "model/trainer.h"

struct trainer {
    struct trainer_setup setup;
    struct optimizer optimizer;
    struct schedule schedule;
    struct train_progress progress;
    float *best; /* parameters of best_step; NULL: none yet */
    uint64_t steps_per_epoch;
    size_t *order; /* of the rows in epoch order_epoch */
    uint64_t order_epoch;
    struct row_batch batch;
    struct trainer_passes *passes;
    float *reference; /* [n_reference]: log-likelihoods of preferences, then of held-out ones */
    size_t n_reference;
    bool has_reference; /* it is computed */
    double loss;
    struct err blamed;    /* what a pass without a finite loss met, in a step to be left out */
    const char *left_out; /* for the report after a step without an update */
    bool dirty;           /* the state on disk is behind */
    uint64_t saved_step;  /* of the state on disk */
    bool adapter_begun;   /* this process has written an adapter */
    bool adapter_dirty;   /* the adapter on disk is behind */
    double started;
    double mark; /* when the work of the next step began: the last update counts as part of it */
    uint64_t step_before, tokens_before; /* progress when this process began */
    const struct trainer_watch *watch;
};

/* What the rows of a step add up to. */
struct trainer_sums {
    double loss, weight; /* of the rows, as rows_weight says */
    uint64_t tokens, targets;
    double idle, exchange; /* seconds: until other ranks were ready, then to add up gradients */
};

/* The passes of a step: trainer_passes.c. */
struct trainer_passes *trainer_passes_new(size_t n_params, size_t ranks);
void trainer_passes_free(struct trainer_passes *s); /* NULL is allowed */

/* Whether this process writes the run's files: all ranks compute them. */
bool trainer_writes(const struct trainer *t);

bool trainer_stopped(const struct trainer *t);
void trainer_report(const struct trainer *t, uint64_t extra_tokens, double part, bool evaluating);

/* For preference_watch, with the trainer: a step's forward passes beside those that teach. */
bool trainer_learning(void *arg, double part);

/* Fills the batch with rows from *row on, of order or, NULL, as they are, as many as go to the
 * decoder at once. */
int trainer_next_rows(struct trainer *t, const struct rows *rows, const size_t *order, size_t *row,
                      size_t end, struct err *err);
/* Touches the memory that adding up the gradients of rows order[0 .. end) takes. */
int trainer_reserve_sums(struct trainer *t, size_t end, struct err *err);

/* These return 1 when stopped before they were done. */

/* Adds up the gradients of the step's rows, order[first .. end). */
int trainer_accumulate(struct trainer *t, size_t first, size_t end, struct trainer_sums *s,
                       struct err *err);
/* The mean loss of the held-out rows. */
int trainer_held_loss(struct trainer *t, double *loss, struct err *err);
/* The log-likelihoods of all preferences under the reference. */
int trainer_find_references(struct trainer *t, struct err *err);

/* One step of the optimiser with the gradients times scale. */
void trainer_update(struct trainer *t, double scale, double lr);
/* Scores as many of the held-out rows as go to the decoder at once. */
int trainer_score_some(struct trainer *t, uint64_t *tokens, struct err *err);

/* Looks for the document (or preference) of these rows with the highest loss, and names it in err.
 * The step's gradients are lost. */
int trainer_find_worst(struct trainer *t, size_t first, size_t end, struct err *err);
/* Whether the step of these rows is to be left out: 0, 1 with err saying why, -1 if the run is to
 * end. norm is the gradient's. trainer_spike.c */
int trainer_judge(struct trainer *t, size_t first, size_t end, double loss, double norm,
                  struct err *err);
/* Remembers the step's loss, or that it was left out. */
void trainer_remember(struct trainer *t, bool left_out);
bool trainer_leaves_out(const struct trainer *t);

/* After a gradient of these rows that wasn't finite: -1, and err names the document. */
int trainer_blame(struct trainer *t, size_t first, size_t end, struct err *err);

#endif
