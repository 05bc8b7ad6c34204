#include "compute/matrix.h"

#include "base/mem.h"

struct matrix matrix_of_floats(const float *p, size_t rows, size_t cols)
{
    return (struct matrix){
        .dtype = DTYPE_F32,
        .data = (const uint8_t *)p,
        .rows = rows,
        .cols = cols,
        .row_bytes = cols * sizeof *p,
    };
}

size_t matrix_block(const struct matrix *m)
{
    if (m->nf4)
        return 1;
    return dtypes[m->dtype].block;
}

struct matrix matrix_stored(const struct matrix *m)
{
    struct matrix stored = *m;
    if (m->transposed) {
        stored.rows = m->cols;
        stored.cols = m->rows;
        stored.transposed = false;
    }
    return stored;
}

/* By blocks, so that both sides are read and written in runs of a cache line or more. */
static void turned_floats(const struct matrix *m, size_t row, size_t n, size_t col, size_t n_cols,
                          float *out, size_t ld)
{
    enum { ROWS = 64, COLS = 16 };
    const struct dtype_info *type = &dtypes[m->dtype];
    float block[COLS][ROWS];
    for (size_t i = 0; i < n; i += ROWS)
        for (size_t j = 0; j < n_cols; j += COLS) {
            size_t rows = size_min(ROWS, n - i), cols = size_min(COLS, n_cols - j);
            const uint8_t *stored = m->data + (row + i) * type->block_bytes;
            for (size_t c = 0; c < cols; c++)
                type->to_float(stored + (col + j + c) * m->row_bytes, block[c], rows);
            for (size_t r = 0; r < rows; r++)
                for (size_t c = 0; c < cols; c++)
                    out[(i + r) * ld + j + c] = block[c][r];
        }
}

void matrix_floats(const struct matrix *m, size_t row, size_t n, size_t col, size_t n_cols,
                   float *out, size_t ld)
{
    const struct dtype_info *type = &dtypes[m->dtype];
    size_t skip = col / type->block * type->block_bytes;
    if (m->transposed)
        turned_floats(m, row, n, col, n_cols, out, ld);
    else if (m->nf4)
        for (size_t i = 0; i < n; i++)
            nf4_to_float(m->nf4, (row + i) * m->cols + col, n_cols, out + i * ld);
    else
        for (size_t i = 0; i < n; i++) {
            size_t stored = matrix_stored_row(row + i, m->order);
            type->to_float(m->data + stored * m->row_bytes + skip, out + i * ld, n_cols);
        }
}

const float *matrix_direct(const struct matrix *m)
{
    if (m->nf4 || m->dtype != DTYPE_F32 || m->order.a || (uintptr_t)m->data % sizeof(float))
        return NULL;
    return (const float *)(const void *)m->data;
}

float *matrix_transposed(const float *x, size_t rows, size_t cols, const char *what,
                         struct err *err)
{
    size_t n;
    float *out = mem_array(size_mul(rows, cols, &n) ? n : SIZE_MAX, sizeof *out, what, err);
    for (size_t i = 0; out && i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            out[j * rows + i] = x[i * cols + j];
    return out;
}
