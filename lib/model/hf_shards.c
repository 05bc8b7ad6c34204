#include "model/hf_shards.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int hf_shards_plan(struct hf_shards *s, const struct model_config *config, size_t shard_bytes,
                   void (*decide)(void *arg, struct hf_shard_tensor *t), void *arg, struct err *err)
{
    size_t in_shard = 0;
    *s = (struct hf_shards){.n = names_count(config)};
    s->tensors = xcalloc(s->n, sizeof *s->tensors);
    for (size_t i = 0; i < s->n; i++) {
        struct hf_shard_tensor *t = &s->tensors[i];
        names_at(config, i, &t->name);
        decide(arg, t);
        t->numbers = (size_t)(t->name.rows * (t->name.n_dims == 1 ? 1 : t->name.cols));
        if (!dtype_bytes(t->type, t->numbers, &t->bytes))
            return err_set(err, "tensor %s is too large", t->name.hf);
        if (in_shard && (t->bytes > shard_bytes || in_shard > shard_bytes - t->bytes)) {
            s->n_shards++;
            in_shard = 0;
        }
        t->shard = s->n_shards;
        in_shard += t->bytes;
        s->bytes += t->bytes;
    }
    s->n_shards++;
    return 0;
}

void hf_shards_release(struct hf_shards *s)
{
    free(s->tensors);
    *s = (struct hf_shards){0};
}

void hf_shards_name(const struct hf_shards *s, size_t shard, char name[HF_SHARD_NAME])
{
    if (s->n_shards == 1)
        snprintf(name, HF_SHARD_NAME, "model.safetensors");
    else
        snprintf(name, HF_SHARD_NAME, "model-%05zu-of-%05zu.safetensors", shard + 1, s->n_shards);
}

struct safetensors_writer *hf_shards_writer(const struct hf_shards *s, size_t shard,
                                            const char *provenance)
{
    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", "pt"); /* transformers' loader asks for it */
    if (provenance)
        safetensors_writer_metadata(w, "tuneutils.provenance", provenance);
    for (size_t i = 0; i < s->n; i++) {
        const struct hf_shard_tensor *t = &s->tensors[i];
        const uint64_t shape[] = {t->turned ? t->name.cols : t->name.rows,
                                  t->turned ? t->name.rows : t->name.cols};
        if (t->shard == shard)
            safetensors_writer_declare(w, t->name.hf, t->type, t->name.n_dims, shape);
    }
    return w;
}

json_t *hf_shards_index(const struct hf_shards *s)
{
    if (s->n_shards == 1)
        return NULL;
    json_t *index = json_object(), *map = json_object();
    for (size_t i = 0; i < s->n; i++) {
        char name[HF_SHARD_NAME];
        hf_shards_name(s, s->tensors[i].shard, name);
        json_object_set_new(map, s->tensors[i].name.hf, json_string(name));
    }
    json_object_set_new(index, "metadata", json_pack("{s:I}", "total_size", (json_int_t)s->bytes));
    json_object_set_new(index, "weight_map", map);
    return index;
}

const char *hf_shards_torch_type(const struct hf_shards *s)
{
    size_t bytes[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < s->n; i++)
        bytes[s->tensors[i].type] += s->tensors[i].bytes;
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (bytes[i] > bytes[most])
            most = (enum dtype)i;
    return most == DTYPE_F16 ? "float16" : most == DTYPE_BF16 ? "bfloat16" : "float32";
}
