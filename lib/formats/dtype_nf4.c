#include "formats/dtype_nf4.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"

/* The paper's appendix E, as bitsandbytes has it in float32. */
static const float values[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

enum { CODES = 16, ZERO = 7, SCALE_CODES = 256, EXPONENTS = 7 };

/*
 * The values that scales are rounded to, in order: bitsandbytes' signed dynamic map, 0 and 1 and
 * for each power of ten from -6 to 0 the middles between 2^i + 1 even steps from 0.1 to 1, of both
 * signs.
 */
static float scale_values[SCALE_CODES], scale_middles[SCALE_CODES - 1];
static pthread_once_t scale_values_once = PTHREAD_ONCE_INIT;

/* Value i of n even steps from 0.1 to 1, from the nearer end, as torch.linspace. */
static float step_value(size_t i, size_t n)
{
    const float first = 0.1f, last = 1, step = (last - first) / (float)(n - 1);
    return i < n / 2 ? first + step * (float)i : last - step * (float)(n - 1 - i);
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void make_scale_values(void)
{
    size_t n = 0;
    scale_values[n++] = 0;
    scale_values[n++] = 1;
    for (int e = 0; e < EXPONENTS; e++) {
        const float power = (float)pow(10, e - (EXPONENTS - 1));
        const size_t steps = (1u << e) + 1;
        for (size_t i = 0; i + 1 < steps; i++) {
            float middle = power * ((step_value(i, steps) + step_value(i + 1, steps)) / 2);
            scale_values[n++] = middle;
            scale_values[n++] = -middle;
        }
    }
    qsort(scale_values, n, sizeof *scale_values, by_value);
    for (size_t i = 0; i + 1 < n; i++)
        scale_middles[i] = (scale_values[i + 1] + scale_values[i]) / 2;
}

int nf4_new(struct nf4 *q, size_t n, struct err *err)
{
    *q = (struct nf4){.n = n, .n_blocks = (n + NF4_BLOCK - 1) / NF4_BLOCK};
    q->codes = mem_array((n + 1) / 2, 1, "4-bit weights", err);
    q->absmax = q->codes ? mem_array(q->n_blocks, sizeof *q->absmax, "scales", err) : NULL;
    if (q->absmax)
        return 0;
    nf4_release(q);
    return -1;
}

void nf4_release(struct nf4 *q)
{
    free(q->codes);
    free(q->absmax);
    free(q->absmax_codes);
    free(q->absmax_absmax);
    *q = (struct nf4){0};
}

size_t nf4_bytes(size_t n, bool doubled)
{
    size_t blocks = (n + NF4_BLOCK - 1) / NF4_BLOCK;
    size_t groups = (blocks + NF4_GROUP - 1) / NF4_GROUP;
    return (n + 1) / 2 + (doubled ? blocks + groups * sizeof(float) : blocks * sizeof(float));
}

/* Index of the nearest value, of the lower one in a tie: how many middles lie below x. */
SIMD_CLONES static void nearest(const float *x, size_t n, float by, uint8_t *code)
{
    float middles[CODES - 1];
    for (int k = 0; k < CODES - 1; k++)
        middles[k] = (values[k + 1] + values[k]) / 2;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * by;
        int below = 0;
        for (int k = 0; k < CODES - 1; k++)
            below += v > middles[k];
        code[i] = (uint8_t)below;
    }
}

static float largest(const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        float v = fabsf(x[i]);
        if (!(v <= most)) /* also for NaN, which then stays */
            most = v;
        if (!isfinite(most))
            return most;
    }
    return most;
}

bool nf4_quantise(struct nf4 *q, size_t first, const float *in, size_t n)
{
    uint8_t code[NF4_BLOCK + 1];
    for (size_t at = 0; at < n; at += NF4_BLOCK, first++) {
        size_t k = n - at < NF4_BLOCK ? n - at : NF4_BLOCK;
        float scale = largest(in + at, k);
        if (!isfinite(scale))
            return false;
        q->absmax[first] = scale;
        nearest(in + at, k, isfinite(1 / scale) ? 1 / scale : 0, code);
        code[k] = ZERO; /* the other half of an odd last byte */
        uint8_t *to = q->codes + first * (NF4_BLOCK / 2);
        for (size_t i = 0; i < k; i += 2)
            to[i / 2] = (uint8_t)(code[i] << 4 | code[i + 1]);
    }
    return true;
}

static uint8_t nearest_scale_code(float x)
{
    size_t low = 0, high = SCALE_CODES - 1;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (scale_middles[mid] < x)
            low = mid + 1;
        else
            high = mid;
    }
    return (uint8_t)low;
}

int nf4_quantise_scales(struct nf4 *q, struct err *err)
{
    size_t groups = (q->n_blocks + NF4_GROUP - 1) / NF4_GROUP;
    pthread_once(&scale_values_once, make_scale_values);
    q->absmax_codes = mem_array(q->n_blocks, 1, "scales", err);
    q->absmax_absmax =
        q->absmax_codes ? mem_array(groups, sizeof *q->absmax_absmax, "scales", err) : NULL;
    if (!q->absmax_absmax)
        return -1;
    double sum = 0;
    for (size_t i = 0; i < q->n_blocks; i++)
        sum += (double)q->absmax[i];
    q->absmax_offset = q->n_blocks ? (float)(sum / (double)q->n_blocks) : 0;
    for (size_t g = 0; g < groups; g++) {
        size_t from = g * NF4_GROUP, to = from + NF4_GROUP;
        to = to < q->n_blocks ? to : q->n_blocks;
        float most = 0;
        for (size_t i = from; i < to; i++)
            most = fmaxf(most, fabsf(q->absmax[i] - q->absmax_offset));
        q->absmax_absmax[g] = most;
        for (size_t i = from; i < to; i++)
            q->absmax_codes[i] =
                nearest_scale_code(most > 0 ? (q->absmax[i] - q->absmax_offset) * (1 / most) : 0);
    }
    free(q->absmax);
    q->absmax = NULL;
    return 0;
}

float nf4_scale(const struct nf4 *q, size_t block)
{
    if (q->absmax)
        return q->absmax[block];
    float v = scale_values[q->absmax_codes[block]] * q->absmax_absmax[block / NF4_GROUP];
    return v + q->absmax_offset;
}

/* A whole block. */
SIMD_CLONES static void block_to_float(const uint8_t codes[NF4_BLOCK / 2], float scale,
                                       float out[NF4_BLOCK])
{
    float scaled[CODES];
    for (int k = 0; k < CODES; k++)
        scaled[k] = values[k] * scale;
    for (int i = 0; i < NF4_BLOCK / 2; i++) {
        out[2 * i] = scaled[codes[i] >> 4];
        out[2 * i + 1] = scaled[codes[i] & 15];
    }
}

void nf4_to_float(const struct nf4 *q, size_t from, size_t n, float *out)
{
    const size_t end = from + n;
    while (from < end) {
        size_t block = from / NF4_BLOCK, at = from % NF4_BLOCK;
        float scale = nf4_scale(q, block);
        const uint8_t *codes = q->codes + block * (NF4_BLOCK / 2);
        size_t k = NF4_BLOCK - at < end - from ? NF4_BLOCK - at : end - from;
        if (k == NF4_BLOCK)
            block_to_float(codes, scale, out);
        else
            for (size_t i = 0; i < k; i++)
                out[i] = values[codes[(at + i) / 2] >> ((at + i) % 2 ? 0 : 4) & 15] * scale;
        from += k;
        out += k;
    }
}
