#include "compute/attention_bf16.h"

#include "compute/bf16_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define BF16_INLINE BF16_TARGET static inline __attribute__((always_inline))

static const float log2_e = 1.44269504088896341f;

/* 2^x: of the whole number by exponent, of the rest in [-1/2, 1/2] by a polynomial that was fitted
 * for the least relative error, 1e-7. 0 below -150; of NaN, NaN. */
BF16_INLINE __m512 exp2_lanes(__m512 x)
{
    x = _mm512_max_ps(_mm512_set1_ps(-150), x);
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_sub_ps(x, whole), p = _mm512_set1_ps(0.001326472731307149f);
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.009671512991189957f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.05550733581185341f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.24022242426872253f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.6931470036506653f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, whole);
}

/* Two rows of 16 become 16 pairs, a word each. */
BF16_INLINE __m512i pairs_of(__m512 upper, __m512 lower)
{
    static const uint16_t order[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                       21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                       11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(lower, upper);
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order), rounded);
}

BF16_TARGET void bf16_tile_max(const float *s, size_t nk, size_t columns, float *max)
{
    for (size_t q = 0; q < columns; q += BF16_PANEL) {
        __m512 a = _mm512_loadu_ps(max + q), b = _mm512_loadu_ps(max + q + BF16_VECTOR);
        for (size_t j = 0; j < nk; j++) {
            a = _mm512_max_ps(a, _mm512_loadu_ps(s + j * QUERY_TILE + q));
            b = _mm512_max_ps(b, _mm512_loadu_ps(s + j * QUERY_TILE + q + BF16_VECTOR));
        }
        _mm512_storeu_ps(max + q, a);
        _mm512_storeu_ps(max + q + BF16_VECTOR, b);
    }
}

BF16_TARGET void bf16_tile_exp(const float *s, size_t nk, size_t columns, float scale,
                               const float *shift, float *sum, uint32_t *panels)
{
    const __m512 by = _mm512_set1_ps(scale * log2_e), base = _mm512_set1_ps(log2_e);
    for (size_t q = 0; q < columns; q += BF16_VECTOR) {
        uint32_t *to = panels + q / BF16_PANEL * bf16_pairs(nk) * BF16_PANEL + q % BF16_PANEL;
        __m512 from = _mm512_mul_ps(_mm512_loadu_ps(shift + q), base);
        __m512 total = _mm512_loadu_ps(sum + q);
        for (size_t j = 0; j < nk; j += 2, to += BF16_PANEL) {
            const float *at = s + j * QUERY_TILE + q;
            __m512 upper = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(at), by, from));
            __m512 lower = _mm512_setzero_ps();
            if (j + 1 < nk)
                lower = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(at + QUERY_TILE), by, from));
            total = _mm512_add_ps(_mm512_add_ps(total, upper), lower);
            _mm512_storeu_si512(to, pairs_of(upper, lower));
        }
        _mm512_storeu_ps(sum + q, total);
    }
}

BF16_TARGET void bf16_tile_weights(float *s, size_t nk, size_t columns, float scale,
                                   const float *lse, uint16_t *rows)
{
    const __m512 by = _mm512_set1_ps(scale * log2_e), base = _mm512_set1_ps(log2_e);
    for (size_t q = 0; q < columns; q += BF16_PANEL) {
        __m512 from_a = _mm512_mul_ps(_mm512_loadu_ps(lse + q), base);
        __m512 from_b = _mm512_mul_ps(_mm512_loadu_ps(lse + q + BF16_VECTOR), base);
        for (size_t j = 0; j < nk; j++) {
            float *at = s + j * QUERY_TILE + q;
            __m512 a = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(at), by, from_a));
            __m512 b = exp2_lanes(_mm512_fmsub_ps(_mm512_loadu_ps(at + BF16_VECTOR), by, from_b));
            _mm512_storeu_ps(at, a);
            _mm512_storeu_ps(at + BF16_VECTOR, b);
            _mm512_storeu_si512(rows + j * QUERY_TILE + q, (__m512i)_mm512_cvtne2ps_pbh(b, a));
        }
    }
}

/* A row's two times 16 of scale p (dp - along). */
struct two_lanes {
    __m512 a, b;
};

BF16_INLINE struct two_lanes score_gradients(const float *dp, const float *p, __m512 scale,
                                             struct two_lanes along)
{
    __m512 a = _mm512_sub_ps(_mm512_loadu_ps(dp), along.a);
    __m512 b = _mm512_sub_ps(_mm512_loadu_ps(dp + BF16_VECTOR), along.b);
    a = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(p), a), scale);
    b = _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(p + BF16_VECTOR), b), scale);
    return (struct two_lanes){a, b};
}

BF16_TARGET void bf16_tile_softmax_backward(const float *dp, const float *p, size_t nk,
                                            size_t columns, float scale, const float *along,
                                            uint16_t *rows, uint32_t *panels)
{
    const __m512 by = _mm512_set1_ps(scale);
    for (size_t q = 0; q < columns; q += BF16_PANEL) {
        uint32_t *to = panels + q * bf16_pairs(nk);
        struct two_lanes from = {_mm512_loadu_ps(along + q),
                                 _mm512_loadu_ps(along + q + BF16_VECTOR)};
        for (size_t j = 0; j < nk; j += 2, to += BF16_PANEL) {
            size_t at = j * QUERY_TILE + q, next = at + QUERY_TILE;
            struct two_lanes upper = score_gradients(dp + at, p + at, by, from), lower;
            lower.a = lower.b = _mm512_setzero_ps();
            _mm512_storeu_si512(rows + at, (__m512i)_mm512_cvtne2ps_pbh(upper.b, upper.a));
            if (j + 1 < nk) {
                lower = score_gradients(dp + next, p + next, by, from);
                _mm512_storeu_si512(rows + next, (__m512i)_mm512_cvtne2ps_pbh(lower.b, lower.a));
            }
            _mm512_storeu_si512(to, pairs_of(upper.a, lower.a));
            _mm512_storeu_si512(to + BF16_VECTOR, pairs_of(upper.b, lower.b));
        }
    }
}

#else

/* backend_available says no on other processors, so nothing here is ever called. */

void bf16_tile_max(const float *s, size_t nk, size_t columns, float *max)
{
    tile_max(s, nk, columns, max);
}

void bf16_tile_exp(const float *s, size_t nk, size_t columns, float scale, const float *shift,
                   float *sum, uint32_t *panels)
{
    (void)s, (void)nk, (void)columns, (void)scale, (void)shift, (void)sum, (void)panels;
}

void bf16_tile_weights(float *s, size_t nk, size_t columns, float scale, const float *lse,
                       uint16_t *rows)
{
    (void)rows;
    tile_weights(s, nk, columns, scale, lse);
}

void bf16_tile_softmax_backward(const float *dp, const float *p, size_t nk, size_t columns,
                                float scale, const float *along, uint16_t *rows, uint32_t *panels)
{
    (void)dp, (void)p, (void)nk, (void)columns, (void)scale, (void)along, (void)rows, (void)panels;
}

#endif
