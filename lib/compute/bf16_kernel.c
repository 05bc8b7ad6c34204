#include "compute/bf16_kernel.h"

#include <string.h>

#if defined(__x86_64__)

#include <immintrin.h>

#include "base/simd.h"

#define BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

/* The sums live in registers only if every loop over them is unrolled in every size of the kernel.
 * Under a sanitizer that is code without end, so there one checked loop serves all sizes. */
#ifdef SIMD_SANITIZED
#define KERNEL_INLINE
#define KERNEL_UNROLL
#else
#define KERNEL_INLINE inline __attribute__((always_inline))
#define KERNEL_UNROLL _Pragma("GCC unroll 28")
#endif

enum { TILE_ROWS = 14 }; /* 14 x 2 sums and 2 vectors of B fill the 32 registers */

/* acc += A panel for one run of pairs; returns where the panel goes on. */
BF16_TARGET static KERNEL_INLINE const uint32_t *multiply(__m512 *acc, const struct rows_view *a,
                                                          size_t row, const uint32_t *panel,
                                                          const int rows, const int vectors)
{
    const char *base = (const char *)(a->p + row * a->ld);
    size_t stride = a->ld * sizeof *a->p;
    for (size_t k = 0; k < a->pairs; k++) {
        __m512bh b[2];
        for (int v = 0; v < vectors; v++)
            b[v] = (__m512bh)_mm512_loadu_si512(panel + v * BF16_VECTOR);
        KERNEL_UNROLL
        for (int i = 0; i < rows; i++) {
            int32_t pair;
            memcpy(&pair, base + (size_t)i * stride + k * sizeof pair, sizeof pair);
            __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
            for (int v = 0; v < vectors; v++)
                acc[i * vectors + v] = _mm512_dpbf16_ps(acc[i * vectors + v], b[v], x);
        }
        panel += vectors * BF16_VECTOR;
    }
    return panel;
}

/* c [rows, columns] = or += A1 P1 + A2 P2, the panels following each other. */
BF16_TARGET static KERNEL_INLINE void kernel(const struct rows_view *a1, const struct rows_view *a2,
                                             size_t row, const uint32_t *panel, float *c,
                                             size_t ldc, size_t columns, bool add, const int rows,
                                             const int vectors)
{
    __m512 acc[28];
    KERNEL_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        acc[i] = _mm512_setzero_ps();
    /* The result's lines come while the sums run. */
    KERNEL_UNROLL
    for (int i = 0; i < rows * vectors; i++)
        __builtin_prefetch(c + (size_t)(i / vectors) * ldc + i % vectors * BF16_VECTOR, 1);
    panel = multiply(acc, a1, row, panel, rows, vectors);
    if (a2)
        multiply(acc, a2, row, panel, rows, vectors);
    KERNEL_UNROLL
    for (int v = 0; v < vectors; v++) {
        size_t left = columns > (size_t)v * BF16_VECTOR ? columns - (size_t)v * BF16_VECTOR : 0;
        __mmask16 mask = left >= BF16_VECTOR ? 0xffff : (__mmask16)((1u << left) - 1);
        KERNEL_UNROLL
        for (int i = 0; i < rows; i++) {
            float *to = c + (size_t)i * ldc + v * BF16_VECTOR;
            __m512 sum = acc[i * vectors + v];
            if (add)
                sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, to));
            _mm512_mask_storeu_ps(to, mask, sum);
        }
    }
}

#define KERNEL_CASE(n)                                                                             \
    case n:                                                                                        \
        kernel(a1, a2, row, panel, c, ldc, columns, add, n, 2);                                    \
        break;

BF16_TARGET static void kernel_wide(const struct rows_view *a1, const struct rows_view *a2,
                                    size_t row, size_t rows, const uint32_t *panel, float *c,
                                    size_t ldc, size_t columns, bool add)
{
    switch (rows) {
        KERNEL_CASE(1)
        KERNEL_CASE(2)
        KERNEL_CASE(3)
        KERNEL_CASE(4)
        KERNEL_CASE(5)
        KERNEL_CASE(6)
        KERNEL_CASE(7)
        KERNEL_CASE(8)
        KERNEL_CASE(9)
        KERNEL_CASE(10)
        KERNEL_CASE(11)
        KERNEL_CASE(12)
        KERNEL_CASE(13)
        KERNEL_CASE(14)
    }
}

#undef KERNEL_CASE
#define KERNEL_CASE(n)                                                                             \
    case n:                                                                                        \
        kernel(a1, a2, row, panel, c, ldc, columns, add, n, 1);                                    \
        break;

/* 16 columns: twice the rows fit into the registers; fewer sizes, since leftovers are rare. */
BF16_TARGET static void kernel_narrow(const struct rows_view *a1, const struct rows_view *a2,
                                      size_t row, size_t rows, const uint32_t *panel, float *c,
                                      size_t ldc, size_t columns, bool add)
{
    switch (rows) {
        KERNEL_CASE(1)
        KERNEL_CASE(2)
        KERNEL_CASE(4)
        KERNEL_CASE(8)
        KERNEL_CASE(16)
        KERNEL_CASE(28)
    }
}

