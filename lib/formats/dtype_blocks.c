#include "formats/dtype_blocks.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/simd.h"
#include "formats/dtype.h"

/*
 * Blocks pass through arrays of 32 on the stack, between which and the caller's memory only memcpy
 * moves: so the compiler knows that nothing overlaps, and vectorises the loops.
 */

static inline float get_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_float(h);
}

static inline void put_f16(uint8_t *p, float f)
{
    uint16_t h = float_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* 1/d, or 0 where d is 0 or so small that its inverse overflows (f16 stores 0 for it anyway). */
static inline float inverse(float d)
{
    float id = d != 0 ? 1.0f / d : 0.0f;
    return fabsf(id) <= 3.402823466e38f ? id : 0.0f;
}

/* Truncates v, which a NaN or an overflow must not take outside of [0, high]. */
static inline int level(float v, float high)
{
    v = v > 0 ? v : 0;
    return (int)(v < high ? v : high);
}

static inline uint32_t magnitude_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u & 0x7fffffff;
}

/* The largest magnitude. Without their signs floats are in the order of their bits, and a maximum
 * of whole numbers may be taken in any order. */
static inline float largest(const float x[QK])
{
    uint32_t most = 0;
    float f;
    for (int j = 0; j < QK; j++)
        most = magnitude_bits(x[j]) > most ? magnitude_bits(x[j]) : most;
    memcpy(&f, &most, sizeof f);
    return f;
}

/* The value of the largest magnitude, the first one of equals: its sign decides the block's scale.
 */
static inline float extreme(const float x[QK])
{
    float most = largest(x);
    int j = 0;
    while (j < QK - 1 && fabsf(x[j]) != most)
        j++;
    return x[j];
}

/* Floats in their order as whole numbers; the map is its own inverse. */
static inline int32_t ordered(int32_t bits)
{
    /* cppcheck-suppress shiftTooManyBitsSigned ; compilers shift in the sign */
    return bits ^ (bits >> 31 & 0x7fffffff);
}

static inline void range(const float x[QK], float *low, float *high)
{
    int32_t key[QK], least = INT32_MAX, most = INT32_MIN;
    memcpy(key, x, sizeof key);
    for (int j = 0; j < QK; j++) {
        int32_t k = ordered(key[j]);
        least = k < least ? k : least;
        most = k > most ? k : most;
    }
    least = ordered(least);
    most = ordered(most);
    memcpy(low, &least, sizeof *low);
    memcpy(high, &most, sizeof *high);
    /* Of zeros of both signs, which this order tells apart, the first one counts. */
    for (int j = 0; *low == 0 && j < QK; j++)
        if (x[j] == 0) {
            *low = x[j];
            break;
        }
}

/* Levels 0-15: numbers 0-15 in the low nibbles of 16 bytes, 16-31 in the high ones. */
static inline void get_nibbles(const uint8_t *p, int q[QK])
{
    uint8_t packed[QK / 2];
    memcpy(packed, p, sizeof packed);
    for (int j = 0; j < QK / 2; j++)
        q[j] = packed[j] & 15;
    for (int j = 0; j < QK / 2; j++)
        q[j + QK / 2] = packed[j] >> 4;
}

static inline void put_nibbles(uint8_t *p, const int q[QK])
{
    uint8_t packed[QK / 2];
    for (int j = 0; j < QK / 2; j++)
        packed[j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
    memcpy(p, packed, sizeof packed);
}

/* Levels 0-31: 32 fifth bits (number j in bit j), then nibbles. */
static inline void get_fives(const uint8_t *p, int q[QK])
{
    uint32_t fifth;
    memcpy(&fifth, p, sizeof fifth);
    get_nibbles(p + 4, q);
    for (int j = 0; j < QK; j++)
        q[j] |= (int)(fifth >> j & 1) << 4;
}

static inline void put_fives(uint8_t *p, const int q[QK])
{
    uint32_t fifth = 0;
    for (int j = 0; j < QK; j++)
        fifth |= (uint32_t)(q[j] >> 4) << j;
    memcpy(p, &fifth, sizeof fifth);
    put_nibbles(p + 4, q);
}

/* x = d * (q - zero) */
static inline void spread(float *out, float d, const int q[QK], int zero)
{
    float x[QK];
    for (int j = 0; j < QK; j++)
        x[j] = d * (float)(q[j] - zero);
    memcpy(out, x, sizeof x);
}

/* x = d * q + m */
static inline void spread_from(float *out, float d, float m, const int q[QK])
{
    float x[QK];
    for (int j = 0; j < QK; j++)
        x[j] = d * (float)q[j] + m;
    memcpy(out, x, sizeof x);
}

/* Levels of (x - m) / d, rounded by adding `half` and truncating. */
static inline void levels(const float x[QK], float m, float id, float half, float high, int q[QK])
{
    for (int j = 0; j < QK; j++)
        q[j] = level((x[j] - m) * id + half, high);
}

/* Q8_0: f16 d, 32 signed bytes; x = d * q. */

SIMD_CLONES void q8_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q8_0_BYTES) {
        float d = get_f16(p), *restrict x = out + i;
        for (int j = 0; j < QK; j++)
            x[j] = (float)(int8_t)p[2 + j] * d;
    }
}

