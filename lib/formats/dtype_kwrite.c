/* Writing the K types, whose layouts dtype_kblocks.c explains. */
#include "formats/dtype_blocks.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/simd.h"
#include "formats/dtype.h"
#include "formats/dtype_fit.h"

/* The value that is stored, as it will be read. */
static inline float put_f16(uint8_t *p, float f)
{
    uint16_t h = float_to_f16(f);
    memcpy(p, &h, sizeof h);
    return f16_to_float(h);
}

/* Levels 0..top of x = d * q - m; 0 where d is 0. */
static inline void levels_above(const float *x, int n, float d, float m, float top, uint8_t *q)
{
    for (int j = 0; j < n; j++) {
        float level = fit_round((x[j] + m) / d, 0, top);
        q[j] = d != 0 ? (uint8_t)level : 0;
    }
}

/* Levels of x = d * (q - zero), q in 0..2 zero - 1; 0 where d is 0. */
static inline void levels_around(const float *x, int n, float d, int zero, uint8_t *q)
{
    for (int j = 0; j < n; j++) {
        float level = fit_round(x[j] / d, (float)-zero, (float)(zero - 1));
        q[j] = d != 0 ? (uint8_t)((int)level + zero) : 0;
    }
}

static float largest_of(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

/* The first one of the largest magnitude. */
static float extreme_of(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    return most;
}

/* n positive numbers as whole multiples up to top of the number returned. */
static float share(const float *x, int n, int top, uint8_t *q)
{
    float most = largest_of(x, n), inverse = most > 0 ? (float)top / most : 0;
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)fit_round(inverse * x[i], 0, (float)top);
    return most / (float)top;
}

/* Scales and minima of 8 groups in 12 bytes of 6 bits each. */
static void put_q4_k_scales(uint8_t *p, const uint8_t scale[8], const uint8_t low[8])
{
    for (int g = 0; g < 4; g++) {
        p[g] = (uint8_t)(scale[g] | scale[g + 4] >> 4 << 6);
        p[g + 4] = (uint8_t)(low[g] | low[g + 4] >> 4 << 6);
        p[g + 8] = (uint8_t)((scale[g + 4] & 15) | (low[g + 4] & 15) << 4);
    }
}

/* Levels of 2 bits, number 32 k + j of a half of 128 in bits 2 k of its byte j. */
static void put_twos(uint8_t *p, const uint8_t q[QK_K])
{
    for (int half = 0; half < 2; half++)
        for (int j = 0; j < 32; j++) {
            const uint8_t *from = q + 128 * half + j;
            p[32 * half + j] = (uint8_t)((from[0] & 3) | (from[32] & 3) << 2 | (from[64] & 3) << 4 |
                                         (from[96] & 3) << 6);
        }
}

/* Levels of 4 bits: groups 2 k and 2 k + 1 are the low and the high ones of 32 bytes. */
static void put_fours(uint8_t *p, const uint8_t q[QK_K])
{
    for (int pair = 0; pair < 4; pair++)
        for (int j = 0; j < 32; j++) {
            const uint8_t *from = q + 64 * pair + j;
            p[32 * pair + j] = (uint8_t)((from[0] & 15) | (from[32] & 15) << 4);
        }
}

/* Bit `bit` of each level: of number 32 k + j into bit k of byte j. */
static void put_bits(uint8_t p[32], const uint8_t q[QK_K], int bit)
{
    for (int j = 0; j < 32; j++) {
        unsigned bits = 0;
        for (int k = 0; k < 8; k++)
            bits |= (unsigned)(q[32 * k + j] >> bit & 1) << k;
        p[j] = (uint8_t)bits;
    }
}

/* What Q4_K and Q5_K begin with; the block's levels to q. */
static inline void put_head(const float *x, const float scale[8], const float minimum[8], int top,
                            uint8_t *p, uint8_t q[QK_K])
{
    uint8_t s[8], m[8];
    float d = put_f16(p, share(scale, 8, 63, s));
    float dmin = put_f16(p + 2, share(minimum, 8, 63, m));
    put_q4_k_scales(p + 4, s, m);
    for (int g = 0; g < 8; g++)
        levels_above(x + 32 * g, 32, d * s[g], dmin * m[g], (float)top, q + 32 * g);
}

/* Scales and minima of the next blocks, at most two of them, and how many there are. */
static size_t fit_two(const float *in, size_t n, int top, float start, int steps,
                      float scale[FIT_GROUPS], float minimum[FIT_GROUPS])
{
    float x[FIT_LONGEST][FIT_GROUPS];
    size_t blocks = n < 2 * QK_K ? 1 : 2;
    fit_gather(x, in, 8 * blocks, 32);
    fit_low_32((const float(*)[FIT_GROUPS])x, top, start, steps, scale, minimum);
    for (int k = 0; k < FIT_GROUPS; k++)
        minimum[k] = -minimum[k];
    return blocks;
}

SIMD_CLONES void q4_k_from_float(const float *in, void *out, size_t n)
{
    float scale[FIT_GROUPS], minimum[FIT_GROUPS];
    uint8_t *p = out, q[QK_K];
    for (size_t i = 0, blocks; i < n; i += blocks * QK_K) {
        blocks = fit_two(in + i, n - i, 15, -1, 20, scale, minimum);
        for (size_t b = 0; b < blocks; b++, p += Q4_K_BYTES) {
            put_head(in + i + b * QK_K, scale + 8 * b, minimum + 8 * b, 15, p, q);
            put_fours(p + 16, q);
        }
    }
}

