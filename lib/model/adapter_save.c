/* Writing PEFT folders. */
#include "model/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "compute/matrix.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "model/names.h"

/* "organisation/name", which no local path of this machine looks like but by chance. */
static bool is_hub_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && slash != name && slash[1] && !strchr(slash + 1, '/') && *name != '.' &&
           *name != '~';
}

static char *last_part(const char *path)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin && path[begin - 1] != '/')
        begin--;
    return xmemdup0(path + begin, end - begin);
}

char *adapter_base_name(const struct checkpoint *c)
{
    const char *name = json_string_value(json_object_get(checkpoint_config(c), "_name_or_path"));
    if (name && is_hub_name(name))
        return xstrdup(name);
    return last_part(checkpoint_path(c));
}

struct named_values {
    char name[NAME_SIZE + 64];
    const float *values;
    bool transposed;   /* values are [shape[1], shape[0]] */
    uint64_t shape[2]; /* a vector has 0 columns */
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named_values *)a)->name, ((const struct named_values *)b)->name);
}

static void add_named(struct named_values *v, size_t *n, const float *values, size_t rows,
                      size_t cols, const char *module, const char *part)
{
    struct named_values *to = &v[(*n)++];
    to->values = values;
    to->shape[0] = rows;
    to->shape[1] = cols;
    snprintf(to->name, sizeof to->name, "base_model.model.%s%s", module, part);
}

/* PEFT's name of a bias is that of the module that it has wrapped around the base's. */
static void add_weight(struct named_values *v, size_t *n, const struct lora *l,
                       const struct lora_weight *w, const struct model_config *model)
{
    struct tensor_name name;
    bool wrapped = false;
    names_describe(model, w->slot, w->layer, &name);
    for (size_t i = 0; i < l->n_pairs && !w->cols && !wrapped; i++) {
        struct tensor_name matrix;
        names_describe(model, l->pairs[i].slot, l->pairs[i].layer, &matrix);
        wrapped = !strcmp(matrix.module, name.module);
    }
    const size_t rows = name.transposed ? w->cols : w->rows;
    const size_t cols = name.transposed ? w->rows : w->cols;
    add_named(v, n, w->values, rows, cols, name.module,
              wrapped ? ".base_layer.bias" : name.hf + strlen(name.module));
    v[*n - 1].transposed = name.transposed;
}

static struct named_values *list_values(const struct lora *l, const struct model_config *model,
                                        size_t *n)
{
    struct named_values *v = xcalloc(3 * l->n_pairs + l->n_weights, sizeof *v);
    *n = 0;
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        struct tensor_name name;
        names_describe(model, p->slot, p->layer, &name);
        add_named(v, n, p->a, p->r, p->in, name.module, ".lora_A.weight");
        add_named(v, n, p->b, p->out, p->r, name.module, ".lora_B.weight");
        if (p->magnitude)
            add_named(v, n, p->magnitude, p->out, 0, name.module, ".lora_magnitude_vector");
    }
    for (size_t i = 0; i < l->n_weights; i++)
        add_weight(v, n, l, &l->weights[i], model);
    qsort(v, *n, sizeof *v, compare_named);
    return v;
}

static int save_tensors(const char *path, const struct lora *l, const struct model_config *model,
                        const char *provenance, struct err *err)
{
    size_t n;
    struct named_values *v = list_values(l, model, &n);
    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", "pt"); /* PEFT's loader asks for it */
    if (provenance)
        safetensors_writer_metadata(w, "tuneutils.provenance", provenance);
    for (size_t i = 0; i < n; i++)
        safetensors_writer_declare(w, v[i].name, DTYPE_F32, v[i].shape[1] ? 2 : 1, v[i].shape);
    int status = safetensors_writer_open(w, path, err);
    for (size_t i = 0; i < n && !status; i++) {
        const struct named_values *x = &v[i];
        uint64_t numbers = x->shape[0] * (x->shape[1] ? x->shape[1] : 1);
        float *turned = !x->transposed ? NULL
                                       : matrix_transposed(x->values, (size_t)x->shape[1],
                                                           (size_t)x->shape[0], x->name, err);
        if (x->transposed && !turned)
            status = -1;
        else
            status = safetensors_writer_write(w, turned ? turned : x->values,
                                              (size_t)numbers * sizeof(float), err);
        free(turned);
    }
    free(v);
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

static int save_config(const char *path, const json_t *config, struct err *err)
{
    struct buf text = BUF_INIT;
    json_t *copy = json_copy((json_t *)(uintptr_t)config);
    const char *base = json_string_value(json_object_get(copy, "base_model_name_or_path"));
    if (base && !is_hub_name(base)) {
        char *name = last_part(base);
        json_object_set_new(copy, "base_model_name_or_path", json_string(name));
        free(name);
    }
    json_add_pretty(&text, copy);
    buf_addch(&text, '\n');
    int status = file_write(path, text.p, text.len, err);
    json_decref(copy);
    buf_release(&text);
    return status;
}

int adapter_save(const char *folder, const json_t *config, const struct lora *l,
                 const struct model_config *model, const char *provenance, struct err *err)
{
    struct buf path = BUF_INIT;
    if (directory_make(folder, err))
        return -1;
    buf_addf(&path, "%s/adapter_model.safetensors", folder);
    int status = save_tensors(path.p, l, model, provenance, err);
    buf_clear(&path);
    buf_addf(&path, "%s/adapter_config.json", folder);
    if (!status)
        status = save_config(path.p, config, err);
    buf_release(&path);
    return status;
}
