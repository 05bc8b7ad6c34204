/*
 * bf16_kernel: rows of bfloat16 times packed panels, summed in float32 by AVX512-BF16.
 *
 * vdpbf16ps multiplies pairs, so a panel holds two consecutive steps of the sum side by side:
 * panel[k / 2][column] = (B[k][column], B[k + 1][column]) in one 32-bit word, 32 columns wide, or
 * 16 where the result has no more. An element's sum runs over the pairs in order, whatever the
 * tiles are, so it doesn't depend on how a product is cut. For x86-64 alone.
 */
#ifndef COMPUTE_BF16_KERNEL_H
#define COMPUTE_BF16_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "compute/gemm_backend.h"

enum {
    BF16_VECTOR = 16, /* words in a register */
    BF16_PANEL = 32,  /* columns of a panel */
};

/* A [m, 2 * pairs] row-major in bfloat16, as the kernel reads it: a pair of numbers a step. */
struct rows_view {
    const uint16_t *p;
    size_t ld; /* in numbers */
    size_t pairs;
};

static inline size_t bf16_pairs(size_t n)
{
    return (n + 1) / 2;
}

static inline size_t bf16_panel_width(size_t columns)
{
    return columns <= BF16_VECTOR ? BF16_VECTOR : BF16_PANEL;
}

/* c [m, columns] = or += [A1 A2] panel; the panel is `width` words wide, A2's part follows A1's. */
void bf16_multiply_panel(const struct rows_view *a1, const struct rows_view *a2, size_t m,
                         const uint32_t *panel, size_t width, float *c, size_t ldc, size_t columns,
                         bool add);

/*
 * Rows [n, n_columns] become pairs `first_pair`.. of panels of the columns, the sum running over
 * the rows. Panel q holds columns q * width..; panels are `panel_words` apart.
 */
void bf16_pack_columns(const uint16_t *rows, size_t n, size_t ld, size_t n_columns, size_t width,
                       size_t first_pair, size_t panel_words, uint32_t *panels);

/* The same of rows of floats, which it rounds to nearest even, and denormal numbers to 0. */
void bf16_pack_floats(const float *rows, size_t n, size_t ld, size_t n_columns, size_t width,
                      size_t first_pair, size_t panel_words, uint32_t *panels);

/* Words [rows, cols], multiples of 16, turned: pairs that lie side by side in a row get below each
 * other in a panel. Leading dimensions in words. */
void bf16_turn(const uint32_t *in, size_t rows, size_t cols, size_t ld, uint32_t *out, size_t ldo);

/* float32 rows [m, r] rounded, each padded to whole pairs. */
struct rows_view bf16_round_rows(const float *p, size_t m, size_t r, uint16_t *out);

/* Parts of a thread's scratch, handed out in multiples of 64 bytes. */
struct arena {
    char *p;
};

static inline void *arena_take(struct arena *a, size_t n, size_t size)
{
    void *p = a->p;
    a->p += size_round_up(n * size, 64);
    return p;
}

/* Floats of scratch that such a part takes. */
static inline size_t arena_room(size_t n, size_t size)
{
    return size_round_up(n * size, 64) / sizeof(float);
}

#endif
