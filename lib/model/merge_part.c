/* What adapters and other models change in a tensor, tile by tile. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/gemm.h"
#include "model/merge_internal.h"

size_t merge_canonical_row(const struct merge_job *j, size_t at)
{
    return j->out_gguf ? matrix_row_stored_at(at, j->name->gguf_rows) : at;
}

void merge_rows(const struct merge_job *j, const struct matrix *m, float shift, size_t first,
                size_t n, float *x)
{
    if (!j->out_gguf || !j->name->gguf_rows.a)
        matrix_floats(m, first, n, 0, j->cols, x, j->cols);
    else
        for (size_t i = 0; i < n; i++)
            matrix_floats(m, merge_canonical_row(j, first + i), 1, 0, j->cols, x + i * j->cols,
                          j->cols);
    for (size_t i = 0; shift != 0 && i < n * j->cols; i++)
        x[i] += shift;
}

size_t merge_tile_rows(const struct merge_job *j, size_t tile, size_t *first)
{
    *first = tile * j->tile_rows;
    return size_min(j->tile_rows, j->rows - *first);
}

/* x = factor * B A, or added to x. b [n, r] is scratch. */
static void add_pair(const struct merge_job *j, const struct merge_part *part, float factor,
                     bool add, size_t first, size_t n, float *b, float *x)
{
    const struct adapter_pair *p = part->pair;
    const struct dtype_info *type = &dtypes[p->b->dtype];
    size_t row_bytes = p->r * type->block_bytes;
    if (j->turned) { /* rows of (B A)^T = A^T B^T */
        gemm_tile(true, true, n, j->cols, p->r, factor, part->a + first, p->in, part->b, p->r,
                  add ? 1 : 0, x, j->cols);
        return;
    }
    for (size_t i = 0; i < n; i++)
        type->to_float((const uint8_t *)p->b->data + merge_canonical_row(j, first + i) * row_bytes,
                       b + i * p->r, p->r);
    gemm_tile(false, false, n, j->cols, p->r, factor, b, p->r, part->a, j->cols, add ? 1 : 0, x,
              j->cols);
}

static bool is_dora(const struct merge_part *p)
{
    return p->pair && p->pair->magnitude;
}

/* v [n, cols]: what a part has in place of W. b [n, r] is scratch. */
static void part_values(const struct merge_job *j, const struct merge_part *p, size_t first,
                        size_t n, float *b, float *v)
{
    if (!is_dora(p)) {
        merge_rows(j, &p->values, p->shift, first, n, v);
        return;
    }
    merge_rows(j, &j->base, j->base_shift, first, n, v);
    add_pair(j, p, (float)p->pair->scale, true, first, n, b, v);
    for (size_t i = 0; i < n; i++)
        adapter_pair_normalise(p->pair, merge_canonical_row(j, first + i), 1, v + i * j->cols);
}

void merge_part_change(const struct merge_job *j, const struct merge_part *p, size_t first,
                       size_t n, float *spare, float *change)
{
    if (p->pair && !is_dora(p)) {
        add_pair(j, p, (float)p->pair->scale, false, first, n, spare, change);
        return;
    }
    part_values(j, p, first, n, spare, change);
    merge_rows(j, &j->base, j->base_shift, first, n, spare);
    for (size_t i = 0; i < n * j->cols; i++)
        change[i] -= spare[i];
}

void merge_part_add(const struct merge_job *j, const struct merge_part *p, size_t first, size_t n,
                    float *spare, float *x)
{
    float *v = spare, *w = v + n * j->cols, weight = (float)p->weight;
    if (p->pair && !is_dora(p)) {
        add_pair(j, p, (float)(p->weight * p->pair->scale), true, first, n, spare, x);
        return;
    }
    if (j->n_parts == 1 && p->weight == 1) { /* exactly V, not W + (V - W) */
        part_values(j, p, first, n, spare, x);
        return;
    }
    part_values(j, p, first, n, w, v);
    merge_rows(j, &j->base, j->base_shift, first, n, w);
    for (size_t i = 0; i < n * j->cols; i++)
        x[i] += weight * (v[i] - w[i]);
}

/* The random numbers of row `at`: number (row, column) of the matrix, of C columns, has the one at
 * row * C + column, however it is written. */
static void draw_row(const struct merge_job *j, const struct merge_part *p, size_t at,
                     uint32_t *random)
{
    uint64_t seed = j->m->recipe->seed, block = UINT64_MAX;
    uint64_t start = j->turned ? at : merge_canonical_row(j, at) * j->cols;
    uint64_t step = j->turned ? j->rows : 1;
    uint32_t four[4];
    for (size_t i = 0; i < j->cols; i++) {
        uint64_t index = start + i * step;
        if (index / 4 != block)
            rng_block(seed, p->stream, block = index / 4, four);
        random[i] = four[index % 4];
    }
}

/* A vector is one row. */
static void prune_at_random(const struct merge_job *j, const struct merge_part *p, size_t first,
                            size_t n, float *spare, float *change)
{
    size_t len = j->cols == 1 ? n : j->cols;
    uint64_t *ranks = (uint64_t *)(void *)spare; /* tiles begin at multiples of 64 bytes */
    uint32_t *random = (uint32_t *)(ranks + len);
    if (j->cols == 1) {
        for (size_t i = 0; i < n; i++)
            draw_row(j, p, first + i, random + i);
        recipe_keep_random(j->m->recipe, change, n, random, ranks);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        draw_row(j, p, first + i, random);
        recipe_keep_random(j->m->recipe, change + i * len, len, random, ranks);
    }
}

void merge_part_prune(const struct merge_job *j, const struct merge_part *p, size_t first, size_t n,
                      float *spare, float *change)
{
    switch (recipe_keep(j->m->recipe)) {
    case KEEP_ALL:
        break;
    case KEEP_LARGEST:
        recipe_keep_largest(change, n * j->cols, p->least);
        break;
    case KEEP_RANDOM:
    case KEEP_RANDOM_BY_RANK:
        prune_at_random(j, p, first, n, spare, change);
        break;
    }
}

size_t merge_spare_numbers(const struct merge_job *j)
{
    size_t tile = j->tile_rows * j->cols, line = j->cols == 1 ? j->tile_rows : j->cols;
    size_t most = size_max(2 * tile, 3 * line + 1); /* V and W; ranks and random numbers */
    for (size_t i = 0; i < j->n_parts; i++)
        if (j->parts[i].pair) /* V, then B's rows */
            most = size_max(most, tile + j->parts[i].pair->r * j->tile_rows);
    return most;
}
