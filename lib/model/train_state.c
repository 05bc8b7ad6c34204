#include "model/train_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/optimizer.h"
#include "formats/json.h"

#define FORMAT "tuneutils training state 1"

/* The numbers of a train_progress by name, for both directions. */
static const struct number {
    const char *key;
    size_t offset;
} numbers[] = {
    {"step", offsetof(struct train_progress, step)},
    {"tokens", offsetof(struct train_progress, tokens)},
    {"trained", offsetof(struct train_progress, trained)},
    {"steps", offsetof(struct train_progress, steps)},
    {"warmup", offsetof(struct train_progress, warmup)},
    {"decay", offsetof(struct train_progress, decay)},
    {"evaluated", offsetof(struct train_progress, evaluated)},
    {"best_step", offsetof(struct train_progress, best_step)},
    {"since_best", offsetof(struct train_progress, since_best)},
};

static const struct text {
    const char *key;
    size_t offset;
} hash_texts[] = {
    {"base", offsetof(struct train_hashes, base)},
    {"rows", offsetof(struct train_hashes, rows)},
    {"held", offsetof(struct train_hashes, held)},
    {"initial", offsetof(struct train_hashes, initial)},
};

static uint64_t *number_in(struct train_progress *p, const struct number *n)
{
    return (uint64_t *)(void *)((char *)p + n->offset);
}

static json_t *spikes_to_json(const struct spike_memory *m)
{
    json_t *losses = json_array();
    for (size_t i = 0; i < m->n; i++)
        json_array_append_new(losses, json_real(m->losses[i]));
    return json_pack("{s:o, s:I, s:I}", "losses", losses, "left_out", (json_int_t)m->left_out,
                     "in_row", (json_int_t)m->in_row);
}

static int spikes_from_json(struct spike_memory *m, const json_t *json, uint64_t steps,
                            struct err *err)
{
    const json_t *losses = json_object_get(json, "losses");
    const json_int_t left_out = json_integer_value(json_object_get(json, "left_out"));
    const json_int_t in_row = json_integer_value(json_object_get(json, "in_row"));
    *m = (struct spike_memory){.n = json_array_size(losses)};
    if (m->n > SPIKE_WINDOW || in_row < 0 || left_out < in_row || (uint64_t)left_out > steps)
        return err_set(err, "\"spikes\" is no memory of losses");
    for (size_t i = 0; i < m->n; i++)
        m->losses[i] = json_number_value(json_array_get(losses, i));
    m->left_out = (uint64_t)left_out;
    m->in_row = (uint64_t)in_row;
    return 0;
}

static json_t *progress_to_json(const struct train_progress *p)
{
    struct train_progress copy = *p;
    json_t *json = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        json_object_set_new(json, numbers[i].key,
                            json_integer((json_int_t)*number_in(&copy, &numbers[i])));
    if (p->best_step)
        json_object_set_new(json, "best_loss", json_real(p->best_loss));
    json_object_set_new(json, "stopped_early", json_boolean(p->stopped_early));
    if (p->spikes.n || p->spikes.left_out)
        json_object_set_new(json, "spikes", spikes_to_json(&p->spikes));
    return json;
}

static json_t *hashes_to_json(const struct train_hashes *h)
{
    json_t *json = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(hash_texts); i++)
        json_object_set_new(json, hash_texts[i].key,
                            json_string((const char *)h + hash_texts[i].offset));
    return json;
}

/* ["q", layer, r, scale, fixed] for each pair, in the order of their parameters. */
static json_t *pairs_to_json(const struct lora *l)
{
    json_t *json = json_array();
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        json_t *pair = json_array();
        json_array_append_new(pair, json_string(slot_name(p->slot)));
        json_array_append_new(pair, json_integer((json_int_t)p->layer));
        json_array_append_new(pair, json_integer((json_int_t)p->r));
        json_array_append_new(pair, json_real((double)p->scale));
        json_array_append_new(pair, json_integer((json_int_t)p->fixed));
        json_array_append_new(json, pair);
    }
    return json;
}

