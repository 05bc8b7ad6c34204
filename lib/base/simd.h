/*
 * simd: loops that the compiler vectorises for the CPU at hand, with the same results on all.
 *
 * A function marked SIMD_CLONES is compiled for several instruction sets and chosen at start-up.
 * Contraction to fused multiply-adds is off and sums run over a fixed number of lanes, so every
 * clone gives the same bits.
 */
#ifndef BASE_SIMD_H
#define BASE_SIMD_H

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SIMD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SIMD_SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(SIMD_SANITIZED)
#define SIMD_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4")))
#else
#define SIMD_CLONES
#endif

enum { SIMD_LANES = 16 };

/* Adds up lane sums in a fixed tree. */
static inline float simd_sum(const float lane[SIMD_LANES])
{
    float s[SIMD_LANES];
    for (int i = 0; i < SIMD_LANES; i++)
        /* cppcheck-suppress objectIndex ; callers pass arrays */
        s[i] = lane[i];
    for (int w = SIMD_LANES / 2; w; w /= 2)
        for (int i = 0; i < w; i++)
            s[i] += s[i + w];
    return s[0];
}

/*
 * e^x within 2 units in the last place, branch-free so that a loop over it vectorises; flushes
 * to 0 below -87.3 and saturates above 88.3. x = n ln2 + r, |r| <= ln2/2; polynomial of degree 6.
 */
static inline float simd_exp(float x)
{
    const float hi = 88.3762626647949f, lo = -87.3365447504019f;
    float clamped = x > hi ? hi : x;
    clamped = clamped < lo ? lo : clamped;
    /* Adding 1.5 * 2^23 rounds to the nearest whole number and leaves it in the low bits. */
    union {
        float f;
        uint32_t u;
    } shifted = {clamped * 1.44269504088896341f + 12582912.0f};
    float n = shifted.f - 12582912.0f;
    float r = clamped - n * 0.693145751953125f;
    r = r - n * 1.428606765330187045e-06f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union {
        uint32_t u;
        float f;
    } scale = {(shifted.u - 0x4b400000 + 127) << 23};
    float v = p * scale.f;
    return x < lo ? 0.0f : v;
}

/*
 * tanh x within 2 units in the last place, branch-free: an odd polynomial where x^2 < 1/2 (fitted
 * at Chebyshev nodes), 1 - 2/(e^(2|x|) + 1) beyond, where nothing cancels.
 */
static inline float simd_tanh(float x)
{
    float z = x * x, a = x < 0 ? -x : x;
    float p = -0.0055405376479f;
    p = p * z + 0.0205649267882f;
    p = p * z - 0.0537475757301f;
    p = p * z + 0.1333199739456f;
    p = p * z - 0.3333331942558f;
    float low = p * z * x + x, high = 1 - 2 / (simd_exp(2 * a) + 1);
    high = x < 0 ? -high : high;
    return z < 0.5f ? low : high;
}

#endif
