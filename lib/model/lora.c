#include "model/lora.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

size_t lora_weight_size(const struct lora_weight *w)
{
    return w->cols ? w->rows * w->cols : w->rows;
}

static size_t pair_size(const struct lora *l, const struct lora_pair *p)
{
    return p->r * (p->in + p->out) + (l->dora ? p->out : 0);
}

/* The next n of an array that is or isn't there. */
static float *take(float *array, size_t *at, size_t n)
{
    float *p = array ? array + *at : NULL;
    *at += n;
    return p;
}

static void point_pair(const struct lora *l, struct lora_pair *p, float *params, size_t *at)
{
    p->a = take(params, at, p->r * p->in);
    p->b = take(params, at, p->out * p->r);
    p->magnitude = l->dora ? take(params, at, p->out) : NULL;
}

static void point_gradients(const struct lora *l, struct lora_pair *p, size_t *at)
{
    p->grad_a = take(l->grads, at, p->r * p->in);
    p->grad_b = take(l->grads, at, p->out * p->r);
    p->grad_magnitude = l->dora ? take(l->grads, at, p->out) : NULL;
}

static int place_gains(const struct lora *l, struct lora_pair *p, struct err *err)
{
    if (!l->dora)
        return 0;
    p->gain = mem_array(p->out, sizeof *p->gain, "row norms", err);
    p->inverse = mem_array(p->out, sizeof *p->inverse, "row norms", err);
    p->square = mem_array(p->out, sizeof *p->square, "row norms", err);
    return p->gain && p->inverse && p->square ? 0 : -1;
}

/* Allocates parameters for what is described, and points it there. */
static int place(struct lora *l, const struct model_config *config, bool training, struct err *err)
{
    size_t places = config->n_layers * SLOT_COUNT, at = 0, grads_at = 0;
    l->pair_lookup = xcalloc(places, sizeof *l->pair_lookup);
    l->weight_lookup = xcalloc(places, sizeof *l->weight_lookup);
    for (size_t i = 0; i < l->n_pairs; i++)
        l->n_params += pair_size(l, &l->pairs[i]);
    for (size_t i = 0; i < l->n_weights; i++)
        l->n_params += lora_weight_size(&l->weights[i]);
    l->params = mem_array(l->n_params, sizeof(float), "parameters", err);
    if (l->params && training)
        l->grads = mem_array(l->n_params, sizeof(float), "gradients", err);
    if (!l->params || (training && !l->grads))
        return -1;
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        point_pair(l, p, l->params, &at);
        point_gradients(l, p, &grads_at);
        l->pair_lookup[p->layer * SLOT_COUNT + p->slot] = p;
        if (place_gains(l, p, err))
            return -1;
    }
    for (size_t i = 0; i < l->n_weights; i++) {
        struct lora_weight *w = &l->weights[i];
        w->values = take(l->params, &at, lora_weight_size(w));
        w->grad = take(l->grads, &grads_at, lora_weight_size(w));
        l->weight_lookup[w->layer * SLOT_COUNT + w->slot] = w;
    }
    return 0;
}

static void copy_values(float *to, const float *from, size_t n)
{
    if (from)
        memcpy(to, from, n * sizeof *to);
}

/* The way back goes through experts and router, but has no gradients for them. */
static int check_frozen(const struct model_config *config, const struct lora_parts *parts,
                        struct err *err)
{
    for (size_t i = 0; i < parts->n_weights; i++) {
        const struct lora_weight *w = &parts->weights[i];
        struct tensor_name name;
        if (w->slot != SLOT_ROUTER && !slot_is_of_expert(w->slot))
            continue;
        names_describe(config, w->slot, w->layer, &name);
        return err_set(err,
                       "%s: the router and the experts of a mixture can't be trained; leave "
                       "them out",
                       name.module);
    }
    return 0;
}

int lora_new(struct lora **out, const struct model_config *config, const struct lora_parts *parts,
             bool training, struct err *err)
{
    *out = NULL;
    if (check_frozen(config, parts, err))
        return -1;
    struct lora *l = xcalloc(1, sizeof *l);
    l->dora = parts->dora;
    l->version = 1;
    l->n_pairs = parts->n_pairs;
    l->pairs = xcalloc(parts->n_pairs, sizeof *l->pairs);
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &parts->pairs[i];
        l->pairs[i] = (struct lora_pair){.slot = p->slot,
                                         .layer = p->layer,
                                         .in = p->in,
                                         .out = p->out,
                                         .r = p->r,
                                         .scale = p->scale,
                                         .fixed = p->fixed};
    }
    l->n_weights = parts->n_weights;
    l->weights = xcalloc(parts->n_weights, sizeof *l->weights);
    for (size_t i = 0; i < l->n_weights; i++)
        l->weights[i] = parts->weights[i];
    if (place(l, config, training, err)) {
        lora_free(l);
        return -1;
    }
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *from = &parts->pairs[i];
        struct lora_pair *p = &l->pairs[i];
        copy_values(p->a, from->a, p->r * p->in);
        copy_values(p->b, from->b, p->out * p->r);
        copy_values(p->magnitude, l->dora ? from->magnitude : NULL, p->out);
    }
    for (size_t i = 0; i < l->n_weights; i++)
        copy_values(l->weights[i].values, parts->weights[i].values,
                    lora_weight_size(&l->weights[i]));
    *out = l;
    return 0;
}

