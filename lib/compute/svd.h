/*
 * svd: the largest singular values of a matrix with their vectors, a [m, n] ~ u diag(s) v.
 *
 * Everything is row-major float32 and runs on the calling thread. Signs of vectors are arbitrary.
 */
#ifndef COMPUTE_SVD_H
#define COMPUTE_SVD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The r largest of all, r <= min(m, n), by LAPACK: u [m, r], s [r], v [r, n]. a is overwritten. */
int svd_exact(float *a, size_t m, size_t n, size_t r, float *u, float *s, float *v,
              struct err *err);

/*
 * The same approximately, from the matrix's action on a few random vectors and `rounds` rounds of
 * subspace iteration (Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithms 4.4 and 5.1):
 * the cost is that of 2 rounds + 2 products with r + 8 vectors. seed and stream are rng.h's.
 */
int svd_random(const float *a, size_t m, size_t n, size_t r, size_t rounds, uint64_t seed,
               uint64_t stream, float *u, float *s, float *v, struct err *err);

/* Makes rows of q [k, n] orthonormal, one after the other, as a QR decomposition of its transpose
 * with a positive diagonal does; rows that depend on those before them become zero. */
void orthonormal_rows(float *q, size_t k, size_t n);

#endif
