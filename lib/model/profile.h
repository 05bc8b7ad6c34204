/*
 * profile: where a training run's time goes, by operation and direction.
 *
 * Wall-clock time on the thread that starts the operations, so the parts and the rest add up to the
 * run. Operations counted are those of the arithmetic, two for each multiplication and addition.
 */
#ifndef MODEL_PROFILE_H
#define MODEL_PROFILE_H

#include <stdbool.h>
#include <stdio.h>

enum profile_part {
    PROFILE_LINEAR,    /* products with the base's matrices, adapters' part in them */
    PROFILE_ADAPTERS,  /* adapters' own products and gradients */
    PROFILE_ATTENTION, /* scores, softmax and sums of values */
    PROFILE_OUTPUT,    /* the output matrix and cross-entropy, both ways in one */
    PROFILE_PARTS,
};

struct profile {
    double seconds[PROFILE_PARTS][2], operations[PROFILE_PARTS][2]; /* forward, backward */
};

/* Now, or 0 without a profile. */
double profile_begin(const struct profile *p);
/* Adds what has passed since then; p may be NULL. */
void profile_end(struct profile *p, enum profile_part part, bool back, double begun,
                 double operations);

/* A table: seconds, share of `seconds` in all, and 10^9 operations a second. */
void profile_print(const struct profile *p, double seconds, FILE *out);

#endif
