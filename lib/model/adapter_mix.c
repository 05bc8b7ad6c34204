#include "model/adapter_mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "model/adapter.h"
#include "model/adapter_gguf.h"

void adapter_spec_parse(const char *spec, char **path, double *weight)
{
    struct stat st;
    char *end = NULL;
    const char *colon = strrchr(spec, ':');
    double v = colon ? strtod(colon + 1, &end) : 1;
    bool split = colon && end != colon + 1 && !*end && isfinite(v) && stat(spec, &st) != 0;
    *weight = split ? v : 1;
    *path = xmemdup0(spec, split ? (size_t)(colon - spec) : strlen(spec));
}

/* Rows of A under those that are there, columns of B beside them. */
static void stack(struct lora_pair *sum, size_t at, const struct lora_pair *p, double factor)
{
    memcpy(sum->a + at * p->in, p->a, p->r * p->in * sizeof *p->a);
    for (size_t row = 0; row < p->out; row++)
        for (size_t k = 0; k < p->r; k++)
            sum->b[row * sum->r + at + k] = (float)(factor * p->b[row * p->r + k]);
}

/* The sum at one matrix; r = 0 if no part changes it. */
static int mix_matrix(struct lora_pair *sum, size_t layer, enum slot slot,
                      struct lora *const *parts, const double *weights, size_t n, struct err *err)
{
    *sum = (struct lora_pair){.slot = slot, .layer = layer, .scale = 1};
    for (size_t i = 0; i < n; i++) {
        const struct lora_pair *p = lora_find(parts[i], layer, slot);
        if (!p)
            continue;
        sum->in = p->in;
        sum->out = p->out;
        sum->r += p->r;
    }
    if (!sum->r)
        return 0;
    sum->a = mem_array(sum->r * sum->in, sizeof *sum->a, "adapters", err);
    sum->b = mem_array(sum->r * sum->out, sizeof *sum->b, "adapters", err);
    if (!sum->a || !sum->b)
        return -1;
    for (size_t i = 0, at = 0; i < n; i++) {
        const struct lora_pair *p = lora_find(parts[i], layer, slot);
        if (!p)
            continue;
        stack(sum, at, p, weights[i] * p->scale);
        at += p->r;
    }
    return 0;
}

int lora_mix(struct lora **l, const struct model_config *config, struct lora *const *parts,
             const double *weights, size_t n, struct err *err)
{
    struct lora_pair *pairs = xcalloc(config->n_layers * SLOT_COUNT, sizeof *pairs);
    size_t n_pairs = 0;
    int status = 0;
    *l = NULL;
    for (size_t i = 0; i < n && !status; i++)
        if (parts[i]->dora || parts[i]->n_weights)
            status =
                err_set(err, "adapters with DoRA or whole weights (modules_to_save, bias) have "
                             "no sum of low rank: give one, unweighted, or merge them");
    for (size_t layer = 0; layer < config->n_layers && !status; layer++)
        for (enum slot slot = 0; slot < SLOT_COUNT && !status; slot++) {
            status = mix_matrix(&pairs[n_pairs], layer, slot, parts, weights, n, err);
            n_pairs += pairs[n_pairs].r > 0;
        }
    if (!status)
        status = lora_from_pairs(l, config, pairs, n_pairs, false, err);
    for (size_t i = 0; i < config->n_layers * SLOT_COUNT; i++) {
        free(pairs[i].a);
        free(pairs[i].b);
    }
    free(pairs);
    return status;
}

static int load_part(struct lora **l, double *weight, const char *spec,
                     const struct model_config *config, struct err *err)
{
    struct adapter *a = NULL;
    struct adapter_gguf *g = NULL;
    char *path;
    adapter_spec_parse(spec, &path, weight);
    bool gguf = adapter_is_gguf(path);
    int status = gguf ? adapter_gguf_load(&g, path, config, err) : adapter_load(&a, path, err);
    free(path);
    if (!status)
        status =
            gguf ? adapter_gguf_lora(l, g, config, err) : adapter_lora(l, a, config, false, err);
    adapter_free(a);
    adapter_gguf_free(g);
    return status;
}

int adapter_mix_load(struct lora **l, const char *const *specs, size_t n,
                     const struct model_config *config, struct err *err)
{
    struct lora **parts = xcalloc(n, sizeof(struct lora *));
    double *weights = xcalloc(n, sizeof *weights);
    int status = 0;
    *l = NULL;
    for (size_t i = 0; i < n && !status; i++)
        status = load_part(&parts[i], &weights[i], specs[i], config, err);
    if (!status && n == 1 && weights[0] == 1) {
        *l = parts[0];
        parts[0] = NULL;
    } else if (!status && n) {
        status = lora_mix(l, config, parts, weights, n, err);
    }
    for (size_t i = 0; i < n; i++)
        lora_free(parts[i]);
    free(parts);
    free(weights);
    return status;
}
