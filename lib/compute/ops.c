#include "compute/ops.h"

#include <math.h>

#include "base/simd.h"
#include "compute/rows.h"

SIMD_CLONES float rmsnorm_forward(float *y, const float *x, const float *w, size_t n, float eps)
{
    float r = 1 / sqrtf(row_dot(x, x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * r);
    return r;
}

static inline float lane_dot3(const float *a, const float *b, const float *c, size_t n)
{
    float lane[SIMD_LANES] = {0};
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++)
            lane[l] += a[i + l] * b[i + l] * c[i + l];
    float sum = simd_sum(lane);
    for (; i < n; i++)
        sum += a[i] * b[i] * c[i];
    return sum;
}

SIMD_CLONES void rmsnorm_backward(float *dx, const float *dy, const float *x, const float *w,
                                  size_t n, float r)
{
    float along = lane_dot3(w, dy, x, n) * r * r * r / (float)n;
    for (size_t i = 0; i < n; i++)
        dx[i] += r * w[i] * dy[i] - x[i] * along;
}

SIMD_CLONES void rope_forward(float *x, size_t n_heads, size_t n, const float *cos_,
                              const float *sin_)
{
    for (size_t h = 0; h < n_heads; h++, x += n)
        for (size_t i = 0; i < n / 2; i++) {
            float a = x[i], b = x[i + n / 2];
            x[i] = a * cos_[i] - b * sin_[i];
            x[i + n / 2] = b * cos_[i] + a * sin_[i];
        }
}

SIMD_CLONES void rope_backward(float *dx, size_t n_heads, size_t n, const float *cos_,
                               const float *sin_)
{
    for (size_t h = 0; h < n_heads; h++, dx += n)
        for (size_t i = 0; i < n / 2; i++) {
            float a = dx[i], b = dx[i + n / 2];
            dx[i] = a * cos_[i] + b * sin_[i];
            dx[i + n / 2] = b * cos_[i] - a * sin_[i];
        }
}

SIMD_CLONES void swiglu_forward(float *a, const float *g, const float *u, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] = g[i] / (1 + simd_exp(-g[i])) * u[i];
}

/* `restrict`, since six arrays are more than the compiler would check for overlap at run time. */
SIMD_CLONES void swiglu_backward(float *restrict dg, float *restrict du, float *restrict a,
                                 const float *restrict da, const float *restrict g,
                                 const float *restrict u, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float s = 1 / (1 + simd_exp(-g[i])), silu = g[i] * s, d = da[i];
        a[i] = silu * u[i];
        du[i] = d * silu;
        dg[i] = d * u[i] * (s * (1 + g[i] * (1 - s)));
    }
}
