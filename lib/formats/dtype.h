/*
 * dtype: how numbers are stored in model files, and their way to float and back.
 *
 * Block formats are those of ggml; a row of a matrix is a whole number of blocks.
 */
#ifndef FORMATS_DTYPE_H
#define FORMATS_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q2_K,
    DTYPE_Q3_K,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_IQ4_NL,
    DTYPE_COUNT,
};

struct dtype_info {
    const char *name;        /* "q8_0": for options and messages */
    const char *safetensors; /* "F32", "F16", "BF16"; NULL where safetensors has no such type */
    int ggml;                /* ggml's number of it */
    size_t block;            /* numbers in a block; 1 for plain types */
    size_t block_bytes;
    /* n numbers, a multiple of block. The stored side need not be aligned. */
    void (*to_float)(const void *in, float *out, size_t n);
    /* Rounds to nearest even, or as ggml's reference quantiser; in must be finite for the block
     * types. NULL where a type is only read. */
    void (*from_float)(const float *in, void *out, size_t n);
};

extern const struct dtype_info dtypes[DTYPE_COUNT];

bool dtype_by_name(const char *name, enum dtype *out);        /* any case */
bool dtype_by_ggml(uint32_t number, enum dtype *out);
/* ggml's name of a type, also of those not in the table: for messages. NULL: no such number. */
const char *dtype_ggml_name(uint32_t number);
bool dtype_by_safetensors(const char *name, enum dtype *out);
/* Bytes of n numbers; false if n is no whole number of blocks or on overflow. */
bool dtype_bytes(enum dtype type, uint64_t n, size_t *bytes);

static inline float bf16_to_float(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

static inline uint16_t float_to_bf16(float f) /* to nearest even; NaN stays NaN */
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if ((v.u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(v.u >> 16 | 0x40);
    return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

float f16_to_float(uint16_t h);
uint16_t float_to_f16(float f);

#endif
