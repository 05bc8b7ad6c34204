#include "model/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"

/* Random streams of an adapter's matrices; other users of the seed keep away from these. */
static const uint64_t init_stream = (uint64_t)0x6c6f7261 << 32;

static size_t pair_size(const struct lora_pair *p)
{
    return p->r * (p->in + p->out);
}

/* Allocates parameters for pairs that are described, and points them there. */
static int place(struct lora *l, const struct model_config *config, bool training, struct err *err)
{
    l->lookup = xcalloc(config->n_layers * SLOT_COUNT, sizeof *l->lookup);
    for (size_t i = 0; i < l->n_pairs; i++)
        l->n_params += pair_size(&l->pairs[i]);
    l->params = mem_array(l->n_params, sizeof(float), "adapter", err);
    if (l->params && training)
        l->grads = mem_array(l->n_params, sizeof(float), "gradients of the adapter", err);
    if (!l->params || (training && !l->grads))
        return -1;
    size_t at = 0;
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        size_t b_at = at + p->r * p->in;
        p->a = l->params + at;
        p->b = l->params + b_at;
        p->grad_a = training ? l->grads + at : NULL;
        p->grad_b = training ? l->grads + b_at : NULL;
        at += pair_size(p);
        l->lookup[p->layer * SLOT_COUNT + p->slot] = p;
    }
    return 0;
}

static bool is_target(const struct lora_options *o, const char *module)
{
    for (size_t i = 0; i < o->n_targets; i++)
        if (!strcmp(o->targets[i], "all-linear") || names_ends_in(module, o->targets[i]))
            return true;
    return false;
}

static int check_targets(const struct model_config *config, const struct lora_options *o,
                         struct err *err)
{
    for (size_t i = 0; i < o->n_targets; i++) {
        bool found = !strcmp(o->targets[i], "all-linear");
        struct tensor_name name;
        for (size_t k = 0; k < names_count(config) && !found; k++) {
            names_at(config, k, &name);
            found = name.linear && names_ends_in(name.module, o->targets[i]);
        }
        if (found)
            continue;
        struct buf known = BUF_INIT;
        for (enum slot s = 0; s < SLOT_COUNT; s++)
            if (slot_is_linear(s) && names_has(config, s, 0))
                buf_addf(&known, "%s, ", names_linear(config, s));
        err_set(err, "target \"%s\" is no linear layer of the model (%sall-linear)", o->targets[i],
                known.p);
        buf_release(&known);
        return -1;
    }
    return 0;
}

int lora_new(struct lora **out, const struct model_config *config, const struct lora_options *o,
             struct err *err)
{
    *out = NULL;
    if (o->rank < 1 || o->rank > 4096)
        return err_set(err, "a rank of %zu is not between 1 and 4096", o->rank);
    if (check_targets(config, o, err))
        return -1;
    struct lora *l = xcalloc(1, sizeof *l);
    size_t cap = 0;
    struct tensor_name name;
    l->dropout = o->dropout;
    for (size_t i = 0; i < names_count(config); i++) {
        names_at(config, i, &name);
        if (!name.linear || !is_target(o, name.module))
            continue;
        ARRAY_GROW(l->pairs, l->n_pairs, cap);
        l->pairs[l->n_pairs++] = (struct lora_pair){
            .slot = name.slot,
            .layer = name.layer,
            .in = name.cols,
            .out = name.rows,
            .r = o->rank,
            .scale = (float)(o->alpha / (o->rslora ? sqrt((double)o->rank) : (double)o->rank)),
        };
    }
    if (place(l, config, true, err)) {
        lora_free(l);
        return -1;
    }
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        struct rng rng;
        rng_init(&rng, o->seed, init_stream + slot_stream(p->slot, p->layer));
        double bound = 1 / sqrt((double)p->in);
        for (size_t k = 0; k < p->r * p->in; k++)
            p->a[k] = (float)((2 * rng_uniform(&rng) - 1) * bound);
    }
    *out = l;
    return 0;
}

int lora_from_pairs(struct lora **out, const struct model_config *config,
                    const struct lora_pair *pairs, size_t n, bool training, struct err *err)
{
    *out = NULL;
    struct lora *l = xcalloc(1, sizeof *l);
    l->pairs = xcalloc(n, sizeof *l->pairs);
    l->n_pairs = n;
    memcpy(l->pairs, pairs, n * sizeof *pairs);
    if (place(l, config, training, err)) {
        lora_free(l);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        struct lora_pair *p = &l->pairs[i];
        memcpy(p->a, pairs[i].a, p->r * p->in * sizeof *p->a);
        memcpy(p->b, pairs[i].b, p->out * p->r * sizeof *p->b);
    }
    *out = l;
    return 0;
}

void lora_free(struct lora *l)
{
    if (!l)
        return;
    free(l->lookup);
    free(l->grads);
    free(l->params);
    free(l->pairs);
    free(l);
}

const struct lora_pair *lora_find(const struct lora *l, size_t layer, enum slot slot)
{
    return l ? l->lookup[layer * SLOT_COUNT + slot] : NULL;
}

size_t lora_max_rank(const struct lora *l)
{
    size_t most = 0;
    for (size_t i = 0; l && i < l->n_pairs; i++)
        if (l->pairs[i].r > most)
            most = l->pairs[i].r;
    return most;
}

size_t lora_first_layer(const struct lora *l, size_t n_layers)
{
    size_t first = n_layers;
    for (size_t i = 0; i < l->n_pairs; i++)
        if (l->pairs[i].layer < first)
            first = l->pairs[i].layer;
    return first;
}
