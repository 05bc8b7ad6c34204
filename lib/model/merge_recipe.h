/*
 * merge_recipe: how the changes that adapters and other models make to a tensor become one change.
 *
 * With d_i what source i changes (B A of an adapter, V - W of a model), w_i its weight, and
 * keep() what is left of d_i after most of it has been set to 0:
 *
 *   sum           W + scale * sum w_i d_i             task arithmetic, arXiv:2212.04089
 *   linear        the same, with weights that are divided by their sum
 *   ties          the `density` largest of each d_i are kept; where signs differ, the side with
 *                 the larger sum counts; the mean by weight of that side, arXiv:2306.01708
 *   dare          a random part `density` of each d_i is kept and made larger, arXiv:2311.03099
 *   dare-ties     the same, then only the side with the larger sum counts
 *   della-linear  as dare, but in each row the larger a number, the more likely it is kept: from
 *                 density - epsilon to density + epsilon, arXiv:2406.11617
 *   della         the same, then as ties
 *   slerp         between W and one V, at angle w: both turn into each other on a sphere
 *
 * What dare and della keep of a tensor is multiplied so that the sum of magnitudes stays. These are
 * mergekit's formulas and its defaults.
 */
#ifndef MODEL_MERGE_RECIPE_H
#define MODEL_MERGE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum merge_method {
    METHOD_SUM,
    METHOD_LINEAR,
    METHOD_TIES,
    METHOD_DARE,
    METHOD_DARE_TIES,
    METHOD_DELLA_LINEAR,
    METHOD_DELLA,
    METHOD_SLERP,
};
extern const char *const merge_method_choices[]; /* in that order, for OPT_CHOICE */

struct merge_recipe {
    enum merge_method method;
    double density, epsilon, scale;
    uint64_t seed;
};

/* What is kept of a source's change. */
enum keep { KEEP_ALL, KEEP_LARGEST, KEEP_RANDOM, KEEP_RANDOM_BY_RANK };
enum keep recipe_keep(const struct merge_recipe *r);
/* Whether more than a sum is to be taken, for which the changes are needed one by one. */
bool recipe_is_sum(const struct merge_recipe *r);

/*
 * x [n] += the change that changes [n_parts, stride] become, which are not yet weighed; they are
 * overwritten.
 */
void recipe_combine(const struct merge_recipe *r, const double *weights, size_t n_parts,
                    float *changes, size_t stride, size_t n, float *x);

/* Magnitudes below `least` become 0. */
void recipe_keep_largest(float *change, size_t n, float least);
/* Of a row: number i is kept where its random number is below 2^32 times its chance. ranks is room
 * for n numbers. */
void recipe_keep_random(const struct merge_recipe *r, float *change, size_t n,
                        const uint32_t *random, uint64_t *ranks);

#endif
