/*
 * lowrank: matrices as the product of two thin ones, the best of a rank.
 *
 * With D = U S V^T, the nearest matrix of rank r is U_r S_r V_r^T (Eckart and Young, 1936). It is
 * given as B A with B = U_r sqrt(S_r) [rows, r] and A = sqrt(S_r) V_r^T [r, cols].
 */
#ifndef COMPUTE_LOWRANK_H
#define COMPUTE_LOWRANK_H

#include <stddef.h>

#include "base/err.h"

/*
 * Of the product left [rows, k] right [k, cols], which is never made: k by k is the largest matrix
 * that is decomposed. r <= k <= rows, cols. *lost: the sum of squares that B A leaves out.
 */
int lowrank_of_product(const float *left, const float *right, size_t rows, size_t cols, size_t k,
                       size_t r, float *b, float *a, double *lost, struct err *err);

/*
 * Of a matrix [rows, cols], r <= rows, cols. A small one is decomposed; of a large one the leading
 * directions are found by iteration from random ones (Halko, Martinsson, Tropp 2011,
 * arXiv:0909.4061), the same ones each time, until they hold no more.
 */
int lowrank_of_matrix(const float *d, size_t rows, size_t cols, size_t r, float *b, float *a,
                      double *lost, struct err *err);

#endif
