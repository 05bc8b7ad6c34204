/* AdamW against torch.optim.AdamW on three updates of four parameters, and clipping. */
#include "compute/adamw.h"
#include "tap.h"

/* Made with torch 2.13: AdamW(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0 or 0.1) on
 * start with the gradients grads[step]. */
static const float start[4] = {0.75f, -1.25f, 0.5f, 0.001f};
static const float grads[3][4] = {
    {0.3f, -0.002f, 1.5f, -4e-09f}, {-0.1f, 0.004f, 1.25f, 0.0f}, {0.05f, 2.0f, -1e-05f, 3e-09f}};
static const float plain[3][4] = {{0.74000001f, -1.24000001f, 0.49000001f, 0.00385714322f},
                                  {0.735997796f, -1.24366105f, 0.480088294f, 0.00533420779f},
                                  {0.731943548f, -1.25005543f, 0.472426534f, 0.00540293241f}};
static const float decayed[3][4] = {{0.739250004f, -1.23874998f, 0.489500016f, 0.00385614298f},
                                    {0.734508574f, -1.24117231f, 0.479098797f, 0.00532935141f},
                                    {0.729719818f, -1.24632549f, 0.470957935f, 0.00539274653f}};

static void test_updates(const char *name, double weight_decay, const float want[3][4])
{
    struct adamw o;
    struct err err;
    float p[4];
    memcpy(p, start, sizeof p);
    if (adamw_init(&o, 4, 0.9, 0.999, 1e-8, weight_decay, &err))
        return (void)tap_ok(false, "%s", err.msg);
    for (int step = 0; step < 3; step++) {
        char what[80];
        snprintf(what, sizeof what, "%s: update %d", name, step + 1);
        adamw_update(&o, p, grads[step], 1, 0.01);
        tap_close(what, p, want[step], 4, 1e-7); /* one unit in the last place of values near 1 */
    }
    adamw_release(&o);
}

static void test_scale(void)
{
    struct adamw a, b;
    struct err err;
    float p[4], q[4], scaled[4];
    memcpy(p, start, sizeof p);
    memcpy(q, start, sizeof q);
    adamw_init(&a, 4, 0.9, 0.999, 1e-8, 0, &err);
    adamw_init(&b, 4, 0.9, 0.999, 1e-8, 0, &err);
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 4; i++)
            scaled[i] = 0.25f * grads[step][i];
        adamw_update(&a, p, grads[step], 0.25, 0.01);
        adamw_update(&b, q, scaled, 1, 0.01);
    }
    tap_ok(!memcmp(p, q, sizeof p), "a scale is the same as scaled gradients, to the bit");
    adamw_release(&a);
    adamw_release(&b);
}

static void test_norm(void)
{
    float g[19];
    double sum = 0;
    for (int i = 0; i < 19; i++) {
        g[i] = (float)(i - 9) * 0.37f;
        sum += (double)g[i] * g[i];
    }
    tap_ok(fabs(gradient_norm(g, 19) - sqrt(sum)) < 1e-12, "norm of 19 values");
    tap_ok(gradient_norm(g, 0) == 0, "norm of none");
    float large[2] = {3e30f, 4e30f};
    tap_ok(fabs(gradient_norm(large, 2) / 5e30 - 1) < 1e-6, "squares beyond float's range");
    g[13] = NAN;
    tap_ok(isnan(gradient_norm(g, 19)), "a NaN anywhere shows");
    g[13] = INFINITY;
    tap_ok(!isfinite(gradient_norm(g, 19)), "an infinity anywhere shows");
}

static void test_clip(void)
{
    tap_ok(gradient_clip(3, 0) == 1, "clip 0 leaves gradients alone");
    tap_ok(gradient_clip(0.4, 0.5) == 1, "a norm below the limit is left alone");
    tap_ok(gradient_clip(3, 0.5) == 0.5 / (3 + 1e-6), "a norm above it is brought to it");
    tap_ok(gradient_clip(0.5, 0.5) == 0.5 / (0.5 + 1e-6), "torch's 1e-6 is there");
}

int main(void)
{
    test_updates("without decay", 0, plain);
    test_updates("decay 0.1", 0.1, decayed);
    test_scale();
    test_norm();
    test_clip();
    return tap_done();
}
