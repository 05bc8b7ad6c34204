/* Binding: the checkpoint's tensors become views and vectors in the places where the decoder looks
 * for them. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

const struct tensor *decoder_stored_tensor(const struct decoder *d, const struct tensor_name *name)
{
    return names_tensor(d->checkpoint, name);
}

static struct matrix bind_expert(const struct decoder *d, enum slot slot, size_t layer,
                                 size_t expert)
{
    struct tensor_name name;
    names_describe_expert(&d->config, slot, layer, expert, &name);
    const struct tensor *t = decoder_stored_tensor(d, &name);
    bool gguf = checkpoint_gguf(d->checkpoint) != NULL;
    return (struct matrix){
        .dtype = t->dtype,
        .data = t->data,
        .rows = (size_t)name.rows,
        .cols = (size_t)name.cols,
        .row_bytes = t->bytes / (size_t)t->shape[0],
        .transposed = name.transposed && !gguf,
        .order = gguf ? name.gguf_rows : (struct row_order){0},
    };
}

static struct matrix bind_matrix(const struct decoder *d, enum slot slot, size_t layer)
{
    return bind_expert(d, slot, layer, 0);
}

float *decoder_stored_vector(const struct decoder *d, enum slot slot, size_t layer)
{
    struct tensor_name name;
    names_describe(&d->config, slot, layer, &name);
    const struct tensor *t = decoder_stored_tensor(d, &name);
    size_t n = (size_t)name.rows;
    float *stored = xcalloc(n, sizeof *stored), *out = xcalloc(n, sizeof *out);
    dtypes[t->dtype].to_float(t->data, stored, n);
    bool gguf = checkpoint_gguf(d->checkpoint) != NULL;
    for (size_t i = 0; i < n; i++)
        out[i] = stored[gguf ? matrix_stored_row(i, name.gguf_rows) : i];
    free(stored);
    return out;
}

static struct norm bind_norm(const struct decoder *d, enum slot slot, size_t layer)
{
    const struct model_config *c = &d->config;
    struct norm norm = {.centred = c->norm == NORM_LAYER, .eps = (float)c->norm_eps};
    if (!names_has(c, slot, layer))
        return norm;
    struct tensor_name name;
    names_describe(c, slot, layer, &name);
    norm.w = decoder_stored_vector(d, slot, layer);
    for (size_t i = 0; c->norm_plus_one && !checkpoint_gguf(d->checkpoint) && i < name.rows; i++)
        norm.w[i] += 1;
    if (names_has(c, SLOT_BIAS(slot), layer))
        norm.b = decoder_stored_vector(d, SLOT_BIAS(slot), layer);
    return norm;
}

/* A vector in a block format would have to be a whole number of blocks. */
static int check_vectors(const struct decoder *d, struct err *err)
{
    struct tensor_name name;
    for (size_t i = 0; i < names_count(&d->config); i++) {
        names_at(&d->config, i, &name);
        const struct tensor *t = decoder_stored_tensor(d, &name);
        if (name.n_dims == 1 && dtypes[t->dtype].block != 1)
            return err_set(err, "%s: tensor %s: a vector of type %s", t->file, t->name,
                           dtypes[t->dtype].name);
    }
    return 0;
}

static const enum slot norm_slots[] = {SLOT_ATTN_NORM,     SLOT_ATTN_POST_NORM, SLOT_MLP_NORM,
                                       SLOT_MLP_POST_NORM, SLOT_Q_NORM,         SLOT_K_NORM};

static struct experts bind_experts(const struct decoder *d, size_t layer)
{
    struct experts x = {0};
    struct matrix **const matrices[] = {&x.gate, &x.up, &x.down};
    if (!names_has(&d->config, SLOT_ROUTER, layer))
        return x;
    x.router = bind_matrix(d, SLOT_ROUTER, layer);
    for (size_t k = 0; k < ARRAY_SIZE(matrices); k++) {
        *matrices[k] = xcalloc(d->config.n_experts, sizeof **matrices[k]);
        for (size_t e = 0; e < d->config.n_experts; e++)
            (*matrices[k])[e] = bind_expert(d, (enum slot)(SLOT_EXPERT_GATE + k), layer, e);
    }
    return x;
}

static void bind_layer(struct decoder *d, size_t i)
{
    struct layer *l = &d->layers[i];
    uint8_t flags = d->config.layer_flags[i];
    l->window = flags & LAYER_WINDOW ? d->config.window : ATTENTION_ALL;
    l->rotation = decoder_rotation(d, flags);
    l->experts = bind_experts(d, i);
    for (size_t k = 0; k < ARRAY_SIZE(norm_slots); k++)
        l->norm[norm_slots[k]] = bind_norm(d, norm_slots[k], i);
    for (enum slot s = SLOT_LAYER_FIRST; s < SLOT_WEIGHTS; s++) {
        if (!slot_is_linear(s) || !names_has(&d->config, s, i))
            continue;
        l->w[s] = bind_matrix(d, s, i);
        if (names_has(&d->config, SLOT_BIAS(s), i))
            l->bias[s] = decoder_stored_vector(d, SLOT_BIAS(s), i);
    }
}

int decoder_bind(struct decoder *d, struct err *err)
{
    const struct model_config *c = &d->config;
    if (check_vectors(d, err))
        return -1;
    d->embed = bind_matrix(d, SLOT_EMBED, 0);
    d->head = c->tied ? d->embed : bind_matrix(d, SLOT_HEAD, 0);
    if (c->learned_positions)
        d->position_embed = bind_matrix(d, SLOT_POSITIONS, 0);
    d->norm = bind_norm(d, SLOT_NORM, 0);
    d->layers = xcalloc(c->n_layers, sizeof *d->layers);
    for (size_t i = 0; i < c->n_layers; i++)
        bind_layer(d, i);
    return 0;
}

void decoder_unbind(struct decoder *d)
{
    for (size_t i = 0; d->layers && i < d->config.n_layers; i++) {
        struct layer *l = &d->layers[i];
        free(l->experts.gate);
        free(l->experts.up);
        free(l->experts.down);
        for (enum slot s = 0; s < SLOT_WEIGHTS; s++) {
            free(l->norm[s].w);
            free(l->norm[s].b);
            free(l->bias[s]);
        }
    }
    free(d->layers);
    free(d->norm.w);
    free(d->norm.b);
}
