/*
 * attention_bf16: elementwise work on a tile of scores that products of bfloat16 read next. Private
 * to attention.c.
 *
 * What attention_tile.h does in several goes over a tile, and the rounding after them, in one: a
 * product takes about as long as one go over the tile that it reads. Tiles are as there; all
 * QUERY_TILE columns take part in twos of 16. Exponentials are within 4e-6 of their value, far less
 * than what rounding takes away. For processors that have AVX512-BF16.
 */
#ifndef COMPUTE_ATTENTION_BF16_H
#define COMPUTE_ATTENTION_BF16_H

#include <stddef.h>
#include <stdint.h>

#include "compute/attention_tile.h"

/* max = max(max, s) for each column. */
void bf16_tile_max(const float *s, size_t nk, size_t columns, float *max);

/* Panels of exp(scale s - shift), as tile_along makes them of rows; added to each column's sum. */
void bf16_tile_exp(const float *s, size_t nk, size_t columns, float scale, const float *shift,
                   float *sum, uint32_t *panels);

/* s = exp(scale s - lse), and the same rounded in rows [nk, QUERY_TILE]. */
void bf16_tile_weights(float *s, size_t nk, size_t columns, float scale, const float *lse,
                       uint16_t *rows);

/* scale p (dp - along) rounded, in rows [nk, QUERY_TILE] and in panels. */
void bf16_tile_softmax_backward(const float *dp, const float *p, size_t nk, size_t columns,
                                float scale, const float *along, uint16_t *rows, uint32_t *panels);

#endif
