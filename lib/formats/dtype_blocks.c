#include "base/simd.h"
#include "formats/dtype_blocks.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "formats/dtype.h"

static float get_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_float(h);
}

static void put_f16(uint8_t *p, float f)
{
    uint16_t h = float_to_f16(f);
    memcpy(p, &h, sizeof h);
}

/* 1/d, or 0 where d is 0 or so small that its inverse overflows (f16 stores 0 for it anyway). */
static float inverse(float d)
{
    float id = d != 0 ? 1.0f / d : 0.0f;
    return fabsf(id) <= 3.402823466e38f ? id : 0.0f;
}

/* Truncates v, which a NaN or an overflow must not take outside of [0, high]. */
static int level(float v, int high)
{
    return v >= 0 ? v <= (float)high ? (int)v : high : 0;
}

/* The value of the largest magnitude, the first one of equals: its sign decides the block's scale.
 */
static float extreme(const float *x, float *magnitude)
{
    float most = 0, at = 0;
    for (int j = 0; j < QK; j++)
        if (fabsf(x[j]) > most) {
            most = fabsf(x[j]);
            at = x[j];
        }
    *magnitude = most;
    return at;
}

static void range(const float *x, float *low, float *high)
{
    *low = *high = x[0];
    for (int j = 1; j < QK; j++) {
        *low = x[j] < *low ? x[j] : *low;
        *high = x[j] > *high ? x[j] : *high;
    }
}

/* Q8_0: f16 d, 32 signed bytes; x = d * q. */

SIMD_CLONES void q8_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q8_0_BYTES) {
        float d = get_f16(p);
        for (int j = 0; j < QK; j++)
            out[i + (size_t)j] = (float)(int8_t)p[2 + j] * d;
    }
}

void q8_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q8_0_BYTES) {
        const float *x = in + i;
        float magnitude;
        extreme(x, &magnitude);
        float d = magnitude / 127, id = inverse(d);
        put_f16(p, d);
        for (int j = 0; j < QK; j++) {
            float a = fabsf(x[j] * id);
            int q = level(a, 127);
            q += a - (float)q >= 0.5f && q < 127; /* half away from zero, as roundf */
            p[2 + j] = (uint8_t)(x[j] < 0 ? -q : q);
        }
    }
}

/* Q4_0: f16 d, 16 bytes of nibbles, numbers 0-15 low, 16-31 high; x = d * (q - 8). */

SIMD_CLONES void q4_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q4_0_BYTES) {
        float d = get_f16(p);
        float *x = out + i;
        for (int j = 0; j < QK / 2; j++) {
            x[j] = d * (float)((p[2 + j] & 15) - 8);
            x[j + QK / 2] = d * (float)((p[2 + j] >> 4) - 8);
        }
    }
}

void q4_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q4_0_BYTES) {
        const float *x = in + i;
        float magnitude, d = extreme(x, &magnitude) / -8, id = inverse(d);
        put_f16(p, d);
        for (int j = 0; j < QK / 2; j++) {
            int low = level(x[j] * id + 8.5f, 15), high = level(x[j + QK / 2] * id + 8.5f, 15);
            p[2 + j] = (uint8_t)(low | high << 4);
        }
    }
}

/* Q4_1: f16 d, f16 m, nibbles as Q4_0; x = d * q + m. */

SIMD_CLONES void q4_1_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q4_1_BYTES) {
        float d = get_f16(p), m = get_f16(p + 2);
        float *x = out + i;
        for (int j = 0; j < QK / 2; j++) {
            x[j] = d * (float)(p[4 + j] & 15) + m;
            x[j + QK / 2] = d * (float)(p[4 + j] >> 4) + m;
        }
    }
}

void q4_1_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q4_1_BYTES) {
        const float *x = in + i;
        float m, most;
        range(x, &m, &most);
        float d = (most - m) / 15, id = inverse(d);
        put_f16(p, d);
        put_f16(p + 2, m);
        for (int j = 0; j < QK / 2; j++) {
            int low = level((x[j] - m) * id + 0.5f, 15);
            int high = level((x[j + QK / 2] - m) * id + 0.5f, 15);
            p[4 + j] = (uint8_t)(low | high << 4);
        }
    }
}

/* Q5_0: f16 d, 32 fifth bits (number j in bit j), nibbles as Q4_0; x = d * (q - 16). */

static uint32_t get_bits(const uint8_t *p)
{
    uint32_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

SIMD_CLONES void q5_0_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q5_0_BYTES) {
        float d = get_f16(p);
        uint32_t fifth = get_bits(p + 2);
        float *x = out + i;
        for (int j = 0; j < QK / 2; j++) {
            int low = (p[6 + j] & 15) | (int)(fifth >> j & 1) << 4;
            int high = p[6 + j] >> 4 | (int)(fifth >> (j + QK / 2) & 1) << 4;
            x[j] = d * (float)(low - 16);
            x[j + QK / 2] = d * (float)(high - 16);
        }
    }
}

/* Writes 32 levels of 5 bits. */
static void put_fives(uint8_t *p, const int *q)
{
    uint32_t fifth = 0;
    for (int j = 0; j < QK; j++)
        fifth |= (uint32_t)(q[j] >> 4) << j;
    memcpy(p, &fifth, sizeof fifth);
    for (int j = 0; j < QK / 2; j++)
        p[4 + j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
}

void q5_0_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q5_0_BYTES) {
        const float *x = in + i;
        float magnitude, d = extreme(x, &magnitude) / -16, id = inverse(d);
        int q[QK];
        for (int j = 0; j < QK; j++)
            q[j] = level(x[j] * id + 16.5f, 31);
        put_f16(p, d);
        put_fives(p + 2, q);
    }
}

/* Q5_1: f16 d, f16 m, fifth bits, nibbles; x = d * q + m. */

SIMD_CLONES void q5_1_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK, p += Q5_1_BYTES) {
        float d = get_f16(p), m = get_f16(p + 2);
        uint32_t fifth = get_bits(p + 4);
        float *x = out + i;
        for (int j = 0; j < QK / 2; j++) {
            int low = (p[8 + j] & 15) | (int)(fifth >> j & 1) << 4;
            int high = p[8 + j] >> 4 | (int)(fifth >> (j + QK / 2) & 1) << 4;
            x[j] = d * (float)low + m;
            x[j + QK / 2] = d * (float)high + m;
        }
    }
}

void q5_1_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i += QK, p += Q5_1_BYTES) {
        const float *x = in + i;
        float m, most;
        range(x, &m, &most);
        float d = (most - m) / 31, id = inverse(d);
        int q[QK];
        for (int j = 0; j < QK; j++)
            q[j] = level((x[j] - m) * id + 0.5f, 31);
        put_f16(p, d);
        put_f16(p + 2, m);
        put_fives(p + 4, q);
    }
}