/* "model.norm.weight" for each weight. */
static json_t *weights_to_json(const struct lora *l, const struct model_config *model)
{
    json_t *json = json_array();
    for (size_t i = 0; i < l->n_weights; i++) {
        struct tensor_name name;
        names_describe(model, l->weights[i].slot, l->weights[i].layer, &name);
        json_array_append_new(json, json_string(name.hf));
    }
    return json;
}

struct array {
    const char *name;
    const float *p; /* NULL: not there */
    size_t n;
};

static void hash_state(const struct buf *description, const struct array *arrays, size_t n_arrays,
                       char hex[HASH_HEX])
{
    struct hash *h = hash_new();
    hash_add(h, description->p, description->len);
    for (size_t i = 0; i < n_arrays; i++)
        if (arrays[i].p) {
            hash_add(h, arrays[i].name, strlen(arrays[i].name) + 1);
            hash_add(h, arrays[i].p, arrays[i].n * sizeof(float));
        }
    hash_hex(h, hex);
    hash_free(h);
}

static int write_arrays(struct safetensors_writer *w, const char *path, const struct array *arrays,
                        size_t n_arrays, struct err *err)
{
    for (size_t i = 0; i < n_arrays; i++)
        if (arrays[i].p) {
            const uint64_t shape[] = {arrays[i].n};
            safetensors_writer_declare(w, arrays[i].name, DTYPE_F32, 1, shape);
        }
    int status = safetensors_writer_open(w, path, err);
    for (size_t i = 0; i < n_arrays && !status; i++)
        if (arrays[i].p)
            status = safetensors_writer_write(w, arrays[i].p, arrays[i].n * sizeof(float), err);
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

int train_state_save(const char *path, const struct train_options *options,
                     const struct train_progress *progress, const struct train_hashes *hashes,
                     const struct train_arrays *arrays, struct err *err)
{
    /* Before the first step the moments are zero. */
    const size_t n = arrays->lora->n_params;
    const struct array all[] = {{"params", arrays->lora->params, n},
                                {"adamw.m", progress->step ? arrays->m : NULL, n},
                                {"adamw.v", progress->step ? arrays->v : NULL, n},
                                {"best", arrays->best, n},
                                {"reference", arrays->reference, arrays->n_reference}};
    json_t *json = json_object();
    struct buf description = BUF_INIT;
    char hex[HASH_HEX];
    json_object_set_new(json, "options", train_options_to_json(options));
    json_object_set_new(json, "progress", progress_to_json(progress));
    json_object_set_new(json, "hashes", hashes_to_json(hashes));
    json_object_set(json, "adapter_config", (json_t *)(uintptr_t)arrays->adapter_config);
    json_object_set_new(json, "pairs", pairs_to_json(arrays->lora));
    json_object_set_new(json, "weights", weights_to_json(arrays->lora, arrays->model));
    json_object_set_new(json, "dora", json_boolean(arrays->lora->dora));
    json_add(&description, json);
    json_decref(json);
    hash_state(&description, all, ARRAY_SIZE(all), hex);

    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", FORMAT);
    safetensors_writer_metadata(w, "hash", hex);
    safetensors_writer_metadata(w, "state", description.p);
    int status = write_arrays(w, path, all, ARRAY_SIZE(all), err);
    buf_release(&description);
    return status;
}

static int progress_from_json(struct train_progress *p, const json_t *json, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const json_t *v = json_object_get(json, numbers[i].key);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_set(err, "\"%s\" is not there", numbers[i].key);
        *number_in(p, &numbers[i]) = (uint64_t)json_integer_value(v);
    }
    p->best_loss = json_number_value(json_object_get(json, "best_loss"));
    p->stopped_early = json_is_true(json_object_get(json, "stopped_early"));
    return spikes_from_json(&p->spikes, json_object_get(json, "spikes"), p->step, err);
}

static int hashes_from_json(struct train_hashes *h, const json_t *json, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(hash_texts); i++) {
        const char *text = json_string_value(json_object_get(json, hash_texts[i].key));
        if (!text || strlen(text) >= HASH_HEX)
            return err_set(err, "hash \"%s\" is not there", hash_texts[i].key);
        memcpy((char *)h + hash_texts[i].offset, text, strlen(text) + 1);
    }
    return 0;
}

