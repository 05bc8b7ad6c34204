#include "compute/lion.h"

void lion_update(const struct lion *o, float *restrict p, float *restrict m,
                 const float *restrict g, size_t n, double scale, double lr)
{
    const float decay = (float)(1 - lr * o->weight_decay), rate = (float)lr;
    const float b1 = (float)o->beta1, new1 = (float)(1 - o->beta1);
    const float b2 = (float)o->beta2, new2 = (float)(1 - o->beta2), factor = (float)scale;
    for (size_t i = 0; i < n; i++) {
        float d = factor * g[i], c = b1 * m[i] + new1 * d;
        p[i] = decay * p[i] - rate * (float)((c > 0) - (c < 0));
        m[i] = b2 * m[i] + new2 * d;
    }
}
