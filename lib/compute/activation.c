#include "compute/activation.h"

#include "base/simd.h"

/* Each returns f(x) and sets *slope = f'(x), which costs nothing where nobody reads it. */
#define INLINE static inline __attribute__((always_inline))

INLINE float silu(float x, float *slope)
{
    float s = 1 / (1 + simd_exp(-x));
    *slope = s * (1 + x * (1 - s));
    return x * s;
}

/* erf within 1.5e-7: x P(x^2) below 1, 1 - exp(Q(|x|)) above; fitted at Chebyshev nodes, Q to the
 * logarithm of 1 - erf up to 4, where erf is 1 in float32. */
INLINE float erf_inline(float x)
{
    static const float low[] = {1.1283791065f,  -0.3761262596f,    0.1128359735f,   -0.0268543288f,
                                0.00518931216f, -0.0008018855006f, 7.882497448e-05f};
    static const float high[] = {0.00030321299f,  -1.13016665f,     -0.631937087f,
                                 -0.109978244f,   0.0263647176f,    -0.00474022236f,
                                 0.000592769531f, -4.55906229e-05f, 1.6140616e-06f};
    float z = x * x, a = x < 0 ? -x : x, p = low[6], q = high[8];
    z = z > 1 ? 1 : z;
    a = a > 4 ? 4 : a;
    for (int i = 5; i >= 0; i--)
        p = p * z + low[i];
    for (int i = 7; i >= 0; i--)
        q = q * a + high[i];
    float beyond = 1 - simd_exp(q);
    return a < 1 ? p * x : x < 0 ? -beyond : beyond;
}

INLINE float gelu(float x, float *slope)
{
    const float sqrt_half = 0.70710678118654752f, density = 0.39894228040143268f; /* 1/sqrt(2 pi) */
    float phi = 0.5f * (1 + erf_inline(x * sqrt_half));
    *slope = phi + x * density * simd_exp(-0.5f * x * x);
    return x * phi;
}

INLINE float gelu_tanh(float x, float *slope)
{
    const float k = 0.79788456080286536f, cubic = 0.044715f; /* k = sqrt(2/pi) */
    float t = simd_tanh(k * (x + cubic * x * x * x)), half = 0.5f * (1 + t);
    *slope = half + 0.5f * x * (1 - t * t) * k * (1 + 3 * cubic * x * x);
    return x * half;
}

INLINE float relu(float x, float *slope)
{
    *slope = x > 0 ? 1 : 0;
    return x > 0 ? x : 0;
}

/* The loops of one function. `restrict`, since six arrays are more than the compiler would check
 * for overlap at run time. */
#define LOOPS(f)                                                                                   \
    SIMD_CLONES static void f##_gated(float *a, const float *g, const float *u, size_t n)          \
    {                                                                                              \
        float slope;                                                                               \
        for (size_t i = 0; i < n; i++)                                                             \
            a[i] = f(g[i], &slope) * u[i];                                                         \
    }                                                                                              \
    SIMD_CLONES static void f##_plain(float *a, const float *u, size_t n)                          \
    {                                                                                              \
        float slope;                                                                               \
        for (size_t i = 0; i < n; i++)                                                             \
            a[i] = f(u[i], &slope);                                                                \
    }                                                                                              \
    SIMD_CLONES static void f##_gated_backward(                                                    \
        float *restrict dg, float *restrict du, float *restrict a, const float *restrict da,       \
        const float *restrict g, const float *restrict u, size_t n)                                \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            float slope, y = f(g[i], &slope), d = da[i];                                           \
            a[i] = y * u[i];                                                                       \
            du[i] = d * y;                                                                         \
            dg[i] = d * u[i] * slope;                                                              \
        }                                                                                          \
    }                                                                                              \
    SIMD_CLONES static void f##_plain_backward(float *restrict du, float *restrict a,              \
                                               const float *restrict da, const float *restrict u,  \
                                               size_t n)                                           \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            float slope;                                                                           \
            a[i] = f(u[i], &slope);                                                                \
            du[i] = da[i] * slope;                                                                 \
        }                                                                                          \
    }

LOOPS(silu)
LOOPS(gelu)
LOOPS(gelu_tanh)
LOOPS(relu)

static const struct {
    void (*gated)(float *, const float *, const float *, size_t);
    void (*plain)(float *, const float *, size_t);
    void (*gated_backward)(float *restrict, float *restrict, float *restrict, const float *restrict,
                           const float *restrict, const float *restrict, size_t);
    void (*plain_backward)(float *restrict, float *restrict, const float *restrict,
                           const float *restrict, size_t);
} loops[ACTIVATION_COUNT] = {
#define ENTRY(f)                                                                                   \
    {                                                                                              \
        f##_gated, f##_plain, f##_gated_backward, f##_plain_backward                               \
    }
    [ACTIVATION_SILU] = ENTRY(silu),
    [ACTIVATION_GELU] = ENTRY(gelu),
    [ACTIVATION_GELU_TANH] = ENTRY(gelu_tanh),
    [ACTIVATION_RELU] = ENTRY(relu),
};

void activation_forward(enum activation f, float *a, const float *g, const float *u, size_t n)
{
    if (g)
        loops[f].gated(a, g, u, n);
    else
        loops[f].plain(a, u, n);
}

void activation_backward(enum activation f, float *restrict dg, float *restrict du,
                         float *restrict a, const float *restrict da, const float *restrict g,
                         const float *restrict u, size_t n)
{
    if (g)
        loops[f].gated_backward(dg, du, a, da, g, u, n);
    else
        loops[f].plain_backward(du, a, da, u, n);
}
