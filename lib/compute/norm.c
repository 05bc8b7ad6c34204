#include "compute/norm.h"

#include <math.h>

#include "base/simd.h"
#include "compute/rows.h"

SIMD_CLONES static void scale_by(float *y, const float *x, const float *w, size_t n, float r)
{
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * r);
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

SIMD_CLONES static void rms_backward(float *dx, const float *dy, const float *x, const float *w,
                                     size_t n, float r)
{
    float along = lane_dot3(w, dy, x, n) * r * r * r / (float)n;
    for (size_t i = 0; i < n; i++)
        dx[i] += r * w[i] * dy[i] - x[i] * along;
}

/* sum of (x - m)^2. */
SIMD_CLONES static float sum_squares_around(const float *x, size_t n, float m)
{
    float lane[SIMD_LANES] = {0};
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++)
            lane[l] += (x[i + l] - m) * (x[i + l] - m);
    float sum = simd_sum(lane);
    for (; i < n; i++)
        sum += (x[i] - m) * (x[i] - m);
    return sum;
}

static float mean(const float *x, size_t n)
{
    return row_sum(x, n) / (float)n;
}

SIMD_CLONES static void centre(const struct norm *norm, float *y, const float *x, size_t n, float m,
                               float r)
{
    const float *w = norm->w, *b = norm->b;
    for (size_t i = 0; i < n; i++)
        y[i] = w[i] * ((x[i] - m) * r);
    for (size_t i = 0; b && i < n; i++)
        y[i] += b[i];
}

/* The sums over w dy and over w dy (x - m), in lanes. */
SIMD_CLONES static void layer_backward(float *dx, const float *dy, const float *x, const float *w,
                                       size_t n, float m, float r)
{
    float lane[SIMD_LANES] = {0}, lane_x[SIMD_LANES] = {0};
    size_t i = 0;
    for (; i + SIMD_LANES <= n; i += SIMD_LANES)
        for (size_t l = 0; l < SIMD_LANES; l++) {
            float g = w[i + l] * dy[i + l];
            lane[l] += g;
            lane_x[l] += g * (x[i + l] - m);
        }
    float sum = simd_sum(lane), sum_x = simd_sum(lane_x);
    for (; i < n; i++) {
        sum += w[i] * dy[i];
        sum_x += w[i] * dy[i] * (x[i] - m);
    }
    float mean_g = sum / (float)n, along = sum_x * r * r / (float)n;
    for (i = 0; i < n; i++)
        dx[i] += r * (w[i] * dy[i] - mean_g - (x[i] - m) * along);
}

float norm_forward(const struct norm *norm, float *y, const float *x, size_t n)
{
    float r;
    if (norm->centred) {
        float m = mean(x, n);
        r = 1 / sqrtf(sum_squares_around(x, n, m) / (float)n + norm->eps);
        centre(norm, y, x, n, m, r);
    } else {
        r = 1 / sqrtf(row_dot(x, x, n) / (float)n + norm->eps);
        scale_by(y, x, norm->w, n, r);
    }
    return r;
}

void norm_again(const struct norm *norm, float *y, const float *x, size_t n, float r)
{
    if (norm->centred)
        centre(norm, y, x, n, mean(x, n), r);
    else
        scale_by(y, x, norm->w, n, r);
}

void norm_backward(const struct norm *norm, float *dx, const float *dy, const float *x, size_t n,
                   float r)
{
    if (norm->centred)
        layer_backward(dx, dy, x, norm->w, n, mean(x, n), r);
    else
        rms_backward(dx, dy, x, norm->w, n, r);
}
