#include "compute/adamw.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

int adamw_init(struct adamw *o, size_t n, double beta1, double beta2, double eps,
               double weight_decay, struct err *err)
{
    *o = (struct adamw){
        .beta1 = beta1, .beta2 = beta2, .eps = eps, .weight_decay = weight_decay, .n = n};
    o->m = mem_array(n, sizeof *o->m, "optimiser state", err);
    o->v = mem_array(n, sizeof *o->v, "optimiser state", err);
    if (o->m && o->v)
        return 0;
    adamw_release(o);
    return -1;
}

void adamw_release(struct adamw *o)
{
    free(o->m);
    free(o->v);
    *o = (struct adamw){0};
}

void adamw_begin(struct adamw *o)
{
    o->step++;
    o->correction1 = 1 - pow(o->beta1, (double)o->step);
    o->correction2 = 1 - pow(o->beta2, (double)o->step);
}

void adamw_update_part(struct adamw *o, size_t first, size_t count, float *p, const float *g,
                       double scale, double lr)
{
    /* The scalars are rounded to float once, as torch does, and not for each parameter. */
    const float decay = (float)(1 - lr * o->weight_decay);
    const float rate = (float)(lr / o->correction1), root = (float)sqrt(o->correction2);
    const float b2 = (float)o->beta2, new1 = (float)(1 - o->beta1), new2 = (float)(1 - o->beta2);
    const float eps = (float)o->eps, factor = (float)scale;
    float *restrict m = o->m, *restrict v = o->v, *restrict w = p;
    for (size_t i = first; i < first + count; i++) {
        float d = factor * g[i];
        m[i] += new1 * (d - m[i]);
        v[i] = b2 * v[i] + new2 * d * d;
        w[i] = decay * w[i] - rate * m[i] / (sqrtf(v[i]) / root + eps);
    }
}

void adamw_update(struct adamw *o, float *p, const float *g, double scale, double lr)
{
    adamw_begin(o);
    adamw_update_part(o, 0, o->n, p, g, scale, lr);
}

double gradient_norm(const float *g, size_t n)
{
    enum { LANES = 8 }; /* sums that don't wait for each other */
    double sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += (double)g[i + k] * g[i + k];
    for (size_t k = 0; i < n; i++, k++)
        sums[k] += (double)g[i] * g[i];
    double sum = 0;
    for (size_t k = 0; k < LANES; k++)
        sum += sums[k];
    return sqrt(sum);
}

double gradient_clip(double norm, double most)
{
    if (most <= 0)
        return 1;
    double factor = most / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}
