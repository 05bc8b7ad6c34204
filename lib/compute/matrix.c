#include "compute/matrix.h"

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
    return dtypes[m->dtype].block;
}

void matrix_floats(const struct matrix *m, size_t row, size_t n, size_t col, size_t n_cols,
                   float *out, size_t ld)
{
    const struct dtype_info *type = &dtypes[m->dtype];
    size_t skip = col / type->block * type->block_bytes;
    for (size_t i = 0; i < n; i++) {
        size_t stored = matrix_stored_row(row + i, m->head_dim);
        type->to_float(m->data + stored * m->row_bytes + skip, out + i * ld, n_cols);
    }
}

const float *matrix_direct(const struct matrix *m)
{
    if (m->dtype != DTYPE_F32 || m->head_dim || (uintptr_t)m->data % sizeof(float))
        return NULL;
    return (const float *)(const void *)m->data;
}
