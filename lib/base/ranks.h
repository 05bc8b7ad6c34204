/*
 * ranks: the processes of one run, started together by mpirun or srun, and what they tell each
 * other.
 *
 * A process that was started alone has no ranks: NULL, with which every function here does what one
 * process needs, mostly nothing. All functions but the first four are collective: each rank calls
 * them, in the same order. A rank that ends otherwise than by ranks_close, or can't be reached,
 * ends all: the launcher says which it was.
 *
 * MPI is used in ranks_mpi.c alone, and is optional.
 */
#ifndef BASE_RANKS_H
#define BASE_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ranks;

/* NULL for a process alone. Fails if a launcher started several that can't talk to each other. */
int ranks_open(struct ranks **r, struct err *err);
size_t ranks_count(const struct ranks *r);   /* 1: alone */
size_t ranks_me(const struct ranks *r);      /* from 0 */
size_t ranks_threads(const struct ranks *r); /* this one's share of the processors; alone 0 */
void ranks_close(struct ranks *r);

/*
 * What became of something that each rank did: -1 with err, 0, or more. Everywhere the result is
 * -1, with the message of the first rank that failed and its number, if any did; else the largest.
 */
int ranks_agree(struct ranks *r, int status, struct err *err);
/* Whether ranks_agree said -1: all ranks know then. */
bool ranks_have_failed(const struct ranks *r);
/* Fails everywhere, with the number of a rank that has other bytes than rank 0. */
int ranks_same(struct ranks *r, const char *what, const void *p, size_t len, struct err *err);

/* From rank 0 to all. */
void ranks_broadcast(struct ranks *r, void *p, size_t len);
/* Of bytes that one rank has set, and the others have left 0: all get all. */
void ranks_merge(struct ranks *r, void *p, size_t len);

/* These two only where there are several.
 *
 * Rank k has counts[k] vectors of n numbers, here vectors[0 .. counts[me]), and gets of everyone's
 * vectors, rank by rank, the numbers slices[k] .. slices[k + 1] - 1: out [sum of counts][length].
 */
void ranks_deal(struct ranks *r, float *const *vectors, const size_t *counts, const size_t *slices,
                float *out);
/* Of a vector x, rank k has the numbers slices[k] .. slices[k + 1] - 1: all get all. */
void ranks_gather(struct ranks *r, float *x, const size_t *slices);

#endif
