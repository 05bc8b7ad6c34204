/* Products of stored rows for processors with AVX-512. */
#include "compute/row_product.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define ROW_TARGET target("avx512f,avx512bw,avx512vl,avx512dq,avx2,f16c")
#define VEC static inline __attribute__((always_inline, ROW_TARGET))

typedef __m512 vec;
typedef __m512i ints16;

VEC vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

VEC vec vec_set(float f)
{
    return _mm512_set1_ps(f);
}

VEC vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VEC void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

VEC vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

VEC vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

VEC vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

VEC vec vec_bytes(const uint8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

VEC vec vec_halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

VEC vec vec_brains(const uint8_t *p)
{
    __m512i h = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(h, 16));
}

VEC ints16 ints_load(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}

VEC ints16 ints_shift(ints16 a, int n)
{
    return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n));
}

VEC ints16 ints_left(ints16 a, int n)
{
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
}

VEC ints16 ints_and(ints16 a, int n)
{
    return _mm512_and_si512(a, _mm512_set1_epi32(n));
}

VEC ints16 ints_or(ints16 a, ints16 b)
{
    return _mm512_or_si512(a, b);
}

VEC ints16 ints_bits(uint32_t bits, int at)
{
    return _mm512_maskz_set1_epi32((__mmask16)(bits >> at), 1);
}

VEC vec vec_of(ints16 a)
{
    return _mm512_cvtepi32_ps(a);
}

VEC vec vec_look(vec table, ints16 i)
{
    return _mm512_permutexvar_ps(i, table); /* reads 4 bits of i */
}

VEC float half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

#include "compute/row_product_kernels.h"

__attribute__((ROW_TARGET)) static void tile(const float *w, size_t ldw, const float *x, size_t ldx,
                                             size_t n, float out[ROW_TILE][ROW_TILE])
{
    enum { ROWS = ROW_TILE };
    vec sum[ROWS][ROWS];
    float lanes[LANES];
    size_t k = 0;
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < ROWS; j++)
            sum[i][j] = vec_zero();
    for (; k + LANES <= n; k += LANES) {
        vec b[ROWS];
        for (size_t j = 0; j < ROWS; j++)
            b[j] = vec_load(x + j * ldx + k);
        for (size_t i = 0; i < ROWS; i++) {
            vec a = vec_load(w + i * ldw + k);
            for (int j = 0; j < ROWS; j++)
                sum[i][j] = vec_add(sum[i][j], vec_mul(a, b[j]));
        }
    }
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < ROWS; j++) {
            vec_store(lanes, sum[i][j]);
            out[i][j] = simd_sum(lanes);
            for (size_t l = k; l < n; l++)
                out[i][j] += w[i * ldw + l] * x[j * ldx + l];
        }
}

const struct row_kernels row_kernels_avx512 = {
    .name = "avx512", .product = ROW_PRODUCTS, .expand = ROW_EXPANDS, .tile = tile};

#endif
