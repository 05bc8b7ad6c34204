/*
 * matrix: a weight matrix as it lies in a model file, and its rows as floats.
 */
#ifndef COMPUTE_MATRIX_H
#define COMPUTE_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/dtype.h"
#include "formats/dtype_nf4.h"

struct matrix {
    enum dtype dtype;
    const uint8_t *data; /* a view; rows follow each other without gaps */
    size_t rows, cols;   /* [out, in] of a linear layer */
    size_t row_bytes;    /* of a stored row */
    bool transposed;     /* stored as [in, out], as gpt2 has it; only types without blocks */
    size_t head_dim; /* not 0: rows are reordered within heads of that many rows, as GGUF does */
    const struct nf4 *nf4; /* not NULL: the numbers are these, [rows, cols] in order, and the fields
                              of what is stored say nothing */
};

/* A view of float32 values [rows, cols]. */
struct matrix matrix_of_floats(const float *p, size_t rows, size_t cols);

/* Where GGUF's llama keeps row h*d + j*d/2 + i of a query or key matrix: at h*d + 2*i + j. */
static inline size_t matrix_stored_row(size_t row, size_t d)
{
    if (!d)
        return row;
    size_t at = row % d, half = d / 2;
    return row - at + 2 * (at % half) + at / half;
}

/*
 * Rows [row, row + n) x columns [col, col + n_cols) as floats into out [n, n_cols] with leading
 * dimension ld. col and n_cols are multiples of the type's block.
 */
void matrix_floats(const struct matrix *m, size_t row, size_t n, size_t col, size_t n_cols,
                   float *out, size_t ld);

/* The values as stored where they are float32, aligned and in order (leading dimension cols, or
 * rows of a transposed one); else NULL. */
const float *matrix_direct(const struct matrix *m);

/* What is stored: the matrix itself, or of a transposed one [cols, rows] as it lies there. */
struct matrix matrix_stored(const struct matrix *m);

/* Columns can be split at multiples of this. */
size_t matrix_block(const struct matrix *m);

#endif
