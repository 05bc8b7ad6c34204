#include "formats/dtype.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/simd.h"
#include "formats/dtype_blocks.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are read where they lie"
#endif

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Both ways of f16 are free of branches, so that loops over them vectorise. */

static inline float widen_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    /* f16's exponent is f32's but for the bias, also in subnormals: a product sets it right. */
    uint32_t bits = bits_of(float_of(rest) * 0x1p112f);
    uint32_t all_ones = rest >= 0x7c00u << 13 ? 0x7f800000 : 0; /* infinities and NaN stay such */
    return float_of(sign | bits | all_ones);
}

static inline uint16_t narrow_f16(float f)
{
    uint32_t sign = bits_of(f) >> 16 & 0x8000, u = bits_of(f) & 0x7fffffff;
    uint32_t normal = ((u + 0xfff + (u >> 13 & 1)) >> 13) - ((127 - 15) << 10);
    /* 0.5 has an ulp of 2^-24, f16's smallest number, so that the addition rounds to it. */
    uint32_t subnormal = bits_of(float_of(u) + 0.5f) - 0x3f000000;
    uint32_t h = u < 0x38800000 ? subnormal : normal; /* 2^-14 */
    h = u >= 0x477ff000 ? 0x7c00 : h;                 /* 65520 rounds to 65536: infinity */
    h = u > 0x7f800000 ? 0x7e00 | (u >> 13 & 0x1ff) : h;
    return (uint16_t)(sign | h);
}

float f16_to_float(uint16_t h)
{
    return widen_f16(h);
}

uint16_t float_to_f16(float f)
{
    return narrow_f16(f);
}

static void f32_to_float(const void *in, float *out, size_t n)
{
    memcpy(out, in, n * sizeof *out);
}

static void f32_from_float(const float *in, void *out, size_t n)
{
    memcpy(out, in, n * sizeof *in);
}

/*
 * Numbers of 16 bits are handled in groups through arrays of a fixed size: the compiler then knows
 * that nothing overlaps and how long the loops are, and vectorises them.
 */
enum { GROUP = 64 };

#define ARRAY_TO_FLOAT(name, widen)                                                                \
    SIMD_CLONES static void name(const void *in, float *out, size_t n)                             \
    {                                                                                              \
        uint16_t h[GROUP];                                                                         \
        float f[GROUP];                                                                            \
        for (size_t i = 0; i + GROUP <= n; i += GROUP) {                                           \
            memcpy(h, (const uint8_t *)in + 2 * i, sizeof h);                                         \
            for (int j = 0; j < GROUP; j++)                                                        \
                f[j] = widen(h[j]);                                                                \
            memcpy(out + i, f, sizeof f);                                                          \
        }                                                                                          \
        size_t rest = n % GROUP;                                                                   \
        memcpy(h, (const uint8_t *)in + 2 * (n - rest), rest * sizeof *h);                            \
        for (size_t j = 0; j < rest; j++)                                                          \
            out[n - rest + j] = widen(h[j]);                                                       \
    }

#define ARRAY_FROM_FLOAT(name, narrow)                                                             \
    SIMD_CLONES static void name(const float *in, void *out, size_t n)                             \
    {                                                                                              \
        uint16_t h[GROUP];                                                                         \
        float f[GROUP];                                                                            \
        for (size_t i = 0; i + GROUP <= n; i += GROUP) {                                           \
            memcpy(f, in + i, sizeof f);                                                           \
            for (int j = 0; j < GROUP; j++)                                                        \
                h[j] = narrow(f[j]);                                                               \
            memcpy((uint8_t *)out + 2 * i, h, sizeof h);                                              \
        }                                                                                          \
        size_t rest = n % GROUP;                                                                   \
        for (size_t j = 0; j < rest; j++)                                                          \
            h[j] = narrow(in[n - rest + j]);                                                       \
        memcpy((uint8_t *)out + 2 * (n - rest), h, rest * sizeof *h);                                 \
    }

static inline uint16_t narrow_bf16(float f) /* float_to_bf16 without its branch */
{
    uint32_t u = bits_of(f), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? u >> 16 | 0x40 : rounded);
}