int lora_from_pairs(struct lora **l, const struct model_config *config,
                    const struct lora_pair *pairs, size_t n, bool training, struct err *err)
{
    const struct lora_parts parts = {.pairs = pairs, .n_pairs = n};
    return lora_new(l, config, &parts, training, err);
}

void lora_free(struct lora *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_pairs; i++) {
        free(l->pairs[i].gain);
        free(l->pairs[i].inverse);
        free(l->pairs[i].square);
    }
    free(l->pair_lookup);
    free(l->weight_lookup);
    free(l->grads);
    free(l->params);
    free(l->pairs);
    free(l->weights);
    free(l);
}

void lora_changed(struct lora *l)
{
    l->version++;
}

const struct lora_pair *lora_find(const struct lora *l, size_t layer, enum slot slot)
{
    return l ? l->pair_lookup[layer * SLOT_COUNT + slot] : NULL;
}

const struct lora_weight *lora_find_weight(const struct lora *l, size_t layer, enum slot slot)
{
    return l ? l->weight_lookup[layer * SLOT_COUNT + slot] : NULL;
}

size_t lora_max_rank(const struct lora *l)
{
    size_t most = 0;
    for (size_t i = 0; l && i < l->n_pairs; i++)
        if (l->pairs[i].r > most)
            most = l->pairs[i].r;
    return most;
}

/* Embeddings are below all layers, the last norm and the output matrix above them. */
static size_t first_layer_of(const struct lora_weight *w, size_t n_layers)
{
    if (slot_in_layer(w->slot))
        return w->layer;
    return slot_owner(w->slot) == SLOT_NORM || w->slot == SLOT_HEAD ? n_layers : 0;
}

size_t lora_first_layer(const struct lora *l, size_t n_layers)
{
    size_t first = n_layers;
    for (size_t i = 0; i < l->n_pairs; i++)
        first = size_min(first, l->pairs[i].layer);
    for (size_t i = 0; i < l->n_weights; i++)
        first = size_min(first, first_layer_of(&l->weights[i], n_layers));
    return first;
}

struct lora lora_view(const struct lora *l, float *params)
{
    struct lora view = *l;
    size_t at = 0;
    view.params = params;
    view.grads = NULL;
    view.pair_lookup = NULL;
    view.weight_lookup = NULL;
    view.pairs = xcalloc(l->n_pairs, sizeof *view.pairs);
    view.weights = xcalloc(l->n_weights, sizeof *view.weights);
    for (size_t i = 0; i < l->n_pairs; i++) {
        view.pairs[i] = l->pairs[i];
        point_pair(&view, &view.pairs[i], params, &at);
    }
    for (size_t i = 0; i < l->n_weights; i++) {
        view.weights[i] = l->weights[i];
        view.weights[i].values = take(params, &at, lora_weight_size(&l->weights[i]));
    }
    return view;
}

void lora_view_release(struct lora *view)
{
    free(view->pairs);
    free(view->weights);
    *view = (struct lora){0};
}

void lora_clear_fixed(struct lora *l)
{
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        const size_t trained = p->r - p->fixed;
        if (!p->fixed)
            continue;
        memset(p->grad_a + trained * p->in, 0, p->fixed * p->in * sizeof *p->grad_a);
        for (size_t row = 0; row < p->out; row++)
            memset(p->grad_b + row * p->r + trained, 0, p->fixed * sizeof *p->grad_b);
    }
}

void lora_stretches(const struct lora *l,
                    void (*fn)(void *arg, size_t first, size_t n, bool raised), void *arg)
{
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        const size_t trained = p->r - p->fixed, b = (size_t)(p->b - l->params);
        fn(arg, (size_t)(p->a - l->params), trained * p->in, false);
        if (!p->fixed)
            fn(arg, b, p->out * p->r, true);
        for (size_t row = 0; p->fixed && row < p->out; row++)
            fn(arg, b + row * p->r, trained, true);
        if (p->magnitude)
            fn(arg, (size_t)(p->magnitude - l->params), p->out, true);
    }
    for (size_t i = 0; i < l->n_weights; i++) {
        const struct lora_weight *w = &l->weights[i];
        fn(arg, (size_t)(w->values - l->params), lora_weight_size(w), !w->cols);
    }
}
