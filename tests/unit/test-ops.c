/* Norms, activations, rotations and soft caps: values against their formulas in double, gradients
 * against finite differences of those formulas. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/simd.h"
#include "compute/activation.h"
#include "compute/norm.h"
#include "compute/ops.h"

enum { N = 37 }; /* no multiple of the lanes */

static struct rng rng;

static void randoms(float *p, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(scale * rng_normal(&rng));
}

/* Norms. */

static void plain_norm(const struct norm *norm, const double *x, double *y)
{
    double mean = 0, var = 0;
    for (int i = 0; norm->centred && i < N; i++)
        mean += x[i] / N;
    for (int i = 0; i < N; i++)
        var += (x[i] - mean) * (x[i] - mean) / N;
    for (int i = 0; i < N; i++)
        y[i] = (double)norm->w[i] * (x[i] - mean) / sqrt(var + (double)norm->eps) +
               (norm->b ? (double)norm->b[i] : 0);
}

/* sum of dy_i y_i at x with x_k moved by step. */
static double norm_along(const struct norm *norm, const float *x, const float *dy, int k,
                         double step)
{
    double moved[N], y[N], sum = 0;
    for (int i = 0; i < N; i++)
        moved[i] = (double)x[i] + (i == k ? step : 0);
    plain_norm(norm, moved, y);
    for (int i = 0; i < N; i++)
        sum += y[i] * (double)dy[i];
    return sum;
}

static void check_norm(bool centred, bool bias)
{
    float w[N], b[N], x[N], y[N], again[N], want[N], dy[N], dx[N], want_dx[N];
    double in[N], out[N];
    struct norm norm = {.w = w, .b = bias ? b : NULL, .centred = centred, .eps = 1e-3f};
    randoms(w, N, 1), randoms(b, N, 1), randoms(x, N, 2), randoms(dy, N, 1);
    for (int i = 0; i < N; i++) {
        x[i] += 3; /* a mean to take away */
        in[i] = (double)x[i];
    }
    plain_norm(&norm, in, out);
    for (int i = 0; i < N; i++) {
        want[i] = (float)out[i];
        want_dx[i] =
            (float)((norm_along(&norm, x, dy, i, 1e-5) - norm_along(&norm, x, dy, i, -1e-5)) /
                    2e-5) +
            1;
        dx[i] = 1; /* added to */
    }
    float r = norm_forward(&norm, y, x, N);
    norm_again(&norm, again, x, N, r);
    norm_backward(&norm, dx, dy, x, N, r);
    const char *name = centred ? bias ? "LayerNorm" : "LayerNorm without bias" : "RMSNorm";
    printf("# %s\n", name);
    tap_close("forward", y, want, N, 3e-6);
    tap_ok(!memcmp(y, again, sizeof y), "the same bits again");
    tap_close("backward", dx, want_dx, N, 1e-5);
}

/* Activations. */

static double plain_activation(enum activation f, double x)
{
    const double k = sqrt(2 / 3.14159265358979323846);
    switch (f) {
    case ACTIVATION_SILU:
        return x / (1 + exp(-x));
    case ACTIVATION_GELU:
        return x * 0.5 * (1 + erf(x / sqrt(2)));
    case ACTIVATION_GELU_TANH:
        return x * 0.5 * (1 + tanh(k * (x + 0.044715 * x * x * x)));
    case ACTIVATION_RELU:
        return x > 0 ? x : 0;
    default:
        return NAN;
    }
}

static double slope_of(enum activation f, double x)
{
    return (plain_activation(f, x + 1e-5) - plain_activation(f, x - 1e-5)) / 2e-5;
}

static void check_activation(enum activation f, const char *name)
{
    enum { M = 4001 };
    float *g = xcalloc(M, 4), *u = xcalloc(M, 4), *da = xcalloc(M, 4), *a = xcalloc(M, 4),
          *dg = xcalloc(M, 4), *du = xcalloc(M, 4), *want = xcalloc(M, 4), *want_dg = xcalloc(M, 4),
          *want_du = xcalloc(M, 4);
    randoms(u, M, 1), randoms(da, M, 1);
    for (int i = 0; i < M; i++) {
        g[i] = ((float)i - M / 2) / 200 + 1e-3f; /* -10 to 10, never a corner */
        double x = (double)g[i];
        want[i] = (float)(plain_activation(f, x) * (double)u[i]);
        want_dg[i] = (float)((double)da[i] * (double)u[i] * slope_of(f, x));
        want_du[i] = (float)((double)da[i] * plain_activation(f, x));
    }
    printf("# %s\n", name);
    activation_forward(f, a, g, u, M);
    tap_close("gated", a, want, M, 1e-5);
    memset(a, 0, M * sizeof *a);
    activation_backward(f, dg, du, a, da, g, u, M);
    tap_close("gated, again", a, want, M, 1e-5);
    tap_close("gradient of the gate", dg, want_dg, M, 1e-5);
    tap_close("gradient of what is gated", du, want_du, M, 1e-5);
    for (int i = 0; i < M; i++) {
        want[i] = (float)plain_activation(f, (double)g[i]);
        want_du[i] = (float)((double)da[i] * slope_of(f, (double)g[i]));
    }
    activation_forward(f, a, NULL, g, M);
    tap_close("plain", a, want, M, 5e-6);
    activation_backward(f, NULL, du, a, da, NULL, g, M);
    tap_close("plain, again", a, want, M, 5e-6);
    tap_close("gradient of the plain one", du, want_du, M, 1e-5);
    free(g), free(u), free(da), free(a), free(dg), free(du), free(want), free(want_dg),
        free(want_du);
}

