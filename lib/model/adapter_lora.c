/* An adapter of a folder as the decoder computes with it. */
#include "model/adapter.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "compute/matrix.h"
#include "model/names.h"

static int check_finite(const struct tensor *t, const float *x, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return err_set(err, "%s: tensor %s holds a NaN or an infinity", t->file, t->name);
    return 0;
}

static float *load(const struct tensor *t, size_t n, struct err *err)
{
    float *x = mem_array(n, sizeof *x, t->name, err);
    if (!x)
        return NULL;
    dtypes[t->dtype].to_float(t->data, x, n);
    if (!check_finite(t, x, n, err))
        return x;
    free(x);
    return NULL;
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
    to->a = load(p->a, p->r * p->in, err);
    to->b = to->a ? load(p->b, p->out * p->r, err) : NULL;
    to->magnitude = to->b && p->magnitude ? load(p->magnitude, p->out, err) : NULL;
    return to->b && (!p->magnitude || to->magnitude) ? 0 : -1;
}

static int fill_weight(struct lora_weight *to, const struct adapter_whole *whole,
                       const struct model_config *config, struct err *err)
{
    struct tensor_name name;
    names_find_hf(config, whole->name, &name);
    *to = (struct lora_weight){.slot = name.slot,
                               .layer = name.layer,
                               .rows = (size_t)name.rows,
                               .cols = (size_t)name.cols};
    to->values = load(whole->tensor, lora_weight_size(to), err);
    if (!to->values || !name.transposed)
        return to->values ? 0 : -1;
    float *stored = to->values;
    to->values = matrix_transposed(stored, to->cols, to->rows, name.hf, err);
    free(stored);
    return to->values ? 0 : -1;
}

/* Names are sorted, with layer 10 before layer 2. */
static int compare_places(size_t layer_a, enum slot a, size_t layer_b, enum slot b)
{
    if (layer_a != layer_b)
        return layer_a < layer_b ? -1 : 1;
    return (a > b) - (a < b);
}

static int compare_pairs(const void *a, const void *b)
{
    const struct lora_pair *x = a, *y = b;
    return compare_places(x->layer, x->slot, y->layer, y->slot);
}

static int compare_weights(const void *a, const void *b)
{
    const struct lora_weight *x = a, *y = b;
    return compare_places(x->layer, x->slot, y->layer, y->slot);
}

int adapter_lora(struct lora **l, const struct adapter *a, const struct model_config *config,
                 bool training, struct err *err)
{
    *l = NULL;
    if (adapter_check(a, config, err))
        return -1;
    size_t n_pairs = adapter_count(a), n_weights = adapter_whole_count(a);
    struct lora_pair *pairs = xcalloc(n_pairs, sizeof *pairs);
    struct lora_weight *weights = xcalloc(n_weights, sizeof *weights);
    int status = 0;
    for (size_t i = 0; i < n_pairs && !status; i++)
        status = fill_pair(&pairs[i], adapter_at(a, i), config, err);
    for (size_t i = 0; i < n_weights && !status; i++)
        status = fill_weight(&weights[i], adapter_whole_at(a, i), config, err);
    if (!status) {
        qsort(pairs, n_pairs, sizeof *pairs, compare_pairs);
        qsort(weights, n_weights, sizeof *weights, compare_weights);
        const struct lora_parts parts = {pairs, n_pairs, weights, n_weights,
                                         n_pairs && pairs[0].magnitude};
        status = lora_new(l, config, &parts, training, err);
    }
    for (size_t i = 0; i < n_pairs; i++) {
        free(pairs[i].a);
        free(pairs[i].b);
        free(pairs[i].magnitude);
    }
    for (size_t i = 0; i < n_weights; i++)
        free(weights[i].values);
    free(pairs);
    free(weights);
    return status;
}
