/* The K types: blocks of 256 numbers in groups of 16 or 32 that have scales of their own. */
#include "formats/dtype_blocks.h"

#include <stdint.h>
#include <string.h>

#include "base/simd.h"
#include "formats/dtype.h"

static float get_f16(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_float(h);
}

/* Levels of 2 bits: each half of 128 numbers has 32 bytes, numbers 32 k + j in bits 2 k of byte j.
 */
static inline void get_twos(const uint8_t *p, uint8_t q[QK_K])
{
    for (int half = 0; half < 2; half++)
        for (int k = 0; k < 4; k++)
            for (int j = 0; j < 32; j++)
                q[128 * half + 32 * k + j] = p[32 * half + j] >> 2 * k & 3;
}

/* out [16] = scale * (q - zero) - low */
static inline void spread_16(float *out, float scale, float low, const uint8_t *q, int zero)
{
    float x[16];
    for (int j = 0; j < 16; j++)
        x[j] = scale * (float)(q[j] - zero) - low;
    memcpy(out, x, sizeof x);
}

/*
 * Q2_K: 16 bytes of (4-bit scale, 4-bit minimum) for groups of 16, 64 bytes of 2-bit levels, f16 d,
 * f16 dmin; x = d * scale * q - dmin * minimum.
 */
SIMD_CLONES void q2_k_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    uint8_t q[QK_K];
    for (size_t i = 0; i < n; i += QK_K, p += Q2_K_BYTES) {
        float d = get_f16(p + Q2_K_BYTES - 4), dmin = get_f16(p + Q2_K_BYTES - 2);
        get_twos(p + QK_K / 16, q);
        for (int g = 0; g < QK_K / 16; g++)
            spread_16(out + i + 16 * g, d * (float)(p[g] & 15), dmin * (float)(p[g] >> 4),
                      q + 16 * g, 0);
    }
}

/* The 16 scales of 6 bits: low nibbles in bytes 0-7 (groups 0-7 low, 8-15 high), the upper two bits
 * of group g in byte 8 + g % 4, at bit 2 (g / 4). */
static int q3_k_scale(const uint8_t *p, int group)
{
    int low = group < 8 ? p[group] & 15 : p[group - 8] >> 4;
    return (low | (p[8 + group % 4] >> 2 * (group / 4) & 3) << 4) - 32;
}

/*
 * Q3_K: 32 bytes of third bits (number 32 k + j in bit k of byte j), 2-bit levels as Q2_K, 12 bytes
 * of scales, f16 d; x = d * scale * (q - 4), q's third bit set meaning 4.
 */
SIMD_CLONES void q3_k_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    uint8_t q[QK_K];
    for (size_t i = 0; i < n; i += QK_K, p += Q3_K_BYTES) {
        const uint8_t *scales = p + QK_K / 8 + QK_K / 4;
        float d = get_f16(p + Q3_K_BYTES - 2);
        get_twos(p + QK_K / 8, q);
        for (int k = 0; k < 8; k++)
            for (int j = 0; j < 32; j++)
                q[32 * k + j] = (uint8_t)(q[32 * k + j] | (p[j] >> k & 1) << 2);
        for (int g = 0; g < QK_K / 16; g++)
            spread_16(out + i + 16 * g, d * (float)q3_k_scale(scales, g), 0, q + 16 * g, 4);
    }
}

/* Scale and minimum of 6 bits each for 8 groups of 32, in 12 bytes: groups 0-3 in the low six bits
 * of bytes g and g + 4, whose upper two bits belong to groups 4-7, as do the nibbles of bytes 8-11.
 */
static void q4_k_scale(const uint8_t *p, int group, int *scale, int *low)
{
    if (group < 4) {
        *scale = p[group] & 63;
        *low = p[group + 4] & 63;
    } else {
        *scale = (p[group + 4] & 15) | p[group - 4] >> 6 << 4;
        *low = p[group + 4] >> 4 | p[group] >> 6 << 4;
    }
}

/* Q4_K: f16 d, f16 dmin, 12 bytes of scales, nibbles: groups 2 k and 2 k + 1 are the low and the
 * high ones of 32 bytes; x = d * scale * q - dmin * minimum. */
SIMD_CLONES void q4_k_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK_K, p += Q4_K_BYTES) {
        float d = get_f16(p), dmin = get_f16(p + 2);
        for (int group = 0; group < 8; group++) {
            int scale, low;
            q4_k_scale(p + 4, group, &scale, &low);
            const uint8_t *levels = p + 16 + 32 * (group / 2);
            float ds = d * (float)scale, m = dmin * (float)low;
            float *x = out + i + 32 * group;
            for (int j = 0; j < 32; j++)
                x[j] = ds * (float)(levels[j] >> 4 * (group % 2) & 15) - m;
        }
    }
}

/* Q5_K: as Q4_K with 32 bytes of fifth bits (group g in bit g of byte j) before the nibbles. */
SIMD_CLONES void q5_k_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i += QK_K, p += Q5_K_BYTES) {
        float d = get_f16(p), dmin = get_f16(p + 2);
        for (int group = 0; group < 8; group++) {
            int scale, low;
            q4_k_scale(p + 4, group, &scale, &low);
            const uint8_t *fifth = p + 16, *levels = fifth + 32 + 32 * (group / 2);
            float ds = d * (float)scale, m = dmin * (float)low;
            float *x = out + i + 32 * group;
            for (int j = 0; j < 32; j++) {
                int q = (levels[j] >> 4 * (group % 2) & 15) | (fifth[j] >> group & 1) << 4;
                x[j] = ds * (float)q - m;
            }
        }
    }
}

/*
 * Q6_K: 128 bytes of low nibbles, 64 of upper two bits as Q2_K's levels, 16 signed scales for
 * groups of 16, f16 d; x = d * scale * (q - 32). In each half of 128 numbers, numbers j and 64 + j
 * have their nibbles in byte j of the half's 64, the low and the high one.
 */
SIMD_CLONES void q6_k_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    uint8_t q[QK_K];
    for (size_t i = 0; i < n; i += QK_K, p += Q6_K_BYTES) {
        const uint8_t *scales = p + QK_K / 2 + QK_K / 4;
        float d = get_f16(p + Q6_K_BYTES - 2);
        get_twos(p + QK_K / 2, q);
        for (int half = 0; half < 2; half++)
            for (int k = 0; k < 2; k++)
                for (int j = 0; j < 64; j++) {
                    uint8_t *to = &q[128 * half + 64 * k + j];
                    *to = (uint8_t)(*to << 4 | (p[64 * half + j] >> 4 * k & 15));
                }
        for (int g = 0; g < QK_K / 16; g++)
            spread_16(out + i + 16 * g, d * (float)(int8_t)scales[g], 0, q + 16 * g, 32);
    }
}
