/* What sources change together, as an adapter. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/outfile.h"
#include "compute/gemm.h"
#include "compute/lowrank.h"
#include "model/adapter_mix.h"
#include "model/merge_internal.h"

static double squares(const float *x, size_t n, size_t step)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i * step] * (double)x[i * step];
    return sum;
}

/* |B A|^2 of a decomposition, whose parts stand at right angles. */
static double held_by(const struct lora_pair *p)
{
    double sum = 0;
    for (size_t k = 0; k < p->r; k++)
        sum += squares(p->b + k, p->out, p->r) * squares(p->a + k * p->in, p->in, 1);
    return sum;
}

static int make_room(struct lora_pair *p, const char *what, struct err *err)
{
    p->a = mem_array(p->r * p->in, sizeof *p->a, what, err);
    p->b = mem_array(p->r * p->out, sizeof *p->b, what, err);
    return p->a && p->b ? 0 : -1;
}

/* A pair of rank at most `rank` for one of any. */
static int reduce_pair(const struct lora_pair *from, size_t rank, struct lora_pair *to,
                       struct merge_loss *loss, struct err *err)
{
    double lost;
    *to = *from;
    to->a = to->b = NULL;
    to->scale = 1;
    to->r = size_min(size_min(rank, from->r), size_min(from->in, from->out));
    if (make_room(to, "an adapter", err))
        return -1;
    float *b = mem_array(from->out * from->r, sizeof *b, "an adapter", err);
    if (!b)
        return -1;
    for (size_t i = 0; i < from->out * from->r; i++)
        b[i] = from->scale * from->b[i];
    int status = 0;
    if (from->r <= size_min(from->in, from->out)) {
        status = lowrank_of_product(b, from->a, from->out, from->in, from->r, to->r, to->b, to->a,
                                    &lost, err);
    } else { /* more columns than a matrix can have directions */
        float *d = mem_array(from->out * from->in, sizeof *d, "an adapter", err);
        status = d ? 0 : -1;
        if (d)
            gemm_tile(false, false, from->out, from->in, from->r, 1, b, from->r, from->a, from->in,
                      0, d, from->in);
        if (d)
            status = lowrank_of_matrix(d, from->out, from->in, to->r, to->b, to->a, &lost, err);
        free(d);
    }
    free(b);
    if (!status) {
        loss->lost += lost;
        loss->all += lost + held_by(to);
    }
    return status;
}

static void release_pairs(struct lora_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].a);
        free(pairs[i].b);
    }
    free(pairs);
}

/* Every pair brought down to `rank`. */
static int reduce(struct lora **l, const struct model_config *config, size_t rank,
                  struct merge_loss *loss, struct err *err)
{
    struct lora *before = *l;
    struct lora_pair *pairs = xcalloc(before->n_pairs, sizeof *pairs);
    int status = 0;
    for (size_t i = 0; i < before->n_pairs && !status; i++)
        status = reduce_pair(&before->pairs[i], rank, &pairs[i], loss, err);
    *l = NULL;
    if (!status)
        status = lora_from_pairs(l, config, pairs, before->n_pairs, false, err);
    release_pairs(pairs, before->n_pairs);
    lora_free(before);
    return status;
}

/* Adapters' sum, exactly. */
static int add_up(struct merge *m, struct lora **l, struct err *err)
{
    struct lora **parts = xcalloc(m->n_adapters, sizeof(struct lora *));
    double *weights = xcalloc(m->n_adapters, sizeof *weights);
    int status = 0;
    *l = NULL;
    for (size_t i = 0; i < m->n_adapters && !status; i++) {
        const struct merge_adapter *a = &m->adapters[i];
        weights[i] = a->weight;
        status = a->gguf ? adapter_gguf_lora(&parts[i], a->gguf, &m->config, err)
                         : adapter_lora(&parts[i], a->adapter, &m->config, false, err);
    }
    if (!status && m->n_adapters == 1 && weights[0] == 1) {
        *l = parts[0];
        parts[0] = NULL;
    } else if (!status) {
        status = lora_mix(l, &m->config, parts, weights, m->n_adapters, err);
    }
    for (size_t i = 0; i < m->n_adapters; i++)
        lora_free(parts[i]);
    free(parts);
    free(weights);
    return status;
}

/* The nearest pair of a rank to what the sources make of a matrix. */
static int fit_pair(struct merge *m, const struct tensor_name *name, size_t rank,
                    struct lora_pair *p, struct merge_loss *loss, struct err *err)
{
    double lost = 0;
    size_t n;
    *p = (struct lora_pair){.slot = name->slot,
                            .layer = name->layer,
                            .in = (size_t)name->cols,
                            .out = (size_t)name->rows,
                            .scale = 1};
    p->r = size_min(rank, size_min(p->in, p->out));
    float *d = size_mul(p->in, p->out, &n) ? mem_array(n, sizeof *d, name->hf, err) : NULL;
    int status = d && !make_room(p, name->hf, err) ? 0 : -1;
    if (!status)
        status = merge_change(m, name, d, err);
    if (!status)
        status = lowrank_of_matrix(d, p->out, p->in, p->r, p->b, p->a, &lost, err);
    loss->lost += lost;
    loss->all += lost + (status ? 0 : held_by(p));
    free(d);
    return status;
}