static float *load_array(const struct safetensors *file, const char *name, size_t n, bool zero,
                         struct err *err)
{
    const struct tensor *t = safetensors_find(file, name);
    if (!t && !zero) {
        err_set(err, "tensor %s is not there", name);
        return NULL;
    }
    if (t && (t->dtype != DTYPE_F32 || t->n_dims != 1 || t->shape[0] != n)) {
        err_set(err, "tensor %s: not %zu numbers of type F32", name, n);
        return NULL;
    }
    float *p = mem_array(n, sizeof *p, name, err);
    if (p && t)
        memcpy(p, t->data, t->bytes);
    return p;
}

static int load_arrays(struct train_state *s, const struct safetensors *file, struct err *err)
{
    const struct tensor *params = safetensors_find(file, "params");
    const bool begun = s->progress.step > 0;
    if (!params || params->n_dims != 1)
        return err_set(err, "tensor params is not there");
    const size_t n = s->n_params = params->shape[0];
    s->params = load_array(file, "params", n, false, err);
    s->m = s->params ? load_array(file, "adamw.m", n, !begun, err) : NULL;
    if (!s->m)
        return -1;
    if (s->options.optimizer != OPTIMIZER_LION &&
        !(s->v = load_array(file, "adamw.v", n, !begun, err)))
        return -1;
    const struct tensor *reference = safetensors_find(file, "reference");
    if (reference && (reference->n_dims != 1 || !reference->shape[0]))
        return err_set(err, "tensor reference: not a list of numbers");
    if (reference) {
        s->n_reference = reference->shape[0];
        s->reference = load_array(file, "reference", s->n_reference, false, err);
        if (!s->reference)
            return -1;
    }
    if (safetensors_find(file, "best") && !(s->best = load_array(file, "best", n, false, err)))
        return -1;
    return 0;
}

static int load(struct train_state *s, const struct safetensors *file, struct err *err)
{
    const json_t *metadata = safetensors_metadata(file);
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *hash = json_string_value(json_object_get(metadata, "hash"));
    const char *text = json_string_value(json_object_get(metadata, "state"));
    if (!format || strcmp(format, FORMAT) != 0 || !hash || !text)
        return err_set(err, "not a training state of this version");
    if (!(s->json = json_parse(text, strlen(text), err)) ||
        train_options_from_json(&s->options, json_object_get(s->json, "options"), err) ||
        progress_from_json(&s->progress, json_object_get(s->json, "progress"), err) ||
        hashes_from_json(&s->hashes, json_object_get(s->json, "hashes"), err) ||
        load_arrays(s, file, err))
        return -1;
    s->adapter_config = json_object_get(s->json, "adapter_config");
    if (!json_is_object(s->adapter_config))
        return err_set(err, "the adapter's configuration is not there");
    const bool begun = s->progress.step > 0;
    const size_t n = s->n_params;
    const struct array all[] = {{"params", s->params, n},
                                {"adamw.m", begun ? s->m : NULL, n},
                                {"adamw.v", begun ? s->v : NULL, n},
                                {"best", s->best, n},
                                {"reference", s->reference, s->n_reference}};
    struct buf description = BUF_INIT;
    char hex[HASH_HEX];
    buf_addstr(&description, text);
    hash_state(&description, all, ARRAY_SIZE(all), hex);
    buf_release(&description);
    if (strcmp(hex, hash) != 0)
        return err_set(err, "damaged: its checksum doesn't fit");
    memcpy(s->hash, hex, sizeof s->hash);
    return 0;
}

int train_state_load(struct train_state *s, const char *path, struct err *err)
{
    struct safetensors *file;
    *s = (struct train_state){0};
    if (safetensors_open(&file, path, err))
        return -1;
    int status = load(s, file, err);
    safetensors_close(file);
    if (!status)
        return 0;
    train_state_release(s);
    return err_prefix(err, "%s", path);
}

