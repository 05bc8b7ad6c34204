/*
 * metrics: the log of a training run, ft-metrics(5): JSON Lines with fixed keys.
 *
 * A line is written whole, at once, as soon as it is known, so that a log can be followed while it
 * grows. tok_per_s and what follows it are the only values that differ between two runs of the same
 * thing.
 */
#ifndef MODEL_METRICS_H
#define MODEL_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/preference.h"

struct metrics {
    int fd;     /* -1: no log */
    char *path; /* for messages */
    bool regular;
};

struct metrics_step {
    uint64_t step;    /* from 1 */
    double loss;      /* mean over the step's targets, before its update */
    double grad_norm; /* before clipping */
    double lr;
    uint64_t tokens, trained; /* since the first step */
    double tok_per_s;         /* this step's */
    size_t rss;
    size_t ranks; /* more than 1: also the seconds that this one waited for others, and exchanged */
    double idle, exchange;
    const struct preference_sums *rewards; /* NULL: the loss has none */
    const char *left_out;                  /* why there is no update; NULL: there is one */
};

/* path NULL: no log; "-": stdout. A new log replaces the file's content. */
int metrics_open(struct metrics *m, const char *path, struct err *err);

/*
 * Goes on with the log of a run that stands after `step`: what comes after is cut off, with
 * `evaluated` false also that step's evaluation, which will be done again. A log that isn't there
 * is begun; a file that is no log is an error.
 */
int metrics_resume(struct metrics *m, const char *path, uint64_t step, bool evaluated,
                   struct err *err);

int metrics_add_step(struct metrics *m, const struct metrics_step *s, struct err *err);
/* rewards NULL: the loss is -log p, so that it has a perplexity. */
int metrics_add_eval(struct metrics *m, uint64_t step, double loss,
                     const struct preference_sums *rewards, struct err *err);
/* What was written is on disk when this returns. */
int metrics_sync(struct metrics *m, struct err *err);
int metrics_close(struct metrics *m, struct err *err); /* also an unopened one */

#endif
