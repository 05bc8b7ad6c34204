/*
 * tile: products of small matrices on the calling thread, for attention.
 *
 * c [m, n] = or += a b, float32, from operands in float32 (by OpenBLAS) or bfloat16 (by the
 * processor's own products of pairs). The left operand is read where it lies; the right one is
 * first laid out as its arithmetic wants it.
 */
#ifndef COMPUTE_TILE_H
#define COMPUTE_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TILE_UNIT = 16 };

/* a [m, k]; `turned` (float32 alone): stored as [k, m]. */
struct tile_left {
    const void *p;
    size_t ld;
    bool bf16, turned;
};

/* b [k, n]; `turned` (float32 alone): stored as [n, k]. In bfloat16 p is memory for panels. */
struct tile_right {
    const void *p;
    size_t ld; /* in bfloat16: words from panel to panel */
    bool bf16, turned;
};

void tile_multiply(const struct tile_left *a, const struct tile_right *b, size_t m, size_t n,
                   size_t k, float *c, size_t ldc, bool add);

/* 32-bit words that the panels of b [k, n] take. */
size_t tile_panel_words(size_t k, size_t n);

/* b [k, n] in bfloat16 out of its rows, or (across) out of the rows of its transpose, which must
 * be zero up to multiples of 32 both ways. */
struct tile_right tile_along(const uint16_t *rows, size_t ld, size_t k, size_t n, uint32_t *panels);
struct tile_right tile_across(const uint16_t *rows, size_t ld, size_t k, size_t n,
                              uint32_t *panels);

/* Panels that were made elsewhere, laid out as tile_along makes those of k rows. */
struct tile_right tile_panels(const uint32_t *panels, size_t k);

/* x [rows, cols] in bfloat16, turned: out [cols up to a multiple of 16, ldo], zero up to ldo, which
 * is a multiple of 32. */
void tile_turn_bf16(const uint16_t *x, size_t ld, size_t rows, size_t cols, uint16_t *out,
                    size_t ldo);
/* float32 x [rows, cols], both multiples of TILE_UNIT, turned: out [cols, ldo]. */
void tile_turn(const float *x, size_t ld, size_t rows, size_t cols, float *out, size_t ldo);

#endif