/* The next n parameters; NULL if there aren't that many. */
static float *take(const struct train_state *s, size_t *used, size_t n)
{
    size_t end;
    if (!size_add(*used, n, &end) || end > s->n_params)
        return NULL;
    float *p = s->params + *used;
    *used = end;
    return p;
}

static int bind_pair(struct train_state *s, struct lora_pair *p, const json_t *item,
                     const struct model_config *config, size_t *used, struct err *err)
{
    struct tensor_name name;
    size_t a, b;
    p->layer = (size_t)json_integer_value(json_array_get(item, 1));
    p->r = (size_t)json_integer_value(json_array_get(item, 2));
    p->scale = (float)json_number_value(json_array_get(item, 3));
    p->fixed = (size_t)json_integer_value(json_array_get(item, 4));
    const char *linear = json_string_value(json_array_get(item, 0));
    if (!linear || !slot_by_name(linear, &p->slot) || p->layer >= config->n_layers || p->r < 1 ||
        p->fixed >= p->r || !isfinite(p->scale) || !names_has(config, p->slot, p->layer))
        return err_set(err, "the model has no matrix for it");
    names_describe(config, p->slot, p->layer, &name);
    p->in = name.cols;
    p->out = name.rows;
    p->a = size_mul(p->r, p->in, &a) ? take(s, used, a) : NULL;
    p->b = p->a && size_mul(p->r, p->out, &b) ? take(s, used, b) : NULL;
    p->magnitude = p->b && s->parts.dora ? take(s, used, p->out) : NULL;
    if (!p->b || (s->parts.dora && !p->magnitude))
        return err_set(err, "%zu parameters are too few", s->n_params);
    return 0;
}

static int bind_weight(struct train_state *s, struct lora_weight *w, const json_t *item,
                       const struct model_config *config, size_t *used, struct err *err)
{
    const char *hf = json_string_value(item);
    struct tensor_name name;
    if (!hf || !names_find_hf(config, hf, &name))
        return err_set(err, "the model has no tensor for it");
    *w = (struct lora_weight){.slot = name.slot,
                              .layer = name.layer,
                              .rows = (size_t)name.rows,
                              .cols = (size_t)name.cols};
    w->values = take(s, used, lora_weight_size(w));
    return w->values ? 0 : err_set(err, "%zu parameters are too few", s->n_params);
}

static void drop_parts(struct train_state *s)
{
    free((void *)(uintptr_t)s->parts.pairs);
    free((void *)(uintptr_t)s->parts.weights);
    s->parts = (struct lora_parts){0};
}

int train_state_bind(struct train_state *s, const struct model_config *config, struct err *err)
{
    const json_t *list = json_object_get(s->json, "pairs");
    const json_t *whole = json_object_get(s->json, "weights");
    size_t used = 0;
    drop_parts(s);
    struct lora_pair *pairs = xcalloc(json_array_size(list), sizeof *pairs);
    struct lora_weight *weights = xcalloc(json_array_size(whole), sizeof *weights);
    s->parts = (struct lora_parts){pairs, json_array_size(list), weights, json_array_size(whole),
                                   json_is_true(json_object_get(s->json, "dora"))};
    for (size_t i = 0; i < s->parts.n_pairs; i++)
        if (bind_pair(s, &pairs[i], json_array_get(list, i), config, &used, err))
            return err_prefix(err, "pair %zu of the adapter", i);
    for (size_t i = 0; i < s->parts.n_weights; i++)
        if (bind_weight(s, &weights[i], json_array_get(whole, i), config, &used, err))
            return err_prefix(err, "weight %zu of the adapter", i);
    if (used != s->n_params)
        return err_set(err, "%zu parameters, but the adapter has %zu", s->n_params, used);
    return 0;
}

void train_state_drop_arrays(struct train_state *s)
{
    drop_parts(s);
    free(s->params);
    free(s->m);
    free(s->v);
    free(s->best);
    free(s->reference);
    s->params = s->m = s->v = s->best = s->reference = NULL;
}

void train_state_release(struct train_state *s)
{
    train_state_drop_arrays(s);
    json_decref(s->json);
    *s = (struct train_state){0};
}
