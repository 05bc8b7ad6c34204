/*
 * The bfloat16 backend: products of bfloat16 operands, summed in float32 by AVX512-BF16.
 *
 * One kernel multiplies up to 14 rows of A (or 28, for a narrow result) by a packed panel of B, 32
 * (or 16) columns wide. vdpbf16ps multiplies pairs, so a panel holds two consecutive steps of the
 * sum side by side: panel[k / 2][column] = (B[k][column], B[k + 1][column]) in one 32-bit word. A
 * panel is expanded from the weights' own type right before it is used for all rows of a tile.
 */
#include "compute/gemm_backend.h"

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

enum {
    VECTOR = 16,     /* float32 numbers in a register */
    PANEL = 32,      /* columns of a panel */
    TILE_ROWS = 14,  /* 14 x 2 sums and 2 vectors of B fill the 32 registers */
    CHUNK = 1024,    /* steps of a sum that are packed at a time on the way back */
    CHUNK_ROWS = 32, /* rows of W expanded at a time */
};

/* A [m, 2 * pairs] row-major in bfloat16, as the kernel reads it: a pair of numbers a step. */
struct rows_view {
    const uint16_t *p;
    size_t ld; /* in numbers */
    size_t pairs;
};

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
            b[v] = (__m512bh)_mm512_loadu_si512(panel + v * VECTOR);
        KERNEL_UNROLL
        for (int i = 0; i < rows; i++) {
            int32_t pair;
            memcpy(&pair, base + (size_t)i * stride + k * sizeof pair, sizeof pair);
            __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
            for (int v = 0; v < vectors; v++)
                acc[i * vectors + v] = _mm512_dpbf16_ps(acc[i * vectors + v], b[v], x);
        }
        panel += vectors * VECTOR;
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
    panel = multiply(acc, a1, row, panel, rows, vectors);
    if (a2)
        multiply(acc, a2, row, panel, rows, vectors);
    for (int v = 0; v < vectors; v++) {
        size_t left = columns > (size_t)v * VECTOR ? columns - (size_t)v * VECTOR : 0;
        __mmask16 mask = left >= VECTOR ? 0xffff : (__mmask16)((1u << left) - 1);
        KERNEL_UNROLL
        for (int i = 0; i < rows; i++) {
            float *to = c + (size_t)i * ldc + v * VECTOR;
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

/* c [m, columns] = or += [A1 A2] panel, rows m0.. of A; the panel is `width` words wide. */
BF16_TARGET static void multiply_panel(const struct rows_view *a1, const struct rows_view *a2,
                                       size_t m, const uint32_t *panel, size_t width, float *c,
                                       size_t ldc, size_t columns, bool add)
{
    if (width == PANEL) {
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

static size_t panel_width(size_t columns)
{
    return columns <= VECTOR ? VECTOR : PANEL;
}

static size_t pairs_of(size_t n)
{
    return (n + 1) / 2;
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
    for (; i + VECTOR <= n; i += VECTOR) {
        __m512i a = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(low + i)));
        __m512i b = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(high + i)));
        _mm512_storeu_si512(out + i, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
    }
    for (; i < n; i++)
        out[i] = low[i] | (uint32_t)high[i] << 16;
}

/*
 * Panels whose columns are columns c0.. of rows [n, n_columns] in bfloat16, the sum running over
 * the rows: panel q holds columns q * width.., and is `pairs` long.
 */
static void pack_columns(const uint16_t *rows, size_t n, size_t ld, size_t n_columns, size_t width,
                         size_t first_pair, size_t pairs, uint32_t *panels)
{
    static const uint16_t zeros[PANEL];
    for (size_t c = 0; c < n_columns; c += width) {
        size_t columns = c + width < n_columns ? width : n_columns - c;
        uint32_t *panel = panels + (c / width * pairs + first_pair) * width;
        for (size_t i = 0; i < n; i += 2, panel += width) {
            interleave(rows + i * ld + c, i + 1 < n ? rows + (i + 1) * ld + c : zeros, columns,
                       panel);
            memset(panel + columns, 0, (width - columns) * sizeof *panel);
        }
    }
}

/* The forward panel of a transposed W, whose stored rows are the steps of the sum. */
static void pack_turned(const struct matrix *w, size_t n0, size_t columns, size_t width,
                        uint32_t *panel, float *floats, uint16_t *halves)
{
    struct matrix stored = matrix_stored(w);
    for (size_t i = 0; i < stored.rows; i += CHUNK_ROWS) {
        size_t rows = i + CHUNK_ROWS < stored.rows ? CHUNK_ROWS : stored.rows - i;
        matrix_floats(&stored, i, rows, n0, columns, floats, columns);
        floats_to_bf16(floats, halves, rows * columns);
        pack_columns(halves, rows, columns, columns, width, i / 2, pairs_of(stored.rows), panel);
    }
}

/*
 * Forward panel: rows n0.. of W [N, K] are the columns, so pairs lie side by side in a row of W
 * already and only have to be turned: panel[k/2][n] = words[n][k/2].
 */
BF16_TARGET static void pack_rows(const struct matrix *w, size_t n0, size_t columns, size_t width,
                                  uint32_t *panel, float *floats, uint16_t *halves)
{
    size_t k = w->cols, pairs = pairs_of(k), ld = pairs * 2, c = 0;
    if (w->transposed) {
        pack_turned(w, n0, columns, width, panel, floats, halves);
        return;
    }
    for (; c < columns; c++) {
        if (w->dtype == DTYPE_BF16 && !w->nf4) {
            size_t stored = matrix_stored_row(n0 + c, w->order);
            memcpy(halves + c * ld, w->data + stored * w->row_bytes, k * sizeof *halves);
        } else {
            matrix_floats(w, n0 + c, 1, 0, k, floats, k);
            floats_to_bf16(floats, halves + c * ld, k);
        }
        if (k % 2)
            halves[c * ld + k] = 0;
    }
    memset(halves + c * ld, 0, (width - c) * ld * sizeof *halves);
    const uint32_t *words = (const uint32_t *)(const void *)halves;
    size_t p = 0;
    for (; p + 16 <= pairs; p += 16)
        for (size_t v = 0; v < width; v += VECTOR)
            transpose16(words + v * pairs + p, pairs, panel + p * width + v, width);
    for (; p < pairs; p++)
        for (size_t v = 0; v < width; v++)
            panel[p * width + v] = words[v * pairs + p];
}

/* float32 rows [m, r] rounded, each padded to whole pairs. */
static struct rows_view round_rows(const float *p, size_t m, size_t r, uint16_t *out)
{
    size_t ld = pairs_of(r) * 2;
    for (size_t i = 0; i < m; i++) {
        floats_to_bf16(p + i * r, out + i * ld, r);
        if (r % 2)
            out[i * ld + r] = 0;
    }
    return (struct rows_view){out, ld, ld / 2};
}

/* The rows of an operand; copied if a row is no whole number of pairs. */
static struct rows_view view_rows(const struct operand *x, size_t row, size_t m, uint16_t *copy)
{
    if (x->cols % 2 == 0)
        return (struct rows_view){operand_bf16(x, row), x->cols, x->cols / 2};
    for (size_t i = 0; i < m; i++) {
        memcpy(copy + i * (x->cols + 1), operand_bf16(x, row + i), x->cols * sizeof *copy);
        copy[i * (x->cols + 1) + x->cols] = 0;
    }
    return (struct rows_view){copy, x->cols + 1, pairs_of(x->cols)};
}

/* Parts of a thread's scratch, handed out in multiples of 64 bytes. */
struct arena {
    char *p;
};

static void *take(struct arena *a, size_t n, size_t size)
{
    void *p = a->p;
    a->p += (n * size + 63) / 64 * 64;
    return p;
}

static size_t room(size_t n, size_t size)
{
    return (n * size + 63) / 64 * 16; /* in floats */
}

static void forward_tile(struct gemm_scratch *s, const struct operand *x, size_t m0, size_t m1,
                         const struct gemm_forward *job, size_t n0, size_t n1)
{
    const struct matrix *w = job->w;
    const struct gemm_low_rank *l = &job->lora;
    size_t m = m1 - m0, k = w->cols, ldy = w->rows, pairs = pairs_of(k), low_pairs = pairs_of(l->r);
    if (m <= GEMM_FEW) {
        gemm_forward_few(s, x, m0, m, job, n0, n1);
        return;
    }
    size_t n_floats = k + l->r > CHUNK_ROWS * PANEL ? k + l->r : CHUNK_ROWS * PANEL;
    struct arena arena = {
        (void *)gemm_scratch(s, room((pairs + low_pairs) * PANEL, 4) + room(n_floats, 4) +
                                    room(PANEL * 2 * (pairs + low_pairs), 2) +
                                    room(m * 2 * low_pairs, 2) + room(m * (k + 1), 2))};
    uint32_t *panel = take(&arena, (pairs + low_pairs) * PANEL, 4);
    float *floats = take(&arena, n_floats, 4);
    uint16_t *halves = take(&arena, PANEL * 2 * (pairs + low_pairs), 2);
    struct rows_view low = {0}, a;
    if (l->r)
        low = round_rows(l->h + m0 * l->r, m, l->r, take(&arena, m * 2 * low_pairs, 2));
    a = view_rows(x, m0, m, (uint16_t *)(void *)arena.p);
    struct matrix b = matrix_of_floats(l->b, w->rows, l->r);
    if (job->bias)
        gemm_start_tile(job, m0, m, n0, n1);
    for (size_t n = n0; n < n1; n += PANEL) {
        size_t columns = n + PANEL < n1 ? PANEL : n1 - n, width = panel_width(columns);
        pack_rows(w, n, columns, width, panel, floats, halves);
        if (l->r)
            pack_rows(&b, n, columns, width, panel + pairs * width, floats, halves);
        multiply_panel(&a, l->r ? &low : NULL, m, panel, width, job->y + m0 * ldy + n, ldy, columns,
                       job->add || job->bias);
    }
}

/* Rows n0.. n0 + n of W, columns k0.. k1, as panels for the way back. */
static void pack_back(const struct matrix *w, size_t n0, size_t n, size_t k0, size_t k1,
                      size_t width, size_t pairs, uint32_t *panels, float *floats, uint16_t *halves)
{
    size_t k = k1 - k0;
    for (size_t i = 0; i < n; i += CHUNK_ROWS) {
        size_t rows = i + CHUNK_ROWS < n ? CHUNK_ROWS : n - i;
        matrix_floats(w, n0 + i, rows, k0, k, floats, k);
        floats_to_bf16(floats, halves, rows * k);
        pack_columns(halves, rows, k, k, width, i / 2, pairs, panels);
    }
}

static void backward_tile(struct gemm_scratch *s, float *dx, size_t ld, size_t m0, size_t m1,
                          bool add, const struct gemm_backward *jobs, size_t n_jobs, size_t k0,
                          size_t k1)
{
    size_t m = m1 - m0, k = k1 - k0, width = panel_width(k), most_r = 0;
    for (size_t j = 0; j < n_jobs; j++)
        most_r = jobs[j].r > most_r ? jobs[j].r : most_r;
    size_t panels_wide = (k + width - 1) / width * width, low_pairs = pairs_of(most_r);
    size_t most = most_r > CHUNK ? most_r : CHUNK,
           expanded = CHUNK_ROWS > most_r ? CHUNK_ROWS : most_r;
    struct arena arena = {(void *)gemm_scratch(
        s, room(pairs_of(most) * panels_wide, 4) + room(expanded * k, 4) + room(expanded * k, 2) +
               room(m * 2 * low_pairs, 2) + room(m * (CHUNK + 1), 2))};
    uint32_t *panels = take(&arena, pairs_of(most) * panels_wide, 4);
    float *floats = take(&arena, expanded * k, 4);
    uint16_t *halves = take(&arena, expanded * k, 2), *low = take(&arena, m * 2 * low_pairs, 2);
    uint16_t *copy = take(&arena, m * (CHUNK + 1), 2);
    float *out = dx + m0 * ld + k0;
    for (size_t j = 0; j < n_jobs; j++) {
        const struct gemm_backward *job = &jobs[j];
        const struct matrix *w = job->w;
        for (size_t n0 = 0; n0 < w->rows; n0 += CHUNK) {
            size_t n = n0 + CHUNK < w->rows ? CHUNK : w->rows - n0, pairs = pairs_of(n);
            pack_back(w, n0, n, k0, k1, width, pairs, panels, floats, halves);
            struct rows_view a = {operand_bf16(job->dy, m0) + n0, job->dy->cols, pairs};
            if (n % 2) {
                for (size_t i = 0; i < m; i++) {
                    memcpy(copy + i * (n + 1), a.p + i * a.ld, n * sizeof *copy);
                    copy[i * (n + 1) + n] = 0;
                }
                a.p = copy;
                a.ld = n + 1;
            }
            for (size_t c = 0; c < k; c += width)
                multiply_panel(&a, NULL, m, panels + c * pairs, width, out + c, ld,
                               c + width < k ? width : k - c, add);
            add = true;
        }
        if (!job->r)
            continue;
        struct rows_view dh = round_rows(job->dh + m0 * job->r, m, job->r, low);
        for (size_t i = 0; i < job->r; i++)
            floats_to_bf16(job->a + i * ld + k0, halves + i * k, k);
        pack_columns(halves, job->r, k, k, width, 0, dh.pairs, panels);
        for (size_t c = 0; c < k; c += width)
            multiply_panel(&dh, NULL, m, panels + c * dh.pairs, width, out + c, ld,
                           c + width < k ? width : k - c, true);
    }
}

/* c [r, wide] += thin^T v, or its transpose: the sum runs over the m rows of both. */
static void grad_tile(struct gemm_scratch *s, const struct operand *v, size_t m, const float *thin,
                      size_t r, size_t w0, size_t w1, bool thin_first, float *c)
{
    size_t wide = w1 - w0, pairs = pairs_of(m), width = panel_width(wide);
    size_t panels_wide = (wide + width - 1) / width * width;
    struct arena arena = {(void *)gemm_scratch(s, room(pairs * panels_wide, 4) +
                                                      room(r * 2 * pairs, 2) + room(r * wide, 4))};
    uint32_t *panels = take(&arena, pairs * panels_wide, 4);
    uint16_t *turned = take(&arena, r * 2 * pairs, 2); /* thin^T, rows padded to whole pairs */
    float *sums = take(&arena, r * wide, 4);
    for (size_t i = 0; i < r; i++) {
        for (size_t t = 0; t < m; t++)
            turned[i * 2 * pairs + t] = float_to_bf16(thin[t * r + i]);
        if (m % 2)
            turned[i * 2 * pairs + m] = 0;
    }
    struct rows_view a = {turned, 2 * pairs, pairs};
    pack_columns(operand_bf16(v, 0) + w0, m, v->cols, wide, width, 0, pairs, panels);
    for (size_t q = 0; q < wide; q += width) {
        size_t columns = q + width < wide ? width : wide - q;
        float *to = thin_first ? c + w0 + q : sums + q;
        multiply_panel(&a, NULL, r, panels + q * pairs, width, to, thin_first ? v->cols : wide,
                       columns, thin_first);
    }
    for (size_t q = 0; !thin_first && q < wide; q++)
        for (size_t i = 0; i < r; i++)
            c[(w0 + q) * r + i] += sums[i * wide + q];
}

/* Turns bfloat16 words [16 p, 16 q] (leading dimension in words) block by block. */
static void transpose_words(const uint32_t *in, size_t rows, size_t cols, size_t ld, uint32_t *out,
                            size_t ldo)
{
    for (size_t i = 0; i < rows; i += VECTOR)
        for (size_t j = 0; j < cols; j += VECTOR)
            transpose16(in + i * ld + j, ld, out + j * ldo + i, ldo);
}

static size_t whole(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Rows [n, k] rounded after multiplication by alpha; rows and columns padded with zeros. */
SIMD_CLONES static void round_scaled(const float *in, size_t ld, size_t n, size_t k, float alpha,
                                     uint16_t *out, size_t rows, size_t ldo)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t *to = out + i * ldo;
        for (size_t j = 0; j < k; j++) {
            union {
                float f;
                uint32_t u;
            } v = {alpha * in[i * ld + j]};
            uint32_t rounded = (v.u + 0x7fff + (v.u >> 16 & 1)) >> 16, quiet_nan = v.u >> 16 | 0x40;
            to[j] = (uint16_t)((v.u & 0x7fffffff) > 0x7f800000 ? quiet_nan : rounded);
        }
        memset(to + k, 0, (ldo - k) * sizeof *to);
    }
    memset(out + n * ldo, 0, (rows - n) * ldo * sizeof *out);
}

