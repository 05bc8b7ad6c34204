/*
 * attention_tile: elementwise work on a tile of attention scores. Private to attention.c.
 *
 * A tile is turned: [keys, QUERY_TILE], a query a column, so that maxima, sums and weights of all
 * queries are computed side by side. Columns up to a multiple of 16 take part; those behind the
 * last query hold finite numbers that nobody reads.
 */
#ifndef COMPUTE_ATTENTION_TILE_H
#define COMPUTE_ATTENTION_TILE_H

#include <stddef.h>

#include "compute/tile.h"

enum { QUERY_TILE = 64, KEY_TILE = 256 };

/* Hides keys k0.. from queries q0.. that come before them, or `window` or more after them. */
void tile_mask(float *s, size_t nk, size_t columns, size_t q0, size_t k0, size_t window);

/* max = max(max, s) for each column. */
void tile_max(const float *s, size_t nk, size_t columns, float *max);

/* s = exp(scale s - shift), added to each column's sum. */
void tile_exp(float *s, size_t nk, size_t columns, float scale, const float *shift, float *sum);

/* s = exp(scale s - lse), columns' weights on the way back. */
void tile_weights(float *s, size_t nk, size_t columns, float scale, const float *lse);

/* dp = scale p (dp - along): the gradient of the scores. */
void tile_softmax_backward(float *dp, const float *p, size_t nk, size_t columns, float scale,
                           const float *along);

/* Column by column: x *= by. */
void tile_scale(float *x, size_t rows, size_t columns, const float *by);

#endif
