/* The tables of rotary embeddings: cosines and sines of every position. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

static void release(struct rotation *r)
{
    bool two = r->cos_[1] != r->cos_[0];
    free(r->cos_[0]);
    free(r->sin_[0]);
    if (two) {
        free(r->cos_[1]);
        free(r->sin_[1]);
    }
    r->cos_[0] = r->cos_[1] = r->sin_[0] = r->sin_[1] = NULL;
}

/* The angle is rounded to float32 first, as transformers does. */
static void fill(const struct rotation *r, bool beyond, size_t n)
{
    float *inv_freq = xcalloc(r->half, sizeof *inv_freq), *cos_ = r->cos_[beyond],
          *sin_ = r->sin_[beyond], factor = (float)r->rope->attention_factor;
    rope_inv_freq(r->rope, 2 * r->half, beyond, inv_freq);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < r->half; i++) {
            float angle = (float)t * inv_freq[i];
            cos_[t * r->half + i] = (float)cos((double)angle) * factor;
            sin_[t * r->half + i] = (float)sin((double)angle) * factor;
        }
    free(inv_freq);
}

static int build(struct rotation *r, size_t n, struct err *err)
{
    size_t tables = rope_depends_on_length(r->rope) ? 2 : 1;
    release(r);
    for (size_t i = 0; i < 2; i++) {
        if (i == tables) {
            r->cos_[i] = r->cos_[0];
            r->sin_[i] = r->sin_[0];
            break;
        }
        r->cos_[i] = mem_array(n * r->half, sizeof(float), "rotary table", err);
        r->sin_[i] = r->cos_[i] ? mem_array(n * r->half, sizeof(float), "rotary table", err) : NULL;
        if (!r->sin_[i])
            return -1;
        fill(r, i, n);
    }
    return 0;
}

int decoder_reserve_positions(struct decoder *d, size_t n, struct err *err)
{
    if (n <= d->n_positions)
        return 0;
    if (n < 2 * d->n_positions)
        n = 2 * d->n_positions;
    d->n_positions = 0;
    for (size_t i = 0; i < ARRAY_SIZE(d->rotations); i++)
        if (d->rotations[i].rope && build(&d->rotations[i], n, err))
            return -1;
    d->n_positions = n;
    return 0;
}

void decoder_release_positions(struct decoder *d)
{
    for (size_t i = 0; i < ARRAY_SIZE(d->rotations); i++)
        release(&d->rotations[i]);
}

const struct rotation *decoder_rotation(struct decoder *d, uint8_t layer_flags)
{
    struct model_config *c = &d->config;
    bool local = layer_flags & LAYER_LOCAL_ROPE;
    struct rotation *r = &d->rotations[local];
    if (!c->rotary_dim || layer_flags & LAYER_NO_ROPE)
        return NULL;
    r->rope = local ? &c->local_rope : &c->rope;
    r->half = c->rotary_dim / 2;
    return r;
}
