/* An adapter of a folder as the decoder computes with it. */
#include "model/adapter.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/names.h"

static int check_finite(const struct tensor *t, const float *x, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return err_set(err, "%s: tensor %s holds a NaN or an infinity", t->file, t->name);
    return 0;
}

static int fill_pair(struct lora_pair *to, const struct adapter_pair *p,
                     const struct model_config *config, struct err *err)
{
    struct buf b = BUF_INIT;
    struct tensor_name name;
    buf_addf(&b, "%s.weight", p->module);
    names_find_hf(config, b.p, &name);
    buf_release(&b);
    *to = (struct lora_pair){.slot = name.slot,
                             .layer = name.layer,
                             .in = p->in,
                             .out = p->out,
                             .r = p->r,
                             .scale = (float)p->scale};
    to->a = mem_array(p->r * p->in, sizeof *to->a, p->module, err);
    to->b = mem_array(p->out * p->r, sizeof *to->b, p->module, err);
    if (!to->a || !to->b)
        return -1;
    adapter_pair_values(p, to->a, to->b);
    if (check_finite(p->a, to->a, p->r * p->in, err) ||
        check_finite(p->b, to->b, p->out * p->r, err))
        return -1;
    return 0;
}

/* Modules are sorted by name, in which layer 10 comes before layer 2. */
static int compare_places(const void *a, const void *b)
{
    const struct lora_pair *x = a, *y = b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

int adapter_lora(struct lora **l, const struct adapter *a, const struct model_config *config,
                 bool training, struct err *err)
{
    *l = NULL;
    if (adapter_check(a, config, err))
        return -1;
    if (adapter_whole_count(a))
        return err_set(err,
                       "%s: whole weights (modules_to_save: %s) are not supported here; merge it",
                       adapter_path(a), adapter_whole_at(a, 0)->name);
    struct lora_pair *pairs = xcalloc(adapter_count(a), sizeof *pairs);
    int status = 0;
    for (size_t i = 0; i < adapter_count(a) && !status; i++)
        status = fill_pair(&pairs[i], adapter_at(a, i), config, err);
    if (!status)
        qsort(pairs, adapter_count(a), sizeof *pairs, compare_places);
    if (!status)
        status = lora_from_pairs(l, config, pairs, adapter_count(a), training, err);
    for (size_t i = 0; i < adapter_count(a); i++) {
        free(pairs[i].a);
        free(pairs[i].b);
    }
    free(pairs);
    return status;
}
