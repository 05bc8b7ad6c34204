/*
 * quantise: a weight matrix in fewer bits than its file has, in memory of its own.
 */
#ifndef COMPUTE_QUANTISE_H
#define COMPUTE_QUANTISE_H

#include "base/err.h"
#include "base/pool.h"
#include "compute/matrix.h"

/* What the frozen matrices of a base are held as. */
enum base_type {
    BASE_STORED,     /* the type they have in the file */
    BASE_NF4,        /* QLoRA's NormalFloat, scales in float32: 4.5 bits a number */
    BASE_NF4_DOUBLE, /* with scales in 8 bits: 4.13 bits */
};
extern const char *const base_type_choices[]; /* "stored", "nf4", "nf4-double": for OPT_CHOICE */

/* The numbers of m, which is of a plain type, in NF4; released with nf4_release. The result doesn't
 * depend on the number of threads. */
int matrix_to_nf4(const struct matrix *m, bool doubled, struct pool *pool, struct nf4 *out,
                  struct err *err);

#endif
