/*
 * train_args: the command line of a training run, which ft-train carries out and ft-plan plans.
 */
#ifndef MODEL_TRAIN_ARGS_H
#define MODEL_TRAIN_ARGS_H

#include <stddef.h>

#include "base/program.h"
#include "model/train_session.h"

/* What the options are stored in. */
extern struct train_args {
    struct train_request request;
    const char *out, *resume;
    size_t stop_after;
    int progress;
} train_args;

extern const struct option_table train_args_table; /* for OPT_TABLE */

#endif
