#include "compute/attention_tile.h"

#include <math.h>

#include "base/mem.h"
#include "base/simd.h"

void tile_mask(float *s, size_t nk, size_t columns, size_t q0, size_t k0, size_t window)
{
    for (size_t j = 0; j < nk; j++) {
        float *row = s + j * QUERY_TILE;
        size_t key = k0 + j, first = key > q0 ? size_min(columns, key - q0) : 0;
        for (size_t q = 0; q < first; q++)
            row[q] = -INFINITY;
        /* The first query that is too far behind the key. */
        size_t far = window > SIZE_MAX - key ? SIZE_MAX : key + window;
        for (size_t q = far > q0 ? far - q0 : 0; q < columns; q++)
            row[q] = -INFINITY;
    }
}

SIMD_CLONES void tile_max(const float *s, size_t nk, size_t columns, float *max)
{
    for (size_t q = 0; q < columns; q += TILE_UNIT) {
        float most[TILE_UNIT];
        for (size_t l = 0; l < TILE_UNIT; l++)
            most[l] = max[q + l];
        for (size_t j = 0; j < nk; j++)
            for (size_t l = 0; l < TILE_UNIT; l++) {
                float v = s[j * QUERY_TILE + q + l];
                most[l] = v > most[l] ? v : most[l];
            }
        for (size_t l = 0; l < TILE_UNIT; l++)
            max[q + l] = most[l];
    }
}

SIMD_CLONES void tile_exp(float *s, size_t nk, size_t columns, float scale, const float *shift,
                          float *sum)
{
    for (size_t q = 0; q < columns; q += TILE_UNIT) {
        float total[TILE_UNIT], by[TILE_UNIT];
        for (size_t l = 0; l < TILE_UNIT; l++) {
            total[l] = sum[q + l];
            by[l] = shift[q + l];
        }
        for (size_t j = 0; j < nk; j++)
            for (size_t l = 0; l < TILE_UNIT; l++) {
                float *x = &s[j * QUERY_TILE + q + l];
                *x = simd_exp(*x * scale - by[l]);
                total[l] += *x;
            }
        for (size_t l = 0; l < TILE_UNIT; l++)
            sum[q + l] = total[l];
    }
}

SIMD_CLONES void tile_weights(float *s, size_t nk, size_t columns, float scale, const float *lse)
{
    for (size_t j = 0; j < nk; j++)
        for (size_t q = 0; q < columns; q += TILE_UNIT)
            for (size_t l = q; l < q + TILE_UNIT; l++)
                s[j * QUERY_TILE + l] = simd_exp(s[j * QUERY_TILE + l] * scale - lse[l]);
}

SIMD_CLONES void tile_softmax_backward(float *dp, const float *p, size_t nk, size_t columns,
                                       float scale, const float *along)
{
    for (size_t j = 0; j < nk; j++)
        for (size_t q = 0; q < columns; q += TILE_UNIT)
            for (size_t l = q; l < q + TILE_UNIT; l++) {
                float *x = &dp[j * QUERY_TILE + l];
                *x = p[j * QUERY_TILE + l] * (*x - along[l]) * scale;
            }
}

SIMD_CLONES void tile_scale(float *x, size_t rows, size_t columns, const float *by)
{
    for (size_t j = 0; j < rows; j++)
        for (size_t q = 0; q < columns; q += TILE_UNIT)
            for (size_t l = q; l < q + TILE_UNIT; l++)
                x[j * QUERY_TILE + l] *= by[l];
}