static int fit(struct merge *m, size_t rank, struct lora **l, struct merge_loss *loss,
               struct err *err)
{
    size_t count = names_count(&m->config), n = 0;
    struct lora_pair *pairs = xcalloc(count, sizeof *pairs);
    struct tensor_name name;
    int status = merge_begin(m, NULL, NULL, err);
    *l = NULL;
    for (size_t i = 0; i < count && !status; i++) {
        bool changed = false;
        names_at(&m->config, i, &name);
        if (!merge_changes(m, &name))
            continue;
        if (name.linear)
            status = fit_pair(m, &name, rank, &pairs[n++], loss, err);
        else
            status = merge_changes_really(m, &name, &changed, err);
        loss->beside += changed;
        m->bytes_done += merge_base_tensor(m, &name)->bytes;
        if (m->progress)
            m->progress(m->progress_arg, name.hf, m->bytes_done, m->bytes_total);
    }
    if (m->work)
        merge_end(m, NULL);
    if (!status)
        status = lora_from_pairs(l, &m->config, pairs, n, false, err);
    release_pairs(pairs, n);
    return status;
}

/* ---- the folder ---- */

static json_t *number(double v)
{
    return v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v);
}

static double alpha_of(const struct lora_pair *p)
{
    double alpha = (double)p->scale * (double)p->r;
    return fabs(alpha - round(alpha)) < 1e-6 * fabs(alpha) ? round(alpha) : alpha;
}

/* As PEFT writes one: ranks and alphas that differ from the first pair's by module. */
static json_t *describe(const struct merge *m, const struct lora *l, const char *base,
                        struct err *err)
{
    const struct lora_pair *first = &l->pairs[0];
    const struct adapter_options options = {
        .rank = first->r, .alpha = alpha_of(first), .targets = "all-linear", .bias = "none"};
    json_t *c = adapter_config_new(&options, &m->config, base, err), *names = json_array();
    size_t linear = 0;
    if (!c) {
        json_decref(names);
        return NULL;
    }
    json_t *ranks = json_object_get(c, "rank_pattern"),
           *alphas = json_object_get(c, "alpha_pattern");
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        struct tensor_name name;
        names_describe(&m->config, p->slot, p->layer, &name);
        json_array_append_new(names, json_string(name.module));
        if (p->r != first->r)
            json_object_set_new(ranks, name.module, json_integer((json_int_t)p->r));
        if (alpha_of(p) != alpha_of(first))
            json_object_set_new(alphas, name.module, number(alpha_of(p)));
    }
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        linear += name.linear;
    }
    if (linear != l->n_pairs) /* not all of them: those by their paths */
        json_object_set(c, "target_modules", names);
    json_decref(names);
    return c;
}

/* An adapter that stays as it is keeps its own description. */
static json_t *description_of(const struct merge *m, const struct lora *l, bool same,
                              struct err *err)
{
    if (same && m->adapters[0].adapter)
        return json_incref((json_t *)(uintptr_t)adapter_config(m->adapters[0].adapter));
    char *base = adapter_base_name(m->base);
    json_t *c = describe(m, l, base, err);
    free(base);
    return c;
}

static int write_folder(struct merge *m, const struct lora *l, bool same, const char *path,
                        bool replace, struct err *err)
{
    struct outdir dir = {0};
    json_t *config = description_of(m, l, same, err);
    int status = config ? outdir_open(&dir, path, replace, "adapter_config.json", err) : -1;
    if (!status) {
        outdir_file(&dir, "adapter_model.safetensors");
        outdir_file(&dir, "adapter_config.json");
        status = adapter_save(dir.tmp, config, l, &m->config, m->provenance, err);
        if (status)
            outdir_abandon(&dir);
        else
            status = outdir_commit(&dir, err);
    }
    json_decref(config);
    return status;
}

static bool has_magnitudes_or_weights(const struct merge *m)
{
    for (size_t i = 0; i < m->n_adapters; i++) {
        const struct adapter *a = m->adapters[i].adapter;
        if (a && (adapter_whole_count(a) || (adapter_count(a) && adapter_at(a, 0)->magnitude)))
            return true;
    }
    return false;
}

int merge_write_adapter(struct merge *m, const char *path, bool gguf, size_t rank, bool replace,
                        struct merge_loss *loss, struct err *err)
{
    struct lora *l = NULL;
    bool alone = m->n_adapters == 1 && m->adapters[0].weight == 1 && !rank;
    bool sum = recipe_is_sum(m->recipe) && !m->n_models && !(rank && has_magnitudes_or_weights(m));
    *loss = (struct merge_loss){0};
    if (!sum && !rank)
        return err_set(err, "the change is no sum of adapters, so it has no low rank of its own "
                            "(--rank gives it one)");
    int status = sum ? add_up(m, &l, err) : fit(m, rank, &l, loss, err);
    if (!status && sum && rank)
        status = reduce(&l, &m->config, rank, loss, err);
    if (!status && !l->n_pairs && !l->n_weights)
        status = err_set(err, "the sources change no linear layer");
    if (!status && gguf) {
        char *name = adapter_base_name(m->base);
        status = adapter_gguf_save(path, l, &m->config, name, m->provenance, err);
        free(name);
    } else if (!status) {
        status = write_folder(m, l, sum && alone, path, replace, err);
    }
    lora_free(l);
    return status;
}
