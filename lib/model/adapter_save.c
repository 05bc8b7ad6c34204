/* Writing PEFT folders. */
#include "model/adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "model/names.h"

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The endings that PEFT would write: sorted, each once, "all-linear" spelled out. */
static json_t *target_list(const struct lora_options *options, const struct model_config *config)
{
    const char **names = xcalloc(options->n_targets + SLOT_COUNT, sizeof *names);
    size_t n = 0;
    for (size_t i = 0; i < options->n_targets; i++) {
        if (strcmp(options->targets[i], "all-linear") != 0) {
            names[n++] = options->targets[i];
            continue;
        }
        for (enum slot slot = 0; slot < SLOT_COUNT; slot++)
            if (slot_is_linear(slot) && names_has(config, slot, 0))
                names[n++] = names_linear(config, slot);
        break; /* everything is among them */
    }
    qsort(names, n, sizeof *names, compare_text);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(names[i - 1], names[i]) != 0)
            json_array_append_new(list, json_string(names[i]));
    free(names);
    return list;
}

/* A whole number where it is one: PEFT's own type of lora_alpha. */
static json_t *number(double v)
{
    return v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v);
}

json_t *adapter_config_new(const struct lora_options *options, const struct model_config *config,
                           const char *base)
{
    json_t *c = json_object();
    json_object_set_new(c, "peft_type", json_string("LORA"));
    json_object_set_new(c, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(c, "base_model_name_or_path", base ? json_string(base) : json_null());
    json_object_set_new(c, "revision", json_null());
    json_object_set_new(c, "auto_mapping", json_null());
    json_object_set_new(c, "inference_mode", json_true());
    json_object_set_new(c, "r", json_integer((json_int_t)options->rank));
    json_object_set_new(c, "lora_alpha", number(options->alpha));
    json_object_set_new(c, "lora_dropout", json_real(options->dropout));
    json_object_set_new(c, "use_rslora", json_boolean(options->rslora));
    json_object_set_new(c, "target_modules", target_list(options, config));
    json_object_set_new(c, "rank_pattern", json_object());
    json_object_set_new(c, "alpha_pattern", json_object());
    json_object_set_new(c, "bias", json_string("none"));
    json_object_set_new(c, "fan_in_fan_out", json_false());
    json_object_set_new(c, "init_lora_weights", json_true());
    json_object_set_new(c, "layers_to_transform", json_null());
    json_object_set_new(c, "layers_pattern", json_null());
    json_object_set_new(c, "modules_to_save", json_null());
    return c;
}

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
    uint64_t shape[2];
};

static int compare_named(const void *a, const void *b)
{
    return strcmp(((const struct named_values *)a)->name, ((const struct named_values *)b)->name);
}

static struct named_values *list_values(const struct lora *l, const struct model_config *model)
{
    struct named_values *v = xcalloc(2 * l->n_pairs, sizeof *v);
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        struct named_values *a = &v[2 * i], *b = a + 1;
        struct tensor_name name;
        names_describe(model, p->slot, p->layer, &name);
        snprintf(a->name, sizeof a->name, "base_model.model.%s.lora_A.weight", name.module);
        snprintf(b->name, sizeof b->name, "base_model.model.%s.lora_B.weight", name.module);
        a->values = p->a;
        a->shape[0] = p->r;
        a->shape[1] = p->in;
        b->values = p->b;
        b->shape[0] = p->out;
        b->shape[1] = p->r;
    }
    qsort(v, 2 * l->n_pairs, sizeof *v, compare_named);
    return v;
}

static int save_tensors(const char *path, const struct lora *l, const struct model_config *model,
                        const char *provenance, struct err *err)
{
    struct named_values *v = list_values(l, model);
    size_t n = 2 * l->n_pairs;
    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", "pt"); /* PEFT's loader asks for it */
    if (provenance)
        safetensors_writer_metadata(w, "tuneutils.provenance", provenance);
    for (size_t i = 0; i < n; i++)
        safetensors_writer_declare(w, v[i].name, DTYPE_F32, 2, v[i].shape);
    int status = safetensors_writer_open(w, path, err);
    for (size_t i = 0; i < n && !status; i++)
        status = safetensors_writer_write(
            w, v[i].values, (size_t)(v[i].shape[0] * v[i].shape[1]) * sizeof(float), err);
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
