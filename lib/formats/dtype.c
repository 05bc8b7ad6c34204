#include "formats/dtype.h"

#include <string.h>

#include "base/simd.h"
#include <strings.h>

#include "base/mem.h"
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

float f16_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) /* infinity; a NaN keeps its payload and becomes quiet */
        return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13 | (rest > 0x7c00 ? 1u << 22 : 0));
    if (rest < 0x400) /* subnormal: a multiple of 2^-24, exact in float */
        return float_of(sign | bits_of((float)rest * 0x1p-24f));
    return float_of(sign | (rest + ((127 - 15) << 10)) << 13);
}

uint16_t float_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));
    if (u >= bits_of(65520.0f)) /* rounds to 65536, which f16 doesn't have */
        return (uint16_t)(sign | 0x7c00);
    if (u < bits_of(0x1p-14f)) /* 0.5 has an ulp of 2^-24, so that the addition rounds to it */
        return (uint16_t)(sign | (bits_of(float_of(u) + 0.5f) - bits_of(0.5f)));
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - ((127 - 15) << 10)));
}

static void f32_to_float(const void *in, float *out, size_t n)
{
    memcpy(out, in, n * sizeof *out);
}

static void f32_from_float(const float *in, void *out, size_t n)
{
    memcpy(out, in, n * sizeof *in);
}

SIMD_CLONES static void f16_array_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        out[i] = f16_to_float(h);
    }
}

static void f16_array_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = float_to_f16(in[i]);
        memcpy(p + 2 * i, &h, sizeof h);
    }
}

SIMD_CLONES static void bf16_array_to_float(const void *in, float *out, size_t n)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof h);
        out[i] = bf16_to_float(h);
    }
}

static void bf16_array_from_float(const float *in, void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = float_to_bf16(in[i]);
        memcpy(p + 2 * i, &h, sizeof h);
    }
}

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
    [DTYPE_Q2_K] = {"q2_k", NULL, 10, QK_K, Q2_K_BYTES, q2_k_to_float, NULL},
    [DTYPE_Q3_K] = {"q3_k", NULL, 11, QK_K, Q3_K_BYTES, q3_k_to_float, NULL},
    [DTYPE_Q4_K] = {"q4_k", NULL, 12, QK_K, Q4_K_BYTES, q4_k_to_float, NULL},
    [DTYPE_Q5_K] = {"q5_k", NULL, 13, QK_K, Q5_K_BYTES, q5_k_to_float, NULL},
    [DTYPE_Q6_K] = {"q6_k", NULL, 14, QK_K, Q6_K_BYTES, q6_k_to_float, NULL},
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