SIMD_CLONES void q8_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q8_0_BYTES) {
        float x[QK];
        int8_t q[QK];
        memcpy(x, in + i, sizeof x);
        float d = largest(x) / 127, id = inverse(d);
        for (int j = 0; j < QK; j++) { /* half away from zero, as roundf */
            float a = fabsf(x[j] * id);
            int whole = level(a, 127);
            whole += a - (float)whole >= 0.5f ? 1 : 0;
            whole = whole > 127 ? 127 : whole;
            q[j] = (int8_t)(x[j] < 0 ? -whole : whole);
        }
        put_f16(p, d);
        memcpy(p + 2, q, sizeof q);
    }
}

/* Q4_0: f16 d, nibbles; x = d * (q - 8). */

SIMD_CLONES void q4_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    int q[QK];
    for (size_t i = 0; i < n; i += QK, p += Q4_0_BYTES) {
        get_nibbles(p + 2, q);
        spread(out + i, get_f16(p), q, 8);
    }
}

SIMD_CLONES void q4_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q4_0_BYTES) {
        float x[QK];
        int q[QK];
        memcpy(x, in + i, sizeof x);
        float d = extreme(x) / -8;
        levels(x, 0, inverse(d), 8.5f, 15, q);
        put_f16(p, d);
        put_nibbles(p + 2, q);
    }
}

/* Q4_1: f16 d, f16 m, nibbles; x = d * q + m. */

SIMD_CLONES void q4_1_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    int q[QK];
    for (size_t i = 0; i < n; i += QK, p += Q4_1_BYTES) {
        get_nibbles(p + 4, q);
        spread_from(out + i, get_f16(p), get_f16(p + 2), q);
    }
}

SIMD_CLONES void q4_1_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q4_1_BYTES) {
        float x[QK], low, high;
        int q[QK];
        memcpy(x, in + i, sizeof x);
        range(x, &low, &high);
        float d = (high - low) / 15;
        levels(x, low, inverse(d), 0.5f, 15, q);
        put_f16(p, d);
        put_f16(p + 2, low);
        put_nibbles(p + 4, q);
    }
}

/* Q5_0: f16 d, levels of 5 bits; x = d * (q - 16). */

SIMD_CLONES void q5_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    int q[QK];
    for (size_t i = 0; i < n; i += QK, p += Q5_0_BYTES) {
        get_fives(p + 2, q);
        spread(out + i, get_f16(p), q, 16);
    }
}

SIMD_CLONES void q5_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q5_0_BYTES) {
        float x[QK];
        int q[QK];
        memcpy(x, in + i, sizeof x);
        float d = extreme(x) / -16;
        levels(x, 0, inverse(d), 16.5f, 31, q);
        put_f16(p, d);
        put_fives(p + 2, q);
    }
}

/* Q5_1: f16 d, f16 m, levels of 5 bits; x = d * q + m. */

SIMD_CLONES void q5_1_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    int q[QK];
    for (size_t i = 0; i < n; i += QK, p += Q5_1_BYTES) {
        get_fives(p + 4, q);
        spread_from(out + i, get_f16(p), get_f16(p + 2), q);
    }
}

SIMD_CLONES void q5_1_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q5_1_BYTES) {
        float x[QK], low, high;
        int q[QK];
        memcpy(x, in + i, sizeof x);
        range(x, &low, &high);
        float d = (high - low) / 31;
        levels(x, low, inverse(d), 0.5f, 31, q);
        put_f16(p, d);
        put_f16(p + 2, low);
        put_fives(p + 4, q);
    }
}

const int8_t iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

/* IQ4_NL: f16 d, nibbles that choose among 16 uneven values; x = d * value. */
SIMD_CLONES void iq4_nl_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    int q[QK];
    for (size_t i = 0; i < n; i += QK, p += IQ4_NL_BYTES) {
        get_nibbles(p + 2, q);
        for (int j = 0; j < QK; j++)
            q[j] = iq4_nl_values[q[j]];
        spread(out + i, get_f16(p), q, 0);
    }
}
