#include "formats/dtype_fit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/simd.h"

#define EACH_GROUP for (int k = 0; k < FIT_GROUPS; k++)

/* A group whose largest magnitude is below this counts as zeros. */
#define NOTHING 1e-15f

void fit_gather(float x[][FIT_GROUPS], const float *in, size_t count, int n)
{
    for (size_t k = 0; k < FIT_GROUPS; k++)
        for (int t = 0; t < n; t++)
            x[t][k] = k < count ? in[k * (size_t)n + (size_t)t] : 0;
}

static inline void range_of(const float x[][FIT_GROUPS], int n, float low[FIT_GROUPS],
                            float high[FIT_GROUPS])
{
    EACH_GROUP
    low[k] = high[k] = x[0][k];
    for (int t = 1; t < n; t++)
        EACH_GROUP
        {
            low[k] = x[t][k] < low[k] ? x[t][k] : low[k];
            high[k] = x[t][k] > high[k] ? x[t][k] : high[k];
        }
    EACH_GROUP
    low[k] = low[k] > 0 ? 0 : low[k];
}

/* error: of x as scale * q + low. */
static inline void error_of(const float x[][FIT_GROUPS], const float w[][FIT_GROUPS],
                            const float q[][FIT_GROUPS], int n, bool absolute,
                            const float scale[FIT_GROUPS], const float low[FIT_GROUPS],
                            float error[FIT_GROUPS])
{
    float sum[FIT_GROUPS] = {0};
    for (int t = 0; t < n; t++)
        EACH_GROUP
        {
            float d = scale[k] * q[t][k] + low[k] - x[t][k];
            sum[k] += w[t][k] * (absolute ? fabsf(d) : d * d);
        }
    memcpy(error, sum, sizeof sum);
}

/* Levels at `inverse` a unit above low, and their weighted sums. */
struct sums {
    float l[FIT_GROUPS], l2[FIT_GROUPS], xl[FIT_GROUPS];
};

static inline void levels_of(const float x[][FIT_GROUPS], const float w[][FIT_GROUPS], int n,
                             float top, const float inverse[FIT_GROUPS],
                             const float low[FIT_GROUPS], float q[][FIT_GROUPS], struct sums *sums)
{
    float l[FIT_GROUPS] = {0}, l2[FIT_GROUPS] = {0}, xl[FIT_GROUPS] = {0};
    for (int t = 0; t < n; t++)
        EACH_GROUP
        {
            float level = fit_round(inverse[k] * (x[t][k] - low[k]), 0, top);
            float wl = w[t][k] * level;
            q[t][k] = level;
            l[k] += wl;
            l2[k] += wl * level;
            xl[k] += wl * x[t][k];
        }
    memcpy(sums->l, l, sizeof l);
    memcpy(sums->l2, l2, sizeof l2);
    memcpy(sums->xl, xl, sizeof xl);
}

/* The scale and low of the least squares for given levels; where they don't determine it, ok is 0.
 */
static inline void solve(const struct sums *s, const float sum_w[FIT_GROUPS],
                         const float sum_x[FIT_GROUPS], float scale[FIT_GROUPS],
                         float low[FIT_GROUPS], float determinant[FIT_GROUPS])
{
    EACH_GROUP
    {
        float d = sum_w[k] * s->l2[k] - s->l[k] * s->l[k];
        float both = (sum_w[k] * s->xl[k] - sum_x[k] * s->l[k]) / d;
        float m = (s->l2[k] * sum_x[k] - s->l[k] * s->xl[k]) / d;
        float alone = s->xl[k] / s->l2[k];
        scale[k] = m > 0 ? alone : both;
        low[k] = m > 0 ? 0 : m;
        determinant[k] = d;
    }
}

static inline void fit_low(const float x[][FIT_GROUPS], const float w[][FIT_GROUPS], int n, int top,
                           float start, int steps, bool absolute, float scale[FIT_GROUPS],
                           float low[FIT_GROUPS])
{
    float high[FIT_GROUPS], sum_w[FIT_GROUPS] = {0}, sum_x[FIT_GROUPS] = {0}, best[FIT_GROUPS];
    float inverse[FIT_GROUPS], q[FIT_LONGEST][FIT_GROUPS];
    struct sums sums;
    range_of(x, n, low, high);
    for (int t = 0; t < n; t++)
        EACH_GROUP
        {
            sum_w[k] += w[t][k];
            sum_x[k] += w[t][k] * x[t][k];
        }
    EACH_GROUP
    {
        float range = high[k] - low[k];
        inverse[k] = range > 0 ? (float)top / range : 0;
        scale[k] = range > 0 ? 1 / inverse[k] : 0;
    }
    levels_of(x, w, n, (float)top, inverse, low, q, &sums);
    error_of(x, w, q, n, absolute, scale, low, best);
    for (int step = 0; step <= steps; step++) {
        float levels = start + 0.1f * (float)step + (float)top;
        float s[FIT_GROUPS], m[FIT_GROUPS], determinant[FIT_GROUPS], error[FIT_GROUPS];
        EACH_GROUP
        inverse[k] = levels / (high[k] - low[k]);
        levels_of(x, w, n, (float)top, inverse, low, q, &sums);
        solve(&sums, sum_w, sum_x, s, m, determinant);
        error_of(x, w, q, n, absolute, s, m, error);
        EACH_GROUP
        {
            bool better = determinant[k] > 0 && error[k] < best[k] && scale[k] != 0;
            best[k] = better ? error[k] : best[k];
            scale[k] = better ? s[k] : scale[k];
            low[k] = better ? m[k] : low[k];
        }
    }
}