SIMD_CLONES void q5_k_from_float(const float *in, void *out, size_t n)
{
    float scale[FIT_GROUPS], minimum[FIT_GROUPS];
    uint8_t *p = out, q[QK_K];
    for (size_t i = 0, blocks; i < n; i += blocks * QK_K) {
        blocks = fit_two(in + i, n - i, 31, -0.5f, 15, scale, minimum);
        for (size_t b = 0; b < blocks; b++, p += Q5_K_BYTES) {
            put_head(in + i + b * QK_K, scale + 8 * b, minimum + 8 * b, 31, p, q);
            put_bits(p + 16, q, 4);
            put_fours(p + 48, q);
        }
    }
}

SIMD_CLONES void q2_k_from_float(const float *in, void *out, size_t n)
{
    float x[FIT_LONGEST][FIT_GROUPS], scale[FIT_GROUPS], minimum[FIT_GROUPS];
    uint8_t *p = out, q[QK_K], s[FIT_GROUPS], m[FIT_GROUPS];
    for (size_t i = 0; i < n; i += QK_K, p += Q2_K_BYTES) {
        fit_gather(x, in + i, FIT_GROUPS, 16);
        fit_low_16((const float(*)[FIT_GROUPS])x, 3, -0.5f, 15, scale, minimum);
        for (int k = 0; k < FIT_GROUPS; k++)
            minimum[k] = -minimum[k];
        float d = put_f16(p + Q2_K_BYTES - 4, share(scale, FIT_GROUPS, 15, s));
        float dmin = put_f16(p + Q2_K_BYTES - 2, share(minimum, FIT_GROUPS, 15, m));
        for (int g = 0; g < FIT_GROUPS; g++) {
            p[g] = (uint8_t)(s[g] | m[g] << 4);
            levels_above(in + i + 16 * g, 16, d * s[g], dmin * m[g], 3, q + 16 * g);
        }
        put_twos(p + FIT_GROUPS, q);
    }
}

/* The 16 scales of 6 bits, 32 added: low nibbles in bytes 0-7, upper bits in bytes 8-11. */
static void put_q3_k_scales(uint8_t *p, const int scale[FIT_GROUPS])
{
    memset(p, 0, 12);
    for (int g = 0; g < FIT_GROUPS; g++) {
        unsigned v = (unsigned)(scale[g] + 32);
        p[g % 8] = (uint8_t)(p[g % 8] | (v & 15) << g / 8 * 4);
        p[8 + g % 4] = (uint8_t)(p[8 + g % 4] | v >> 4 << 2 * (g / 4));
    }
}

/* Scales as whole multiples, within -bound..bound-1, of the f16 that is stored at p and returned;
 * the largest one becomes -bound. */
static float share_signed(const float scale[FIT_GROUPS], int bound, int s[FIT_GROUPS], uint8_t *p)
{
    float most = extreme_of(scale, FIT_GROUPS), inverse = most != 0 ? (float)-bound / most : 0;
    for (int g = 0; g < FIT_GROUPS; g++)
        s[g] = (int)fit_round(inverse * scale[g], (float)-bound, (float)(bound - 1));
    return put_f16(p, most != 0 ? 1 / inverse : 0);
}

SIMD_CLONES void q3_k_from_float(const float *in, void *out, size_t n)
{
    float x[FIT_LONGEST][FIT_GROUPS], scale[FIT_GROUPS];
    uint8_t *p = out, q[QK_K];
    int s[FIT_GROUPS];
    for (size_t i = 0; i < n; i += QK_K, p += Q3_K_BYTES) {
        fit_gather(x, in + i, FIT_GROUPS, 16);
        fit_levels_16((const float(*)[FIT_GROUPS])x, 4, scale);
        float d = share_signed(scale, 32, s, p + Q3_K_BYTES - 2);
        for (int g = 0; g < FIT_GROUPS; g++)
            levels_around(in + i + 16 * g, 16, d * (float)s[g], 4, q + 16 * g);
        put_bits(p, q, 2);
        put_twos(p + QK_K / 8, q);
        put_q3_k_scales(p + QK_K / 8 + QK_K / 4, s);
    }
}

SIMD_CLONES void q6_k_from_float(const float *in, void *out, size_t n)
{
    float x[FIT_LONGEST][FIT_GROUPS], scale[FIT_GROUPS];
    uint8_t *p = out, q[QK_K], high[QK_K];
    int s[FIT_GROUPS];
    for (size_t i = 0; i < n; i += QK_K, p += Q6_K_BYTES) {
        fit_gather(x, in + i, FIT_GROUPS, 16);
        fit_scaled_16((const float(*)[FIT_GROUPS])x, 32, scale);
        float d = share_signed(scale, 128, s, p + Q6_K_BYTES - 2);
        for (int g = 0; g < FIT_GROUPS; g++) {
            levels_around(in + i + 16 * g, 16, d * (float)s[g], 32, q + 16 * g);
            p[QK_K / 2 + QK_K / 4 + g] = (uint8_t)s[g];
        }
        for (int j = 0; j < QK_K; j++)
            high[j] = q[j] >> 4;
        for (int half = 0; half < 2; half++) /* the nibbles of numbers j and 64 + j share a byte */
            for (int j = 0; j < 64; j++) {
                const uint8_t *from = q + 128 * half + j;
                p[64 * half + j] = (uint8_t)((from[0] & 15) | (from[64] & 15) << 4);
            }
        put_twos(p + QK_K / 2, high);
    }
}
