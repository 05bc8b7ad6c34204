#include "compute/tile.h"

#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/bf16_kernel.h"
#include "compute/gemm.h"

size_t tile_panel_words(size_t k, size_t n)
{
    return size_round_up(k, BF16_PANEL) / 2 * size_round_up(n, BF16_PANEL);
}

struct tile_right tile_panels(const uint32_t *panels, size_t k)
{
    return (struct tile_right){panels, bf16_pairs(k) * BF16_PANEL, true, false};
}

static void multiply_floats(const struct tile_left *a, const struct tile_right *b, size_t m,
                            size_t n, size_t k, float *c, size_t ldc, bool add)
{
    gemm_tile(a->turned, b->turned, m, n, k, 1, a->p, a->ld, b->p, b->ld, add ? 1 : 0, c, ldc);
}

/* Blocks of 16 x 16, so that both sides are read and written in whole cache lines. */
static void turn_floats(const float *x, size_t ld, size_t rows, size_t cols, float *out, size_t ldo)
{
    for (size_t i = 0; i < rows; i += TILE_UNIT)
        for (size_t j = 0; j < cols; j++)
            for (size_t r = i; r < i + TILE_UNIT; r++)
                out[j * ldo + r] = x[r * ld + j];
}

#if defined(__x86_64__)

void tile_turn(const float *x, size_t ld, size_t rows, size_t cols, float *out, size_t ldo)
{
    if (__builtin_cpu_supports("avx512bf16"))
        bf16_turn((const uint32_t *)(const void *)x, rows, cols, ld, (uint32_t *)(void *)out, ldo);
    else
        turn_floats(x, ld, rows, cols, out, ldo);
}

void tile_multiply(const struct tile_left *a, const struct tile_right *b, size_t m, size_t n,
                   size_t k, float *c, size_t ldc, bool add)
{
    if (!a->bf16) {
        multiply_floats(a, b, m, n, k, c, ldc, add);
        return;
    }
    struct rows_view rows = {a->p, a->ld, bf16_pairs(k)};
    for (size_t i = 0; i < n; i += BF16_PANEL)
        bf16_multiply_panel(&rows, NULL, m, (const uint32_t *)b->p + i / BF16_PANEL * b->ld,
                            BF16_PANEL, c + i, ldc, size_min(BF16_PANEL, n - i), add);
}

struct tile_right tile_along(const uint16_t *rows, size_t ld, size_t k, size_t n, uint32_t *panels)
{
    bf16_pack_columns(rows, k, ld, n, BF16_PANEL, 0, bf16_pairs(k) * BF16_PANEL, panels);
    return tile_panels(panels, k);
}

struct tile_right tile_across(const uint16_t *rows, size_t ld, size_t k, size_t n, uint32_t *panels)
{
    size_t pairs = size_round_up(k, BF16_PANEL) / 2, words = pairs * BF16_PANEL;
    for (size_t i = 0; i < n; i += BF16_PANEL)
        bf16_turn((const uint32_t *)(const void *)(rows + i * ld), BF16_PANEL, pairs, ld / 2,
                  panels + i / BF16_PANEL * words, BF16_PANEL);
    return (struct tile_right){panels, words, true, false};
}

void tile_turn_bf16(const uint16_t *x, size_t ld, size_t rows, size_t cols, uint16_t *out,
                    size_t ldo)
{
    /* 32 rows are 16 rows of pairs; turned, they are 16 words of each of the columns. */
    uint32_t pairs[BF16_PANEL / 2 * BF16_VECTOR];
    uint32_t *words = (uint32_t *)(void *)out;
    for (size_t i = 0; i < ldo; i += BF16_PANEL)
        for (size_t j = 0; j < cols; j += BF16_VECTOR) {
            size_t n = i < rows ? size_min(BF16_PANEL, rows - i) : 0;
            if (n < BF16_PANEL)
                memset(pairs, 0, sizeof pairs);
            bf16_pack_columns(x + i * ld + j, n, ld, size_min(BF16_VECTOR, cols - j), BF16_VECTOR,
                              0, 0, pairs);
            bf16_turn(pairs, BF16_PANEL / 2, BF16_VECTOR, BF16_VECTOR, words + (j * ldo + i) / 2,
                      ldo / 2);
        }
}

#else

void tile_turn(const float *x, size_t ld, size_t rows, size_t cols, float *out, size_t ldo)
{
    turn_floats(x, ld, rows, cols, out, ldo);
}

/* backend_available says no on other processors, so operands are float32. */
void tile_multiply(const struct tile_left *a, const struct tile_right *b, size_t m, size_t n,
                   size_t k, float *c, size_t ldc, bool add)
{
    multiply_floats(a, b, m, n, k, c, ldc, add);
}

struct tile_right tile_along(const uint16_t *rows, size_t ld, size_t k, size_t n, uint32_t *panels)
{
    (void)rows, (void)ld, (void)k, (void)n;
    return (struct tile_right){panels, 0, true, false};
}

struct tile_right tile_across(const uint16_t *rows, size_t ld, size_t k, size_t n, uint32_t *panels)
{
    return tile_along(rows, ld, k, n, panels);
}

void tile_turn_bf16(const uint16_t *x, size_t ld, size_t rows, size_t cols, uint16_t *out,
                    size_t ldo)
{
    (void)x, (void)ld, (void)rows;
    memset(out, 0, cols * ldo * sizeof *out);
}

#endif
