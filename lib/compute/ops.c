#include "compute/ops.h"

#include "base/simd.h"

SIMD_CLONES void rope_forward(float *x, size_t n_heads, size_t n, size_t half, const float *cos_,
                              const float *sin_)
{
    for (size_t h = 0; h < n_heads; h++, x += n)
        for (size_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half];
            x[i] = a * cos_[i] - b * sin_[i];
            x[i + half] = b * cos_[i] + a * sin_[i];
        }
}

SIMD_CLONES void rope_backward(float *dx, size_t n_heads, size_t n, size_t half, const float *cos_,
                               const float *sin_)
{
    for (size_t h = 0; h < n_heads; h++, dx += n)
        for (size_t i = 0; i < half; i++) {
            float a = dx[i], b = dx[i + half];
            dx[i] = a * cos_[i] + b * sin_[i];
            dx[i + half] = b * cos_[i] - a * sin_[i];
        }
}

SIMD_CLONES void softcap_forward(float *x, size_t n, float scale, float cap)
{
    if (cap == 0) {
        for (size_t i = 0; i < n; i++)
            x[i] *= scale;
        return;
    }
    float inside = scale / cap;
    for (size_t i = 0; i < n; i++)
        x[i] = cap * simd_tanh(x[i] * inside);
}

SIMD_CLONES void softcap_backward(float *dx, const float *y, size_t n, float scale, float cap)
{
    if (cap == 0) {
        for (size_t i = 0; i < n; i++)
            dx[i] *= scale;
        return;
    }
    float inverse = 1 / cap;
    for (size_t i = 0; i < n; i++) {
        float t = y[i] * inverse;
        dx[i] *= scale * (1 - t * t);
    }
}
