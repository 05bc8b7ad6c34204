#include "compute/rows.h"

#include <math.h>

#include "base/mem.h"
#include "base/simd.h"

SIMD_CLONES float row_dot(const float *a, const float *b, size_t n)
{
    float lane[SIMD_LANES] = {0}, sum;
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++)
            lane[l] += a[i + l] * b[i + l];
    sum = simd_sum(lane);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

SIMD_CLONES float row_sum(const float *x, size_t n)
{
    float lane[SIMD_LANES] = {0};
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++)
            lane[l] += x[i + l];
    float sum = simd_sum(lane);
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

SIMD_CLONES float row_max(const float *x, size_t n)
{
    float lane[SIMD_LANES];
    for (size_t l = 0; l < SIMD_LANES; l++)
        lane[l] = -INFINITY;
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++)
            lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
    for (; i < n; i++)
        lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (size_t l = 1; l < SIMD_LANES; l++)
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    return lane[0];
}

SIMD_CLONES float row_exp(float *x, size_t n, float shift)
{
    float lane[SIMD_LANES] = {0};
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++) {
            float e = simd_exp(x[i + l] - shift);
            x[i + l] = e;
            lane[l] += e;
        }
    float sum = simd_sum(lane);
    for (; i < n; i++)
        sum += x[i] = simd_exp(x[i] - shift);
    return sum;
}

double row_exp_long(float *x, size_t n, float shift)
{
    enum { BLOCK = 4096 };
    double total = 0;
    for (size_t i = 0; i < n; i += BLOCK)
        total += (double)row_exp(x + i, size_min(BLOCK, n - i), shift);
    return total;
}

SIMD_CLONES void row_scale(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= by;
}

SIMD_CLONES void row_shift(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        x[i] += by;
}

SIMD_CLONES void row_add(float *y, const float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        y[i] += by * x[i];
}
