#include "model/adapter.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "formats/json.h"
#include "model/adapter_config.h"
#include "model/names.h"

#define PREFIX "base_model.model."
#define A_SUFFIX ".lora_A.weight"
#define B_SUFFIX ".lora_B.weight"
#define M_SUFFIX ".lora_magnitude_vector"

enum { CONFIG_LIMIT = 16 << 20 };

struct adapter {
    char *path;
    json_t *config;
    struct adapter_settings settings;
    struct safetensors *file;
    struct adapter_pair *pairs;  /* [n_pairs] sorted by module */
    struct adapter_whole *whole; /* [n_whole] sorted by name */
    size_t n_pairs, n_whole;
};

static char *join(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    size_t len = strlen(folder);
    buf_addf(&b, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
    return buf_detach(&b, NULL);
}

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), k = strlen(ending);
    return n >= k && !strcmp(text + n - k, ending);
}

/* The tensor that is named like `name` with one ending in place of another. */
static const struct tensor *partner(const struct safetensors *file, const char *name,
                                    const char *ending, const char *other)
{
    struct buf b = BUF_INIT;
    buf_add(&b, name, strlen(name) - strlen(ending));
    buf_addstr(&b, other);
    const struct tensor *t = safetensors_find(file, b.p);
    buf_release(&b);
    return t;
}

/* DoRA's vector, which each pair or none has. */
static int add_magnitude(struct adapter *a, struct adapter_pair *p, struct err *err)
{
    p->magnitude = partner(a->file, p->a->name, A_SUFFIX, M_SUFFIX);
    if (!a->settings.dora && p->magnitude)
        return err_set(err, "has a lora_magnitude_vector, but adapter_config.json has no use_dora");
    if (!a->settings.dora)
        return 0;
    if (!p->magnitude)
        return err_set(err, "has no lora_magnitude_vector beside it");
    if (p->magnitude->n_dims != 1 || p->magnitude->shape[0] != p->out)
        return err_set(err, "its lora_magnitude_vector is not one of %zu numbers", p->out);
    return 0;
}

static int add_pair(struct adapter *a, const struct tensor *t, struct err *err)
{
    const struct tensor *b = partner(a->file, t->name, A_SUFFIX, B_SUFFIX);
    if (!b)
        return err_set(err, "has no lora_B.weight beside it");
    if (t->n_dims != 2 || b->n_dims != 2 || !t->shape[1] || !b->shape[0])
        return err_set(err, "it or its lora_B.weight is not a matrix");
    struct adapter_pair *p = &a->pairs[a->n_pairs++];
    const char *name = t->name + strlen(PREFIX);
    p->module = xmemdup0(name, strlen(name) - strlen(A_SUFFIX));
    p->a = t;
    p->b = b;
    p->in = (size_t)t->shape[1];
    p->out = (size_t)b->shape[0];
    if (adapter_settings_scale(&a->settings, p->module, &p->r, &p->scale, err))
        return -1;
    if (t->shape[0] != p->r || b->shape[1] != p->r)
        return err_set(err,
                       "A has %" PRIu64 " rows and B %" PRIu64
                       " columns, adapter_config.json says rank %zu",
                       t->shape[0], b->shape[1], p->r);
    if (add_magnitude(a, p, err))
        return -1;
    bool targeted; /* what all-linear covers only the model tells: adapter_check */
    if (adapter_settings_target(&a->settings, p->module, true, &targeted, err))
        return -1;
    return targeted ? 0 : err_set(err, "adapter_config.json's target_modules do not cover it");
}

/* "model.layers.0.self_attn.q_proj.base_layer.bias" is what PEFT calls the bias of a module that it
 * has wrapped: without "base_layer." it is the base's name. */
static char *base_name(const char *name)
{
    static const char wrapped[] = ".base_layer.";
    const char *at = strstr(name, wrapped);
    struct buf b = BUF_INIT;
    buf_add(&b, name, at ? (size_t)(at - name) : strlen(name));
    if (at)
        buf_addstr(&b, at + strlen(wrapped) - 1);
    return buf_detach(&b, NULL);
}

static int add_whole(struct adapter *a, const struct tensor *t, struct err *err)
{
    bool named = false;
    char *name = base_name(t->name + strlen(PREFIX));
    a->whole[a->n_whole++] = (struct adapter_whole){name, t};
    if (adapter_settings_tensor(&a->settings, name, &named, err))
        return -1;
    if (!named)
        return err_set(err, "is neither part of a LoRA pair nor named by modules_to_save or bias");
    return 0;
}