/* As rows_view of op(a) [m, k]: rounded, and turned if the sum runs down a's columns. */
static struct rows_view tile_rows(bool transpose, const float *a, size_t lda, size_t m, size_t k,
                                  float alpha, uint16_t *halves, uint32_t *words, uint16_t *out)
{
    size_t ld = whole(k, PANEL);
    if (!transpose) {
        round_scaled(a, lda, m, k, alpha, out, m, ld);
        return (struct rows_view){out, ld, pairs_of(k)};
    }
    /* a [k, m]: pairs of its rows become words [k / 2, m], whose transpose is what is wanted. */
    size_t rows = whole(k, PANEL), cols = whole(m, VECTOR);
    round_scaled(a, lda, k, m, alpha, halves, rows, cols);
    for (size_t i = 0; i < rows; i += 2)
        interleave(halves + i * cols, halves + (i + 1) * cols, cols, words + i / 2 * cols);
    transpose_words(words, rows / 2, cols, cols, (uint32_t *)(void *)out, ld / 2);
    return (struct rows_view){out, ld, pairs_of(k)};
}

/* Panels of op(b) [k, n]: panel q holds columns q * PANEL .., each `pairs` long. */
static void tile_panels(bool transpose, const float *b, size_t ldb, size_t n, size_t k,
                        size_t pairs, uint16_t *halves, uint32_t *panels)
{
    if (!transpose) {
        size_t ld = whole(n, PANEL);
        round_scaled(b, ldb, k, n, 1, halves, whole(k, 2), ld);
        pack_columns(halves, whole(k, 2), ld, n, PANEL, 0, pairs, panels);
        return;
    }
    /* b [n, k]: its rows are columns of the panel, pairs side by side already. */
    size_t ld = whole(k, PANEL), turned = ld / 2;
    round_scaled(b, ldb, n, k, 1, halves, whole(n, PANEL), ld);
    const uint32_t *words = (const uint32_t *)(const void *)halves;
    for (size_t c = 0; c < n; c += PANEL)
        transpose_words(words + c * turned, PANEL, turned, turned,
                        panels + c / PANEL * pairs * PANEL, PANEL);
}