BF16_TARGET void bf16_multiply_panel(const struct rows_view *a1, const struct rows_view *a2,
                                     size_t m, const uint32_t *panel, size_t width, float *c,
                                     size_t ldc, size_t columns, bool add)
{
    if (width == BF16_PANEL) {
        /* Equal tiles: 512 rows are 37 tiles of 13 or 14. */
        size_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
        for (size_t i = 0; i < tiles; i++) {
            size_t r0 = i * m / tiles, r1 = (i + 1) * m / tiles;
            kernel_wide(a1, a2, r0, r1 - r0, panel, c + r0 * ldc, ldc, columns, add);
        }
        return;
    }
    static const uint8_t sizes[] = {28, 16, 8, 4, 2, 1};
    for (size_t r = 0, i = 0; r < m; r += sizes[i]) {
        while (sizes[i] > m - r)
            i++;
        kernel_narrow(a1, a2, r, sizes[i], panel, c + r * ldc, ldc, columns, add);
    }
}

/* 16 x 16 words, rows of `in` (leading dimension ld) become columns of `out`. */
BF16_TARGET static void transpose16(const uint32_t *in, size_t ld, uint32_t *out, size_t ldo)
{
    __m512i r[16], t[16];
    for (int i = 0; i < 16; i++)
        r[i] = _mm512_loadu_si512(in + (size_t)i * ld);
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(out + (size_t)i * ldo, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        _mm512_storeu_si512(out + (size_t)(i + 4) * ldo,
                            _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
        _mm512_storeu_si512(out + (size_t)(i + 8) * ldo,
                            _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
        _mm512_storeu_si512(out + (size_t)(i + 12) * ldo,
                            _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
    }
}

/* Two rows of numbers become one row of pairs: out[i] = (low[i], high[i]). */
BF16_TARGET static inline void interleave(const uint16_t *low, const uint16_t *high, size_t n,
                                          uint32_t *out)
{
    size_t i = 0;
    for (; i + BF16_VECTOR <= n; i += BF16_VECTOR) {
        __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(low + i)));
        __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(high + i)));
        _mm512_storeu_si512(out + i, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
    }
    for (; i < n; i++)
        out[i] = low[i] | (uint32_t)high[i] << 16;
}

void bf16_pack_columns(const uint16_t *rows, size_t n, size_t ld, size_t n_columns, size_t width,
                       size_t first_pair, size_t panel_words, uint32_t *panels)
{
    static const uint16_t zeros[BF16_PANEL];
    for (size_t c = 0; c < n_columns; c += width) {
        size_t columns = c + width < n_columns ? width : n_columns - c;
        uint32_t *panel = panels + c / width * panel_words + first_pair * width;
        for (size_t i = 0; i < n; i += 2, panel += width) {
            interleave(rows + i * ld + c, i + 1 < n ? rows + (i + 1) * ld + c : zeros, columns,
                       panel);
            memset(panel + columns, 0, (width - columns) * sizeof *panel);
        }
    }
}

/* Two rows of floats become one row of pairs, rounded. */
BF16_TARGET static inline void interleave_floats(const float *low, const float *high, size_t n,
                                                 uint32_t *out)
{
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i by_pairs = _mm512_loadu_si512(order);
    for (size_t i = 0; i < n; i += BF16_VECTOR) {
        __mmask16 mask = n - i < BF16_VECTOR ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        __m512 a = _mm512_maskz_loadu_ps(mask, low + i), b = _mm512_setzero_ps();
        if (high)
            b = _mm512_maskz_loadu_ps(mask, high + i);
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b, a);
        _mm512_storeu_si512(out + i, _mm512_permutexvar_epi16(by_pairs, both));
    }
}

BF16_TARGET void bf16_pack_floats(const float *rows, size_t n, size_t ld, size_t n_columns,
                                  size_t width, size_t first_pair, size_t panel_words,
                                  uint32_t *panels)
{
    for (size_t c = 0; c < n_columns; c += width) {
        size_t columns = size_min(width, n_columns - c);
        uint32_t *panel = panels + c / width * panel_words + first_pair * width;
        for (size_t i = 0; i < n; i += 2, panel += width) {
            const float *low = rows + i * ld + c;
            if (columns < width)
                memset(panel, 0, width * sizeof *panel);
            interleave_floats(low, i + 1 < n ? low + ld : NULL, columns, panel);
        }
    }
}

void bf16_turn(const uint32_t *in, size_t rows, size_t cols, size_t ld, uint32_t *out, size_t ldo)
{
    for (size_t i = 0; i < rows; i += BF16_VECTOR)
        for (size_t j = 0; j < cols; j += BF16_VECTOR)
            transpose16(in + i * ld + j, ld, out + j * ldo + i, ldo);
}

struct rows_view bf16_round_rows(const float *p, size_t m, size_t r, uint16_t *out)
{
    size_t ld = bf16_pairs(r) * 2;
    for (size_t i = 0; i < m; i++) {
        floats_to_bf16(p + i * r, out + i * ld, r);
        if (r % 2)
            out[i * ld + r] = 0;
    }
    return (struct rows_view){out, ld, ld / 2};
}

#endif
