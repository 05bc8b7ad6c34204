/*
 * train_session: a training run from what a user asks for: everything opened, checked, and closed.
 *
 * Nothing is written before all inputs have been read and found good. Of several ranks the first
 * reads the rows, for all, and writes; each opens the model for itself.
 */
#ifndef MODEL_TRAIN_SESSION_H
#define MODEL_TRAIN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ranks.h"
#include "model/profile.h"
#include "model/rows.h"
#include "model/train_options.h"
#include "model/trainer.h"

/* NULL and 0 are what wasn't given; a resumed run remembers it. */
struct train_request {
    struct ranks *ranks; /* that train together, by the same request; NULL: this process alone */
    bool resume;         /* go on in `folder` */
    bool restart;        /* begin anew, although the folder holds an unfinished run */
    bool plan;           /* open and check all, but write nothing: there is no folder */
    const char *folder, *model, *initial, *held, *log;
    const char *const *rows; /* none: standard input, or as remembered */
    size_t n_rows;
    struct train_options options;
    size_t memory; /* bytes that decide the pass; 0: the option does */
    size_t threads, checkpoint_every;
    uint64_t stop_after;
};

struct train_session;

int train_session_open(struct train_session **s, const struct train_request *request,
                       struct err *err);
/* Where the time goes, from now on. */
void train_session_profile(struct train_session *s, struct profile *p);
/* As trainer_run. */
int train_session_run(struct train_session *s, const struct trainer_watch *watch,
                      enum trainer_end *end, struct err *err);
/* As trainer_rehearse: for a plan. */
int train_session_rehearse(struct train_session *s, double seconds, struct trainer_rehearsal *r,
                           struct err *err);
/* About how many bytes the run takes. */
size_t train_session_memory(const struct train_session *s);
/* About how many passes each step has, which ranks could share. */
size_t train_session_passes(const struct train_session *s);
/* Closes the log, which may fail. */
int train_session_close(struct train_session *s, struct err *err);

const struct train_options *
train_session_options(const struct train_session *s); /* as they became */
const struct train_progress *train_session_progress(const struct train_session *s);
const struct rows_totals *train_session_rows(const struct train_session *s);
const struct rows_totals *train_session_held(const struct train_session *s); /* NULL: none */
const struct lora *train_session_lora(const struct train_session *s);
const struct model_config *train_session_config(const struct train_session *s);
bool train_session_reads_stdin(const struct train_session *s);

#endif
