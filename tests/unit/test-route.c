/* The router of a mixture of experts: the choice, its weights, and its gradient by differences. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "compute/route.h"

enum { E = 19, K = 3 };

static double along(const struct route_shape *s, const float *logits, const float *dw, size_t moved,
                    double step)
{
    float p[E], weight[K];
    uint32_t expert[K];
    double sum = 0;
    memcpy(p, logits, sizeof p);
    p[moved] += (float)step;
    route_forward(s, p, expert, weight);
    for (size_t i = 0; i < K; i++)
        sum += (double)weight[i] * (double)dw[i];
    return sum;
}

static void check(struct rng *rng, bool normalised)
{
    struct route_shape s = {E, K, normalised};
    float logits[E], p[E], weight[K], dw[K], d_logits[E], want[E];
    uint32_t expert[K];
    double sum = 0, total = 0;
    for (size_t i = 0; i < E; i++)
        logits[i] = p[i] = (float)rng_normal(rng);
    for (size_t i = 0; i < K; i++)
        dw[i] = (float)rng_normal(rng);
    route_forward(&s, p, expert, weight);
    size_t smaller = 0;
    for (size_t i = 0; i < E; i++) {
        total += (double)p[i];
        bool chosen = i == expert[0] || i == expert[1] || i == expert[2];
        float least = fminf(logits[expert[0]], fminf(logits[expert[1]], logits[expert[2]]));
        smaller += !chosen && logits[i] < least;
    }
    for (size_t i = 0; i < K; i++)
        sum += (double)weight[i];
    tap_ok(fabs(total - 1) < 1e-6, "probabilities add up to 1");
    tap_ok(smaller == E - K, "the largest are chosen");
    tap_ok(expert[0] < expert[1] && expert[1] < expert[2], "in ascending order");
    if (normalised)
        tap_ok(fabs(sum - 1) < 1e-6, "their weights add up to 1");
    else
        tap_ok(weight[1] == p[expert[1]], "their weights are the probabilities");
    route_backward(&s, p, expert, weight, dw, d_logits);
    for (size_t i = 0; i < E; i++)
        want[i] =
            (float)((along(&s, logits, dw, i, 1e-2) - along(&s, logits, dw, i, -1e-2)) / 2e-2);
    tap_close(normalised ? "gradient, normalised" : "gradient", d_logits, want, E, 1e-4);
}

int main(void)
{
    struct rng rng;
    rng_init(&rng, 4, 1);
    check(&rng, false);
    check(&rng, true);
    struct route_shape s = {4, 2, false};
    float same[] = {1, 1, 1, 1}, weight[2];
    uint32_t expert[2];
    route_forward(&s, same, expert, weight);
    tap_ok(expert[0] == 0 && expert[1] == 1, "of equal ones the first are chosen");
    return tap_done();
}
