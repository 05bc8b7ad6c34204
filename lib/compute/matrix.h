/*
 * matrix: a weight matrix as it lies in a model file, and its rows as floats.
 */
#ifndef COMPUTE_MATRIX_H
#define COMPUTE_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/dtype.h"
#include "formats/dtype_nf4.h"

/*
 * Rows come in blocks of a*b*c rows; row (i, j, k) of a block seen as [a, b, c] is stored where
 * [b, a, c] has it. All 0: rows are where they belong. GGUF's llama keeps a head's two halves pair
 * by pair, {2, D/2, 1}; its gptneox has queries, keys and values of all heads apart, {n_heads, 3,
 * D}.
 */
struct row_order {
    size_t a, b, c;
};

struct matrix {
    enum dtype dtype;
    const uint8_t *data;    /* a view; rows follow each other without gaps */
    size_t rows, cols;      /* [out, in] of a linear layer */
    size_t row_bytes;       /* of a stored row */
    bool transposed;        /* stored as [in, out], as gpt2 has it; only types without blocks */
    struct row_order order; /* where its rows are */
    const struct nf4 *nf4; /* not NULL: the numbers are these, [rows, cols] in order, and the fields
                              of what is stored say nothing */
};

/* A view of float32 values [rows, cols]. */
struct matrix matrix_of_floats(const float *p, size_t rows, size_t cols);

/* Where a row is stored, and which row is stored at a place. */
static inline size_t matrix_stored_row(size_t row, struct row_order o)
{
    if (!o.a)
        return row;
    size_t block = o.a * o.b * o.c, at = row % block;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): all three are 0 or none */
    size_t i = at / (o.b * o.c), j = at / o.c % o.b;
    return row - at + (j * o.a + i) * o.c + at % o.c;
}

static inline size_t matrix_row_stored_at(size_t stored, struct row_order o)
{
    return matrix_stored_row(stored, (struct row_order){o.b, o.a, o.c});
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

/* A transposed copy of x [rows, cols]; NULL with an error that names `what` when memory is out. */
float *matrix_transposed(const float *x, size_t rows, size_t cols, const char *what,
                         struct err *err);

/* What is stored: the matrix itself, or of a transposed one [cols, rows] as it lies there. */
struct matrix matrix_stored(const struct matrix *m);

/* Columns can be split at multiples of this. */
size_t matrix_block(const struct matrix *m);

#endif