static int add_tensor(struct adapter *a, const struct tensor *t, struct err *err)
{
    if (strncmp(t->name, PREFIX, strlen(PREFIX)) != 0)
        return err_set(err, "its name doesn't begin with " PREFIX);
    if (ends_with(t->name, A_SUFFIX))
        return add_pair(a, t, err);
    if (ends_with(t->name, B_SUFFIX) || ends_with(t->name, M_SUFFIX))
        return partner(a->file, t->name, ends_with(t->name, B_SUFFIX) ? B_SUFFIX : M_SUFFIX,
                       A_SUFFIX)
                   ? 0
                   : err_set(err, "has no lora_A.weight beside it");
    if (strstr(t->name, ".lora_"))
        return err_set(err, "such a part of an adapter is not supported");
    return add_whole(a, t, err);
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct adapter_pair *)a)->module,
                  ((const struct adapter_pair *)b)->module);
}

static int compare_whole(const void *a, const void *b)
{
    return strcmp(((const struct adapter_whole *)a)->name, ((const struct adapter_whole *)b)->name);
}

static int read_config(struct adapter *a, struct err *err)
{
    char *path = join(a->path, "adapter_config.json");
    int status = -1;
    a->config = json_read_file(path, CONFIG_LIMIT, err);
    if (a->config && !json_is_object(a->config))
        err_set(err, "%s: is not a JSON object", path);
    else if (a->config)
        status =
            adapter_settings_read(&a->settings, a->config, err) ? err_prefix(err, "%s", path) : 0;
    free(path);
    return status;
}

static int read_tensors(struct adapter *a, struct err *err)
{
    char *path = join(a->path, "adapter_model.safetensors");
    int status = safetensors_open(&a->file, path, err);
    free(path);
    if (status)
        return -1;
    size_t n = safetensors_count(a->file);
    a->pairs = xcalloc(n, sizeof *a->pairs);
    a->whole = xcalloc(n, sizeof *a->whole);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = safetensors_at(a->file, i);
        if (add_tensor(a, t, err))
            return err_prefix(err, "%s: tensor %s", t->file, t->name);
    }
    if (!a->n_pairs && !a->n_whole)
        return err_set(err, "%s/adapter_model.safetensors: holds no tensors", a->path);
    qsort(a->pairs, a->n_pairs, sizeof *a->pairs, compare_pairs);
    qsort(a->whole, a->n_whole, sizeof *a->whole, compare_whole);
    for (size_t i = 1; i < a->n_whole; i++)
        if (!compare_whole(&a->whole[i - 1], &a->whole[i]))
            return err_set(err, "%s: two tensors are %s", a->whole[i].tensor->file,
                           a->whole[i].name);
    return 0;
}

int adapter_load(struct adapter **out, const char *path, struct err *err)
{
    struct adapter *a = xcalloc(1, sizeof *a);
    *out = NULL;
    a->path = xstrdup(path);
    if (read_config(a, err) || read_tensors(a, err)) {
        adapter_free(a);
        return -1;
    }
    *out = a;
    return 0;
}

void adapter_free(struct adapter *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_pairs; i++)
        free((void *)(uintptr_t)a->pairs[i].module);
    for (size_t i = 0; i < a->n_whole; i++)
        free((void *)(uintptr_t)a->whole[i].name);
    free(a->pairs);
    free(a->whole);
    safetensors_close(a->file);
    json_decref(a->config);
    free(a->path);
    free(a);
}

const char *adapter_path(const struct adapter *a)
{
    return a->path;
}

const json_t *adapter_config(const struct adapter *a)
{
    return a->config;
}

size_t adapter_count(const struct adapter *a)
{
    return a->n_pairs;
}

const struct adapter_pair *adapter_at(const struct adapter *a, size_t i)
{
    return &a->pairs[i];
}

size_t adapter_whole_count(const struct adapter *a)
{
    return a->n_whole;
}

const struct adapter_whole *adapter_whole_at(const struct adapter *a, size_t i)
{
    return &a->whole[i];
}

const struct adapter_pair *adapter_find(const struct adapter *a, const char *tensor)
{
    if (!ends_with(tensor, ".weight") || !a->n_pairs)
        return NULL;
    char *module = xmemdup0(tensor, strlen(tensor) - strlen(".weight"));
    const struct adapter_pair key = {.module = module};
    const struct adapter_pair *found =
        bsearch(&key, a->pairs, a->n_pairs, sizeof *a->pairs, compare_pairs);
    free(module);
    return found;
}

const struct adapter_whole *adapter_find_whole(const struct adapter *a, const char *tensor)
{
    const struct adapter_whole key = {.name = tensor};
    return a->n_whole ? bsearch(&key, a->whole, a->n_whole, sizeof *a->whole, compare_whole) : NULL;
}

void adapter_pair_values(const struct adapter_pair *p, float *a, float *b)
{
    dtypes[p->a->dtype].to_float(p->a->data, a, p->r * p->in);
    dtypes[p->b->dtype].to_float(p->b->data, b, p->out * p->r);
}

