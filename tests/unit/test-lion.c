/* lion: its update by hand, and the optimisers' common interface. */
#include "tap.h"

#include <math.h>

#include "compute/optimizer.h"

/* The algorithm in double, a line for each of its lines. */
static void plain(double *p, double *m, double g, double lr, double wd)
{
    double c = 0.9 * *m + 0.1 * g;
    *p -= lr * ((c > 0) - (c < 0) + wd * *p);
    *m = 0.99 * *m + 0.01 * g;
}

static void test_steps(void)
{
    enum { N = 5, STEPS = 20 };
    struct err err;
    struct optimizer o;
    const struct optimizer_settings settings = {
        .kind = OPTIMIZER_LION, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1};
    float p[N] = {1, -2, 0.5f, 0, 3}, g[N];
    double want[N] = {1, -2, 0.5, 0, 3}, m[N] = {0}, worst = 0;
    tap_ok(!optimizer_init(&o, &settings, N, &err) && !o.adamw.v, "a mean alone is kept");
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < N; i++) {
            g[i] = (float)sin(3 * step + i) * (i == 3 ? 0 : 1); /* one never has a gradient */
            plain(&want[i], &m[i], 0.5 * (double)g[i], 0.01, 0.1);
        }
        optimizer_begin(&o);
        optimizer_update(&o, 0, 2, p, g, 0.5, 0.01);
        optimizer_update(&o, 2, N - 2, p, g, 0.5, 0.01);
    }
    for (int i = 0; i < N; i++)
        worst = fmax(worst, fabs((double)p[i] - want[i]));
    tap_ok(worst <= 1e-5, "parameters after %d steps (%.2g)", STEPS, worst);
    tap_ok(p[3] == 0, "without a gradient nothing moves");
    optimizer_release(&o);
}

static void test_adamw(void)
{
    struct err err;
    struct optimizer o;
    struct adamw a;
    const struct optimizer_settings settings = {
        .kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};
    float p[3] = {1, 2, 3}, q[3] = {1, 2, 3};
    const float g[3] = {0.1f, -0.2f, 0.3f};
    optimizer_init(&o, &settings, 3, &err);
    adamw_init(&a, 3, 0.9, 0.999, 1e-8, 0.01, &err);
    for (int step = 0; step < 3; step++) {
        optimizer_begin(&o);
        optimizer_update(&o, 1, 2, p, g, 2, 0.1);
        optimizer_update(&o, 0, 1, p, g, 2, 0.1);
        adamw_update(&a, q, g, 2, 0.1);
    }
    tap_ok(p[0] == q[0] && p[1] == q[1] && p[2] == q[2], "AdamW in parts is AdamW");
    adamw_release(&a);
    optimizer_release(&o);
}

int main(void)
{
    test_steps();
    test_adamw();
    return tap_done();
}
