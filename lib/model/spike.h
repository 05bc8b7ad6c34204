/*
 * spike: whether a step's loss is far above what the steps before it had.
 *
 * What is usual is the median of the last losses, and the median of their distances from it, times
 * 1.4826 as for a normal distribution's standard deviation: neither moves for a few that are far
 * out. Those losses are the whole memory, so that a resumed run judges as one that wasn't stopped.
 */
#ifndef MODEL_SPIKE_H
#define MODEL_SPIKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spike_policy { SPIKE_IGNORE, SPIKE_STOP, SPIKE_SKIP };
extern const char *const spike_choices[]; /* for OPT_CHOICE */

enum {
    SPIKE_WINDOW = 32, /* losses that are remembered */
    SPIKE_KNOWS = 16,  /* and how many of them it takes for another one to be a spike */
    SPIKE_IN_ROW = 10, /* steps left out one after the other that end a run */
};

struct spike_memory {
    double losses[SPIKE_WINDOW]; /* [n], the oldest first */
    size_t n;
    uint64_t left_out; /* steps without an update */
    uint64_t in_row;   /* of them, the last ones */
};

/* The usual loss and distance from it, which is at least a hundredth of the loss. */
void spike_usual(const struct spike_memory *m, double *loss, double *distance);
/* Whether the loss lies more than `factor` usual distances above the usual one. */
bool spike_found(const struct spike_memory *m, double loss, double factor);
/* Remembers a loss that is no spike, or that a step was left out. */
void spike_learn(struct spike_memory *m, double loss);
void spike_leave_out(struct spike_memory *m);

#endif
