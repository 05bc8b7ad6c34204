#include "compute/operand.h"

#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "formats/dtype.h"

int operand_new(struct operand *o, size_t rows, size_t cols, bool bf16, const char *what,
                struct err *err)
{
    size_t n;
    *o = (struct operand){NULL, cols, bf16};
    if (!size_mul(rows, cols, &n))
        n = SIZE_MAX;
    o->p = mem_array(n, operand_size(bf16), what, err);
    return o->p ? 0 : -1;
}

SIMD_CLONES static void round_floats(const float *in, uint16_t *out, size_t n)
{
    const uint32_t *bits = (const uint32_t *)(const void *)in;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = bits[i];
        uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
        uint32_t quiet_nan = u >> 16 | 0x40;
        out[i] = (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet_nan : rounded);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* The processor's own rounding, which differs for denormal numbers alone: it makes them 0. */
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bf16"))) static void
round_floats_by_processor(const float *in, uint16_t *out, size_t n)
{
    enum { STEP = 32, DENORMAL = 0x20 };
    size_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        __m512 low = _mm512_loadu_ps(in + i), high = _mm512_loadu_ps(in + i + STEP / 2);
        if (_mm512_fpclass_ps_mask(low, DENORMAL) | _mm512_fpclass_ps_mask(high, DENORMAL))
            round_floats(in + i, out + i, STEP);
        else
            _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
    }
    round_floats(in + i, out + i, n - i);
}

void floats_to_bf16(const float *in, uint16_t *out, size_t n)
{
    if (__builtin_cpu_supports("avx512bf16"))
        round_floats_by_processor(in, out, n);
    else
        round_floats(in, out, n);
}
#else
void floats_to_bf16(const float *in, uint16_t *out, size_t n)
{
    round_floats(in, out, n);
}
#endif

SIMD_CLONES void bf16_to_floats(const uint16_t *in, float *out, size_t n)
{
    uint32_t *bits = (uint32_t *)(void *)out;
    for (size_t i = 0; i < n; i++)
        bits[i] = (uint32_t)in[i] << 16;
}

void operand_store(const struct operand *o, size_t row, size_t col, const float *in, size_t n)
{
    if (o->bf16)
        floats_to_bf16(in, operand_bf16(o, row) + col, n);
    else
        memcpy(operand_f32(o, row) + col, in, n * sizeof *in);
}

void operand_load(const struct operand *o, size_t row, size_t col, float *out, size_t n)
{
    if (o->bf16)
        bf16_to_floats(operand_bf16(o, row) + col, out, n);
    else
        memcpy(out, operand_f32(o, row) + col, n * sizeof *out);
}

const float *operand_row(const struct operand *o, size_t row, float *tmp)
{
    if (!o->bf16)
        return operand_f32(o, row);
    bf16_to_floats(operand_bf16(o, row), tmp, o->cols);
    return tmp;
}
