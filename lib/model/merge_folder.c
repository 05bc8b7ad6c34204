/* A merged model as a Hugging Face folder. */
#include "model/merge.h"

#include "base/outfile.h"
#include "formats/gguf.h"
#include "model/hf_files.h"
#include "model/hf_shards.h"
#include "model/merge_internal.h"

struct output_types {
    const struct merge *m;
    int type; /* enum dtype, or MERGE_AS_BASE */
};

static void decide(void *arg, struct hf_shard_tensor *t)
{
    const struct output_types *o = arg;
    enum dtype own = merge_base_tensor(o->m, &t->name)->dtype;
    t->turned = merge_folder_transposes(&o->m->config, &t->name);
    t->type = o->type != MERGE_AS_BASE  ? (enum dtype)o->type
              : dtypes[own].safetensors ? own
                                        : DTYPE_F32;
}

static int write_to_shard(void *arg, const void *p, size_t len, struct err *err)
{
    return safetensors_writer_write(arg, p, len, err);
}

static int write_tensors(struct merge *m, const struct hf_shards *plan, size_t shard,
                         struct safetensors_writer *w, struct err *err)
{
    if (merge_begin(m, write_to_shard, w, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < plan->n && !status; i++)
        if (plan->tensors[i].shard == shard)
            status = merge_tensor(m, &plan->tensors[i].name, plan->tensors[i].type, false, err);
    return merge_end(m, status ? NULL : err) || status ? -1 : 0;
}

static int write_shard(struct merge *m, const struct hf_shards *plan, size_t shard,
                       struct outdir *dir, struct err *err)
{
    char name[HF_SHARD_NAME];
    struct safetensors_writer *w = hf_shards_writer(plan, shard, m->provenance);
    hf_shards_name(plan, shard, name);
    int status = safetensors_writer_open(w, outdir_file(dir, name), err);
    if (!status)
        status = write_tensors(m, plan, shard, w, err);
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

static int write_index(const struct hf_shards *plan, struct outdir *dir, struct err *err)
{
    json_t *index = hf_shards_index(plan);
    if (!index)
        return 0;
    int status = hf_write_json(outdir_file(dir, "model.safetensors.index.json"), index, err);
    json_decref(index);
    return status;
}

static int write_config(const struct merge *m, const struct hf_shards *plan, struct outdir *dir,
                        struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    json_t *config = g ? hf_config(&m->config, g, err)
                       : json_deep_copy((json_t *)(uintptr_t)checkpoint_config(m->base));
    if (!config)
        return -1;
    /* transformers 5 calls it dtype, and reads the old name too. */
    const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
    json_object_set_new(config, key, json_string(hf_shards_torch_type(plan)));
    int status = hf_write_json(outdir_file(dir, "config.json"), config, err);
    json_decref(config);
    return status;
}

static const char *place(void *arg, const char *name)
{
    return outdir_file(arg, name);
}

static int write_files(struct merge *m, const struct hf_shards *plan, struct outdir *dir,
                       struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    for (size_t shard = 0; shard < plan->n_shards; shard++)
        if (write_shard(m, plan, shard, dir, err))
            return -1;
    if (write_index(plan, dir, err) || write_config(m, plan, dir, err))
        return -1;
    return g ? hf_write_tokenizer(dir, g, err)
             : hf_carry_files(checkpoint_path(m->base), place, dir, err);
}

int merge_write_folder(struct merge *m, const char *path, int type, size_t shard_bytes,
                       bool replace, struct err *err)
{
    struct hf_shards plan = {0};
    struct output_types types = {m, type};
    struct outdir dir = {0};
    int status = hf_shards_plan(&plan, &m->config, shard_bytes, decide, &types, err);
    if (!status)
        status = outdir_open(&dir, path, replace, "config.json", err);
    if (!status) {
        status = write_files(m, &plan, &dir, err);
        if (status)
            outdir_abandon(&dir);
        else
            status = outdir_commit(&dir, err);
    }
    hf_shards_release(&plan);
    return status;
}