SIMD_CLONES void fit_low_32(const float x[][FIT_GROUPS], int top, float start, int steps,
                            float scale[FIT_GROUPS], float low[FIT_GROUPS])
{
    enum { N = 32 };
    float w[N][FIT_GROUPS], squares[FIT_GROUPS] = {0}, s[FIT_GROUPS], m[FIT_GROUPS];
    for (int t = 0; t < N; t++)
        EACH_GROUP
    squares[k] += x[t][k] * x[t][k];
    EACH_GROUP
    squares[k] = sqrtf(squares[k] / N);
    for (int t = 0; t < N; t++)
        EACH_GROUP
    w[t][k] = squares[k] + fabsf(x[t][k]);
    fit_low(x, w, N, top, start, steps, false, s, m);
    memcpy(scale, s, sizeof s);
    memcpy(low, m, sizeof m);
}

SIMD_CLONES void fit_low_16(const float x[][FIT_GROUPS], int top, float start, int steps,
                            float scale[FIT_GROUPS], float low[FIT_GROUPS])
{
    enum { N = 16 };
    float w[N][FIT_GROUPS], s[FIT_GROUPS], m[FIT_GROUPS];
    for (int t = 0; t < N; t++)
        EACH_GROUP
    w[t][k] = fabsf(x[t][k]);
    fit_low(x, w, N, top, start, steps, true, s, m);
    memcpy(scale, s, sizeof s);
    memcpy(low, m, sizeof m);
}

/* The first number of the largest magnitude; 0 where that is as good as none. */
static inline void extremes(const float x[][FIT_GROUPS], int n, float extreme[FIT_GROUPS])
{
    float most[FIT_GROUPS] = {0}, at[FIT_GROUPS] = {0};
    for (int t = 0; t < n; t++)
        EACH_GROUP
        {
            float a = fabsf(x[t][k]);
            at[k] = a > most[k] ? x[t][k] : at[k];
            most[k] = a > most[k] ? a : most[k];
        }
    EACH_GROUP
    extreme[k] = most[k] < NOTHING ? 0 : at[k];
}

/* Sums over levels of x * inverse: of x^2 * x * level and x^2 * level^2. */
static inline void products_of(const float x[][FIT_GROUPS], int n, float top,
                               const float inverse[FIT_GROUPS], float xl[FIT_GROUPS],
                               float l2[FIT_GROUPS])
{
    float a[FIT_GROUPS] = {0}, b[FIT_GROUPS] = {0};
    for (int t = 0; t < n; t++)
        EACH_GROUP
        {
            float level = fit_round(inverse[k] * x[t][k], -top, top - 1), w = x[t][k] * x[t][k];
            a[k] += w * x[t][k] * level;
            b[k] += w * level * level;
        }
    memcpy(xl, a, sizeof a);
    memcpy(l2, b, sizeof b);
}

SIMD_CLONES void fit_scaled_16(const float x[][FIT_GROUPS], int top, float scale[FIT_GROUPS])
{
    enum { N = 16 };
    float extreme[FIT_GROUPS], inverse[FIT_GROUPS], xl[FIT_GROUPS], l2[FIT_GROUPS];
    float best[FIT_GROUPS] = {0}, found[FIT_GROUPS] = {0};
    extremes(x, N, extreme);
    for (int step = -10; step <= 9; step++) { /* the middle one, then around it */
        float levels = step < -9 ? (float)top : (float)top + 0.1f * (float)step;
        if (step == 0)
            continue;
        EACH_GROUP
        inverse[k] = extreme[k] != 0 ? -levels / extreme[k] : 0;
        products_of(x, N, (float)top, inverse, xl, l2);
        EACH_GROUP
        {
            bool better = l2[k] > 0 && xl[k] * xl[k] > best[k] * l2[k];
            found[k] = better ? xl[k] / l2[k] : found[k];
            best[k] = better ? found[k] * xl[k] : best[k];
        }
    }
    memcpy(scale, found, sizeof found);
}

/* One level of each group, changed where that makes the fit better. */
static inline void improve(const float x[FIT_GROUPS], int top, float q[FIT_GROUPS],
                           float xl[FIT_GROUPS], float l2[FIT_GROUPS])
{
    EACH_GROUP
    {
        float w = x[k] * x[k];
        float rest = xl[k] - w * x[k] * q[k], rest2 = l2[k] - w * q[k] * q[k];
        float level = fit_round(x[k] * rest2 / rest, (float)-top, (float)(top - 1));
        float with = rest + w * x[k] * level, with2 = rest2 + w * level * level;
        bool better = rest > 0 && with2 > 0 && with * with * l2[k] > xl[k] * xl[k] * with2;
        q[k] = better ? level : q[k];
        xl[k] = better ? with : xl[k];
        l2[k] = better ? with2 : l2[k];
    }
}

SIMD_CLONES void fit_levels_16(const float x[][FIT_GROUPS], int top, float scale[FIT_GROUPS])
{
    enum { N = 16, ROUNDS = 5 };
    float extreme[FIT_GROUPS], q[N][FIT_GROUPS], xl[FIT_GROUPS] = {0}, l2[FIT_GROUPS] = {0};
    extremes(x, N, extreme);
    EACH_GROUP
    extreme[k] = extreme[k] != 0 ? (float)-top / extreme[k] : 0;
    for (int t = 0; t < N; t++)
        EACH_GROUP
        {
            float w = x[t][k] * x[t][k];
            q[t][k] = fit_round(extreme[k] * x[t][k], (float)-top, (float)(top - 1));
            xl[k] += w * x[t][k] * q[t][k];
            l2[k] += w * q[t][k] * q[t][k];
        }
    for (int round = 0; round < ROUNDS; round++)
        for (int t = 0; t < N; t++)
            improve(x[t], top, q[t], xl, l2);
    EACH_GROUP
    scale[k] = l2[k] > 0 ? xl[k] / l2[k] : 0;
}
