/*
 * tree_sum: the sum of many vectors, added up in an order that their number alone decides.
 *
 * The vectors are the leaves of a tree. A node is the sum of up to TREE_SUM_FAN neighbours in the
 * level below, added from the left: so whoever adds all of them holds few sums at a time, one for
 * up to 4 leaves, two for up to 16, and whoever has only some, consecutive ones, can add up most of
 * what is there. The same sums are rounded in the same places whoever makes them, so that the total
 * is the same to the bit.
 */
#ifndef COMPUTE_TREE_SUM_H
#define COMPUTE_TREE_SUM_H

#include <stddef.h>

#include "base/err.h"
#include "base/ranks.h"

enum { TREE_SUM_FAN = 4 };

struct tree_sum;

/* Of vectors of n numbers. */
struct tree_sum *tree_sum_new(size_t n);
void tree_sum_free(struct tree_sum *t); /* NULL is allowed */

/* Bytes that it holds to add up `count` vectors of n numbers. */
size_t tree_sum_bytes(size_t n, size_t count);
/* Allocates and touches them, so that their memory shows. */
int tree_sum_reserve(struct tree_sum *t, size_t count, struct err *err);

/* Forgets what was added; of `count` leaves those from `first` on are to come. */
void tree_sum_begin(struct tree_sum *t, size_t first, size_t count);
/* The next leaf, x [n]. */
int tree_sum_add(struct tree_sum *t, const float *x, struct err *err);
/*
 * The total, after these leaves: out [n], the same for all ranks. Rank k has had the leaves
 * split[k] .. split[k + 1] - 1; alone, all of them. A rank sends about its share of the vectors
 * that it holds, and as much of the total.
 */
int tree_sum_total(struct tree_sum *t, struct ranks *ranks, const size_t *split, float *out,
                   struct err *err);

#endif
