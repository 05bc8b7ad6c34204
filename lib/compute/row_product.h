/*
 * row_product: stored rows of a weight times one row of floats, without expanding them first.
 *
 * A number is worked out of its block in a register and multiplied there, so that a product with
 * one row costs little more than reading the weight. The arithmetic is that of dtypes[].to_float
 * followed by row_dot, operation for operation: 16 lanes that are added up in a fixed tree, no
 * fused multiply-adds. So all kernels give the same bits as these two do, on every processor.
 */
#ifndef COMPUTE_ROW_PRODUCT_H
#define COMPUTE_ROW_PRODUCT_H

#include <stddef.h>
#include <stdint.h>

#include "formats/dtype.h"

/*
 * A stored row of n numbers times x [n]. One row at a time: reading memory in order is worth more
 * than sums that run side by side. (From memory four rows side by side take twice the time or
 * more, on Zen 4.)
 */
typedef float row_product(const uint8_t *w, const float *x, size_t n);

/* The row as floats, as dtypes[].to_float does it. */
typedef void row_expand(const uint8_t *w, float *out, size_t n);

enum { ROW_TILE = 4 };

/* out[i][j] = w_i . x_j for 4 rows w [4, n] of floats and 4 rows x; leading dimensions in floats.
 */
typedef void row_tile(const float *w, size_t ldw, const float *x, size_t ldx, size_t n,
                      float out[ROW_TILE][ROW_TILE]);

/* What a processor has. Any may be NULL: then the caller expands, or multiplies row by row. */
struct row_kernels {
    const char *name;
    row_product *product[DTYPE_COUNT];
    row_expand *expand[DTYPE_COUNT];
    row_tile *tile;
};

/* The fastest ones that this processor can run. Asking takes microseconds. */
const struct row_kernels *row_kernels(void);
/* All of them that it can run, the fastest first, the empty set last: for tests. n: how many. */
const struct row_kernels *const *row_kernels_all(size_t *n);

#endif
