/* A base whose linear layers are held in fewer bits than its file has (QLoRA). */
#include <stdlib.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

/* In place of what the file has, whose pages can go. */
static int hold_matrix(struct decoder *d, size_t layer, enum slot slot, bool doubled,
                       struct err *err)
{
    struct nf4 *q = &d->quantised[layer * SLOT_COUNT + slot];
    struct matrix *m = &d->layers[layer].w[slot];
    struct tensor_name name;
    names_describe(&d->config, slot, layer, &name);
    if (matrix_to_nf4(m, doubled, d->pool, q, err))
        return err_prefix(err, "%s: tensor %s", checkpoint_path(d->checkpoint),
                          checkpoint_gguf(d->checkpoint) ? name.gguf : name.hf);
    *m = (struct matrix){.rows = m->rows, .cols = m->cols, .nf4 = q};
    tensor_done(decoder_stored_tensor(d, &name));
    return 0;
}

int decoder_quantise(struct decoder *d, enum base_type type, struct err *err)
{
    if (type == BASE_STORED)
        return 0;
    d->quantised = xcalloc(d->config.n_layers * SLOT_COUNT, sizeof *d->quantised);
    for (size_t i = 0; i < d->config.n_layers; i++)
        for (enum slot s = SLOT_LAYER_FIRST; s < SLOT_COUNT; s++)
            if (slot_is_linear(s) && names_has(&d->config, s, i) &&
                hold_matrix(d, i, s, type == BASE_NF4_DOUBLE, err))
                return -1;
    return 0;
}

size_t decoder_base_bytes(const struct decoder *d)
{
    size_t bytes = 0;
    for (size_t i = 0; i < checkpoint_count(d->checkpoint); i++)
        bytes += checkpoint_at(d->checkpoint, i)->bytes;
    for (size_t i = 0; d->quantised && i < d->config.n_layers * SLOT_COUNT; i++) {
        const struct nf4 *q = &d->quantised[i];
        struct tensor_name name;
        if (!q->n)
            continue;
        names_describe(&d->config, (enum slot)(i % SLOT_COUNT), i / SLOT_COUNT, &name);
        bytes -= decoder_stored_tensor(d, &name)->bytes;
        bytes += nf4_bytes(q->n, q->absmax_codes != NULL);
    }
    return bytes;
}

void decoder_release_quantised(struct decoder *d)
{
    for (size_t i = 0; d->quantised && i < d->config.n_layers * SLOT_COUNT; i++)
        nf4_release(&d->quantised[i]);
    free(d->quantised);
    d->quantised = NULL;
}
