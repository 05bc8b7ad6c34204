/* Products of stored rows for processors with AVX2 and F16C. */
#include "compute/row_product.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define ROW_TARGET target("avx2,f16c")
#define VEC static inline __attribute__((always_inline, ROW_TARGET))

typedef struct {
    __m256 low, high;
} vec;

typedef struct {
    __m256i low, high;
} ints16;

VEC vec vec_set(float f)
{
    return (vec){_mm256_set1_ps(f), _mm256_set1_ps(f)};
}

VEC vec vec_zero(void)
{
    return vec_set(0);
}

VEC vec vec_load(const float *p)
{
    return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

VEC void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
}

VEC vec vec_mul(vec a, vec b)
{
    return (vec){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

VEC vec vec_add(vec a, vec b)
{
    return (vec){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

VEC vec vec_sub(vec a, vec b)
{
    return (vec){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

VEC __m128i load_8(const uint8_t *p)
{
    return _mm_loadl_epi64((const __m128i *)p);
}

VEC __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

VEC vec vec_of(ints16 a)
{
    return (vec){_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}

VEC vec vec_bytes(const uint8_t *p)
{
    return vec_of((ints16){_mm256_cvtepi8_epi32(load_8(p)), _mm256_cvtepi8_epi32(load_8(p + 8))});
}

VEC vec vec_halves(const uint8_t *p)
{
    return (vec){_mm256_cvtph_ps(load_16(p)), _mm256_cvtph_ps(load_16(p + 16))};
}

VEC vec vec_brains(const uint8_t *p)
{
    __m256i low = _mm256_cvtepu16_epi32(load_16(p)), high = _mm256_cvtepu16_epi32(load_16(p + 16));
    return (vec){_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)),
                 _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
}

VEC ints16 ints_load(const uint8_t *p)
{
    return (ints16){_mm256_cvtepu8_epi32(load_8(p)), _mm256_cvtepu8_epi32(load_8(p + 8))};
}

VEC ints16 ints_shift(ints16 a, int n)
{
    __m128i by = _mm_cvtsi32_si128(n);
    return (ints16){_mm256_srl_epi32(a.low, by), _mm256_srl_epi32(a.high, by)};
}

VEC ints16 ints_left(ints16 a, int n)
{
    __m128i by = _mm_cvtsi32_si128(n);
    return (ints16){_mm256_sll_epi32(a.low, by), _mm256_sll_epi32(a.high, by)};
}

VEC ints16 ints_and(ints16 a, int n)
{
    __m256i mask = _mm256_set1_epi32(n);
    return (ints16){_mm256_and_si256(a.low, mask), _mm256_and_si256(a.high, mask)};
}

VEC ints16 ints_or(ints16 a, ints16 b)
{
    return (ints16){_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}

VEC ints16 ints_bits(uint32_t bits, int at)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), one = _mm256_set1_epi32(1);
    __m256i low = _mm256_set1_epi32((int)(bits >> at)), high = _mm256_srli_epi32(low, 8);
    return (ints16){_mm256_and_si256(_mm256_srlv_epi32(low, lanes), one),
                    _mm256_and_si256(_mm256_srlv_epi32(high, lanes), one)};
}

/* A permutation reads 3 bits of an index; the fourth, moved to where a sign is, chooses between
 * the table's halves. */
VEC __m256 look(vec table, __m256i i)
{
    __m256 low = _mm256_permutevar8x32_ps(table.low, i);
    __m256 high = _mm256_permutevar8x32_ps(table.high, i);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
}

VEC vec vec_look(vec table, ints16 i)
{
    return (vec){look(table, i.low), look(table, i.high)};
}

VEC float half(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

#include "compute/row_product_kernels.h"

const struct row_kernels row_kernels_avx2 = {
    .name = "avx2", .product = ROW_PRODUCTS, .expand = ROW_EXPANDS};

#endif
