/*
 * plan: what a training run will take, before it is begun.
 *
 * Time is measured: some seconds of the run itself, on rows from all over the data; so is memory.
 * What is not measured (another machine's, or of a run that can't fit into this one) is estimated:
 * memory from the sizes of what is allocated, time from the number of floating-point operations and
 * a machine's measured rate.
 */
#ifndef MODEL_PLAN_H
#define MODEL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/backend.h"
#include "model/train_session.h"

/* A machine as plans see it. */
struct machine {
    size_t memory;   /* bytes that can be had; 0: unknown */
    double rates[2]; /* floating-point operations a second of training, by enum backend; 0: not
                        measured */
};

/* Memory that this machine has left, for this process's control group. */
size_t machine_memory(void);
/* JSON; unknown keys are an error. */
int machine_load(struct machine *m, const char *path, struct err *err);
int machine_save(const struct machine *m, const char *path, struct err *err);

struct plan {
    uint64_t rows, tokens, steps; /* tokens: all that go through the model while training */
    double epochs, trained;       /* trained: share of the tokens that are targets */
    size_t parameters;            /* that are trained */
    int backend;                  /* what auto became */
    size_t memory;                /* bytes at the peak */
    size_t disk;                  /* bytes of the folder in the end */
    bool fits, measured;          /* measured: memory and time were; else they are estimates */
    double seconds, low, high;    /* NaN: unknown, since nothing was measured */
    double operations;            /* floating-point operations of it all */
    size_t ranks;                 /* processes, each on a machine of its own */
    size_t passes;                /* of a step, which ranks share */
    double shared;                /* seconds of what ranks share; the rest each one does */
};

/* What is between machines. */
struct network {
    double latency;   /* seconds */
    double bandwidth; /* bytes a second, each way */
};

/* A plan of one process for several. What is exchanged is as in ft-train(1), "What it costs". */
void plan_for_ranks(struct plan *p, size_t ranks, const struct network *network);

struct plan_options {
    double seconds;                /* how long to measure */
    const struct machine *machine; /* another one: nothing is measured; NULL: this one */
};

/* Opens what the request names, as for a run but without its folder, and plans it. Memory is
 * measured as this process's peak: a process of its own gives the run's. Errors are the run's. */
int plan_make(struct plan *p, const struct train_request *request,
              const struct plan_options *options, struct err *err);

#endif
