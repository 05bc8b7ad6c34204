#include "compute/optimizer.h"

#include "base/mem.h"
#include "compute/lion.h"

const char *const optimizer_choices[] = {"adamw", "lion", NULL};

int optimizer_init(struct optimizer *o, const struct optimizer_settings *settings, size_t n,
                   struct err *err)
{
    o->kind = settings->kind;
    if (o->kind == OPTIMIZER_ADAMW)
        return adamw_init(&o->adamw, n, settings->beta1, settings->beta2, settings->eps,
                          settings->weight_decay, err);
    o->adamw = (struct adamw){.beta1 = settings->beta1,
                              .beta2 = settings->beta2,
                              .weight_decay = settings->weight_decay,
                              .n = n};
    o->adamw.m = mem_array(n, sizeof *o->adamw.m, "optimiser state", err);
    return o->adamw.m ? 0 : -1;
}

void optimizer_release(struct optimizer *o)
{
    adamw_release(&o->adamw);
}

size_t optimizer_bytes(enum optimizer_kind kind, size_t n)
{
    return n * sizeof(float) * (kind == OPTIMIZER_ADAMW ? 2 : 1);
}

void optimizer_begin(struct optimizer *o)
{
    if (o->kind == OPTIMIZER_ADAMW)
        adamw_begin(&o->adamw);
    else
        o->adamw.step++;
}

void optimizer_update(struct optimizer *o, size_t first, size_t count, float *p, const float *g,
                      double scale, double lr)
{
    const struct lion lion = {o->adamw.beta1, o->adamw.beta2, o->adamw.weight_decay};
    if (o->kind == OPTIMIZER_ADAMW)
        adamw_update_part(&o->adamw, first, count, p, g, scale, lr);
    else
        lion_update(&lion, p + first, o->adamw.m + first, g + first, count, scale, lr);
}