void adapter_pair_normalise(const struct adapter_pair *p, size_t row, size_t n, float *v)
{
    const struct tensor *t = p->magnitude;
    for (size_t i = 0; t && i < n; i++, v += p->in) {
        double square = 0;
        float magnitude;
        dtypes[t->dtype].to_float(
            (const uint8_t *)t->data + (row + i) * dtypes[t->dtype].block_bytes, &magnitude, 1);
        for (size_t k = 0; k < p->in; k++)
            square += (double)v[k] * (double)v[k];
        float gain =
            (float)((double)magnitude / sqrt(square > (double)FLT_MIN ? square : (double)FLT_MIN));
        for (size_t k = 0; k < p->in; k++)
            v[k] *= gain;
    }
}

const char *adapter_provenance(const struct adapter *a)
{
    return json_string_value(
        json_object_get(safetensors_metadata(a->file), "tuneutils.provenance"));
}

void adapter_hash(const struct adapter *a, char hex[33])
{
    struct hash *h = hash_new();
    struct buf text = BUF_INIT;
    json_add_pretty(&text, a->config);
    hash_add(h, text.p, text.len);
    buf_release(&text);
    for (size_t i = 0; i < safetensors_count(a->file); i++) {
        const struct tensor *t = safetensors_at(a->file, i);
        hash_add(h, t->name, strlen(t->name) + 1);
        hash_add(h, t->data, t->bytes);
    }
    hash_hex(h, hex);
    hash_free(h);
}

/* Fitting a model */

static int check_pair(const struct adapter *a, const struct adapter_pair *p,
                      const struct model_config *config, struct err *err)
{
    struct buf b = BUF_INIT;
    struct tensor_name name;
    buf_addf(&b, "%s.weight", p->module);
    bool found = names_find_hf(config, b.p, &name);
    buf_release(&b);
    if (!found)
        return err_set(err, "%s: module %s is not in the base model%s", a->path, p->module,
                       !strcmp(p->module, "lm_head") ? ", whose output matrix is its embedding"
                                                     : "");
    if (name.slot == SLOT_EMBED || name.n_dims != 2)
        return err_set(err, "%s: module %s is no linear layer of the base model", a->path,
                       p->module);
    if (name.rows != p->out || name.cols != p->in)
        return err_set(err,
                       "%s: module %s: the adapter is for a matrix [%zu, %zu], the base model has "
                       "[%" PRIu64 ", %" PRIu64 "]",
                       a->path, p->module, p->out, p->in, name.rows, name.cols);
    return 0;
}

static int check_whole(const struct adapter *a, const struct adapter_whole *w,
                       const struct model_config *config, struct err *err)
{
    struct tensor_name name;
    const struct tensor *t = w->tensor;
    if (!names_find_hf(config, w->name, &name))
        return err_set(err, "%s: tensor %s is not in the base model", a->path, w->name);
    if (name.slot == SLOT_EMBED && config->tied)
        return err_set(
            err, "%s: %s is replaced (modules_to_save), but the base's output matrix is tied to it",
            a->path, w->name);
    const uint64_t rows = name.transposed ? name.cols : name.rows;
    const uint64_t cols = name.transposed ? name.rows : name.cols;
    if (t->n_dims != name.n_dims || t->shape[0] != rows || (t->n_dims == 2 && t->shape[1] != cols))
        return err_set(err, "%s: tensor %s has another shape than the base model's", a->path,
                       w->name);
    return 0;
}

/* Every matrix that the configuration targets must have its pair, and every tensor that it trains
 * whole must be there. */
static int check_missing(const struct adapter *a, const struct model_config *config,
                         struct err *err)
{
    for (size_t i = 0; i < names_count(config); i++) {
        struct tensor_name name;
        bool targeted;
        names_at(config, i, &name);
        if (adapter_settings_tensor(&a->settings, name.hf, &targeted, err))
            return err_prefix(err, "%s", a->path);
        if (targeted && !adapter_find_whole(a, name.hf))
            return err_set(err, "%s: has no %s, which its modules_to_save or bias cover", a->path,
                           name.hf);
        if (!name.linear)
            continue;
        if (adapter_settings_target(&a->settings, name.module, true, &targeted, err))
            return err_prefix(err, "%s", a->path);
        if (targeted && !adapter_find(a, name.hf))
            return err_set(err, "%s: has no LoRA pair for %s, which its target_modules cover",
                           a->path, name.module);
    }
    return 0;
}

int adapter_check(const struct adapter *a, const struct model_config *config, struct err *err)
{
    for (size_t i = 0; i < a->n_pairs; i++)
        if (check_pair(a, &a->pairs[i], config, err))
            return -1;
    for (size_t i = 0; i < a->n_whole; i++)
        if (check_whole(a, &a->whole[i], config, err))
            return -1;
    return check_missing(a, config, err);
}