/* A quarter of each head turns, by a table with a factor in it; backward is the transpose. */
static void check_rope(void)
{
    enum { HEADS = 3, D = 24, HALF = 3 };
    float x[HEADS * D], y[HEADS * D], want[HEADS * D], dy[HEADS * D], dx[HEADS * D], c[HALF],
        s[HALF];
    randoms(x, HEADS * D, 1), randoms(dy, HEADS * D, 1);
    for (int i = 0; i < HALF; i++) {
        c[i] = 1.3f * cosf((float)i + 1);
        s[i] = 1.3f * sinf((float)i + 1);
    }
    memcpy(y, x, sizeof y), memcpy(want, x, sizeof y), memcpy(dx, dy, sizeof dx);
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < HALF; i++) {
            float *p = x + h * D, *w = want + h * D;
            w[i] = p[i] * c[i] - p[i + HALF] * s[i];
            w[i + HALF] = p[i + HALF] * c[i] + p[i] * s[i];
        }
    rope_forward(y, HEADS, D, HALF, c, s);
    rope_backward(dx, HEADS, D, HALF, c, s);
    tap_close("a quarter of a head turns", y, want, HEADS * D, 1e-6);
    double forward = 0, backward = 0;
    for (int i = 0; i < HEADS * D; i++) {
        forward += (double)y[i] * (double)dy[i];
        backward += (double)x[i] * (double)dx[i];
    }
    tap_ok(fabs(forward - backward) < 1e-5, "<R x, dy> = <x, R^T dy>: %g, %g", forward, backward);
}

static void check_softcap(void)
{
    float x[N], y[N], dx[N], want[N], want_dx[N];
    const double scale = 1.4, cap = 3;
    randoms(x, N, 5);
    memcpy(y, x, sizeof y);
    for (int i = 0; i < N; i++) {
        double t = tanh((double)x[i] * scale / cap);
        want[i] = (float)(cap * t);
        dx[i] = (float)i;
        want_dx[i] = (float)(i * scale * (1 - t * t));
    }
    softcap_forward(y, N, (float)scale, (float)cap);
    softcap_backward(dx, y, N, (float)scale, (float)cap);
    tap_close("soft cap", y, want, N, 1e-6);
    tap_close("soft cap backward", dx, want_dx, N, 2e-5);
    for (int i = 0; i < N; i++) {
        want[i] = x[i] * (float)scale;
        dx[i] = 1;
        want_dx[i] = (float)scale;
    }
    memcpy(y, x, sizeof y);
    softcap_forward(y, N, (float)scale, 0);
    softcap_backward(dx, y, N, (float)scale, 0);
    tap_close("a scale alone", y, want, N, 1e-6);
    tap_close("a scale alone, backward", dx, want_dx, N, 0);
}

static void check_tanh(void)
{
    double worst = 0;
    for (int i = -4000; i <= 4000; i++) {
        float x = (float)i * 0.005f;
        double want = tanh((double)x);
        double off = fabs((double)simd_tanh(x) - want) / (fabs(want) + 1e-30);
        worst = off > worst ? off : worst;
    }
    tap_ok(worst < 2.5e-7, "tanh within 2.5e-7 of itself (%.2g)", worst);
    tap_ok(simd_tanh(INFINITY) == 1 && simd_tanh(-INFINITY) == -1 && isnan(simd_tanh(NAN)),
           "tanh of infinities and NaN");
}

int main(void)
{
    rng_init(&rng, 1, 1);
    check_norm(false, false);
    check_norm(true, false);
    check_norm(true, true);
    check_activation(ACTIVATION_SILU, "silu");
    check_activation(ACTIVATION_GELU, "gelu");
    check_activation(ACTIVATION_GELU_TANH, "gelu by tanh");
    check_activation(ACTIVATION_RELU, "relu");
    check_rope();
    check_softcap();
    check_tanh();
    return tap_done();
}