void gemm_tile_bf16(struct gemm_scratch *s, bool transpose_a, bool transpose_b, size_t m, size_t n,
                    size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc)
{
    /* Turning writes whole blocks, so panels are as long as k rounded up. */
    size_t mp = whole(m, VECTOR), np = whole(n, PANEL), kp = whole(k, PANEL), pairs = kp / 2;
    size_t most = kp * (mp > np ? mp : np);
    struct arena arena = {(void *)gemm_scratch(s, room(most, 2) + room(pairs * mp, 4) +
                                                      room(mp * kp, 2) + room(pairs * np, 4))};
    uint16_t *halves = take(&arena, most, 2);
    uint32_t *words = take(&arena, pairs * mp, 4);
    uint16_t *rows = take(&arena, mp * kp, 2);
    uint32_t *panels = take(&arena, pairs * np, 4);
    struct rows_view view = tile_rows(transpose_a, a, lda, m, k, alpha, halves, words, rows);
    tile_panels(transpose_b, b, ldb, n, k, pairs, halves, panels);
    for (size_t q = 0; q < n; q += PANEL)
        multiply_panel(&view, NULL, m, panels + q * pairs, PANEL, c + q, ldc,
                       q + PANEL < n ? PANEL : n - q, beta != 0);
}

const struct gemm_ops gemm_bf16_ops = {
    .bf16 = true,
    .m_block = 1024,
    .n_block = 128,
    .forward_tile = forward_tile,
    .backward_tile = backward_tile,
    .grad_tile = grad_tile,
};

#else

/* backend_available says no on other processors, so nothing here is ever called. */
const struct gemm_ops gemm_bf16_ops = {.bf16 = true};

void gemm_tile_bf16(struct gemm_scratch *s, bool transpose_a, bool transpose_b, size_t m, size_t n,
                    size_t k, float alpha, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc)
{
    (void)s;
    gemm_tile(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

#endif