ARRAY_TO_FLOAT(f16_array_to_float, widen_f16)
ARRAY_TO_FLOAT(bf16_array_to_float, bf16_to_float)
ARRAY_FROM_FLOAT(f16_array_from_float, narrow_f16)
ARRAY_FROM_FLOAT(bf16_array_from_float, narrow_bf16)

/* A new type is a line here, its number in ggml's enum ggml_type, and its functions. */
const struct dtype_info dtypes[DTYPE_COUNT] = {
    [DTYPE_F32] = {"f32", "F32", 0, 1, 4, f32_to_float, f32_from_float},
    [DTYPE_F16] = {"f16", "F16", 1, 1, 2, f16_array_to_float, f16_array_from_float},
    [DTYPE_BF16] = {"bf16", "BF16", 30, 1, 2, bf16_array_to_float, bf16_array_from_float},
    [DTYPE_Q8_0] = {"q8_0", NULL, 8, QK, Q8_0_BYTES, q8_0_to_float, q8_0_from_float},
    [DTYPE_Q4_0] = {"q4_0", NULL, 2, QK, Q4_0_BYTES, q4_0_to_float, q4_0_from_float},
    [DTYPE_Q4_1] = {"q4_1", NULL, 3, QK, Q4_1_BYTES, q4_1_to_float, q4_1_from_float},
    [DTYPE_Q5_0] = {"q5_0", NULL, 6, QK, Q5_0_BYTES, q5_0_to_float, q5_0_from_float},
    [DTYPE_Q5_1] = {"q5_1", NULL, 7, QK, Q5_1_BYTES, q5_1_to_float, q5_1_from_float},
    [DTYPE_Q2_K] = {"q2_k", NULL, 10, QK_K, Q2_K_BYTES, q2_k_to_float, q2_k_from_float},
    [DTYPE_Q3_K] = {"q3_k", NULL, 11, QK_K, Q3_K_BYTES, q3_k_to_float, q3_k_from_float},
    [DTYPE_Q4_K] = {"q4_k", NULL, 12, QK_K, Q4_K_BYTES, q4_k_to_float, q4_k_from_float},
    [DTYPE_Q5_K] = {"q5_k", NULL, 13, QK_K, Q5_K_BYTES, q5_k_to_float, q5_k_from_float},
    [DTYPE_Q6_K] = {"q6_k", NULL, 14, QK_K, Q6_K_BYTES, q6_k_to_float, q6_k_from_float},
    [DTYPE_IQ4_NL] = {"iq4_nl", NULL, 20, QK, IQ4_NL_BYTES, iq4_nl_to_float, NULL},
};

bool dtype_by_name(const char *name, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (!strcasecmp(name, dtypes[i].name)) {
            *out = (enum dtype)i;
            return true;
        }
    return false;
}

bool dtype_by_ggml(uint32_t number, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (number == (uint32_t)dtypes[i].ggml) {
            *out = (enum dtype)i;
            return true;
        }
    return false;
}

bool dtype_by_safetensors(const char *name, enum dtype *out)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (dtypes[i].safetensors && !strcmp(name, dtypes[i].safetensors)) {
            *out = (enum dtype)i;
            return true;
        }
    return false;
}

const char *dtype_ggml_name(uint32_t number)
{
    static const char *const names[] = {
        [0] = "F32",     [1] = "F16",      [2] = "Q4_0",   [3] = "Q4_1",    [6] = "Q5_0",
        [7] = "Q5_1",    [8] = "Q8_0",     [9] = "Q8_1",   [10] = "Q2_K",   [11] = "Q3_K",
        [12] = "Q4_K",   [13] = "Q5_K",    [14] = "Q6_K",  [15] = "Q8_K",   [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
        [22] = "IQ2_S",  [23] = "IQ4_XS",  [24] = "I8",    [25] = "I16",    [26] = "I32",
        [27] = "I64",    [28] = "F64",     [29] = "IQ1_M", [30] = "BF16",   [34] = "TQ1_0",
        [35] = "TQ2_0",  [39] = "MXFP4",
    };
    return number < ARRAY_SIZE(names) ? names[number] : NULL;
}

bool dtype_bytes(enum dtype type, uint64_t n, size_t *bytes)
{
    const struct dtype_info *d = &dtypes[type];
    return n % d->block == 0 && size_mul(n / d->block, d->block_bytes, bytes);
}
