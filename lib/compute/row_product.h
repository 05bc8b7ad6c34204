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

enum { ROW_PRODUCT_ROWS = 4 }; /* stored rows that are multiplied at a time */

/* out[i] = w[i] . x, each of n numbers; a row may be there more than once. */
typedef void row_product(const uint8_t *const w[ROW_PRODUCT_ROWS], const float *x, size_t n,
                         float out[ROW_PRODUCT_ROWS]);

/* out[i] = w[i] . x[i % 4] for 4 rows w of floats and 4 rows x: out [4 of w, 4 of x], leading
 * dimensions in floats. */
typedef void float_tile(const float *w, size_t ldw, const float *x, size_t ldx, size_t n,
                        float out[ROW_PRODUCT_ROWS][ROW_PRODUCT_ROWS]);

/* What a processor has. Any may be NULL: then the caller expands, or multiplies row by row. */
struct row_kernels {
    const char *name;
    row_product *product[DTYPE_COUNT];
    float_tile *tile;
};

/* The fastest ones that this processor can run. Asking takes microseconds. */
const struct row_kernels *row_kernels(void);
/* All of them that it can run, the fastest first, the empty set last: for tests. n: how many. */
const struct row_kernels *const *row_kernels_all(size_t *n);

#endif
