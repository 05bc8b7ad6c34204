/* A merged model as a Hugging Face folder. */
#include "model/merge.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "model/hf_files.h"
#include "model/merge_internal.h"

struct planned {
    struct tensor_name name;
    enum dtype type;
    size_t bytes, shard;
};

struct plan {
    struct planned *tensors;
    size_t n, n_shards, bytes;
};

static enum dtype output_type(const struct merge *m, const struct tensor_name *name, int type)
{
    if (type != MERGE_AS_BASE)
        return (enum dtype)type;
    enum dtype own = merge_base_tensor(m, name)->dtype;
    return dtypes[own].safetensors ? own : DTYPE_F32;
}

/* Tensors in the model's order, a new file where the next one wouldn't fit. */
static int make_plan(const struct merge *m, int type, size_t shard_bytes, struct plan *plan,
                     struct err *err)
{
    size_t in_shard = 0;
    plan->n = names_count(&m->config);
    plan->tensors = xcalloc(plan->n, sizeof *plan->tensors);
    for (size_t i = 0; i < plan->n; i++) {
        struct planned *p = &plan->tensors[i];
        names_at(&m->config, i, &p->name);
        p->type = output_type(m, &p->name, type);
        uint64_t numbers = p->name.rows * (p->name.n_dims == 1 ? 1 : p->name.cols);
        if (!dtype_bytes(p->type, numbers, &p->bytes))
            return err_set(err, "tensor %s is too large", p->name.hf);
        if (in_shard && (p->bytes > shard_bytes || in_shard > shard_bytes - p->bytes)) {
            plan->n_shards++;
            in_shard = 0;
        }
        p->shard = plan->n_shards;
        in_shard += p->bytes;
        plan->bytes += p->bytes;
    }
    plan->n_shards++;
    return 0;
}

static void shard_name(const struct plan *plan, size_t shard, char name[64])
{
    if (plan->n_shards == 1)
        strcpy(name, "model.safetensors");
    else
        snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, plan->n_shards);
}

static int write_to_shard(void *arg, const void *p, size_t len, struct err *err)
{
    return safetensors_writer_write(arg, p, len, err);
}

static int write_tensors(struct merge *m, const struct plan *plan, size_t shard,
                         struct safetensors_writer *w, struct err *err)
{
    if (merge_begin(m, write_to_shard, w, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < plan->n && !status; i++) {
        const struct planned *p = &plan->tensors[i];
        if (p->shard == shard)
            status = merge_tensor(m, &p->name, p->type, false, err);
    }
    return merge_end(m, status ? NULL : err) || status ? -1 : 0;
}

static int write_shard(struct merge *m, const struct plan *plan, size_t shard, struct outdir *dir,
                       struct err *err)
{
    char name[64];
    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", "pt"); /* transformers' loader asks for it */
    if (m->provenance)
        safetensors_writer_metadata(w, "tuneutils.provenance", m->provenance);
    for (size_t i = 0; i < plan->n; i++) {
        const struct planned *p = &plan->tensors[i];
        uint64_t shape[] = {p->name.rows, p->name.cols};
        if (merge_folder_transposes(&m->config, &p->name)) {
            shape[0] = p->name.cols;
            shape[1] = p->name.rows;
        }
        if (p->shard == shard)
            safetensors_writer_declare(w, p->name.hf, p->type, p->name.n_dims, shape);
    }
    shard_name(plan, shard, name);
    int status = safetensors_writer_open(w, outdir_file(dir, name), err);
    if (!status)
        status = write_tensors(m, plan, shard, w, err);
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

static int write_index(const struct plan *plan, struct outdir *dir, struct err *err)
{
    if (plan->n_shards == 1)
        return 0;
    json_t *index = json_object(), *map = json_object();
    for (size_t i = 0; i < plan->n; i++) {
        char name[64];
        shard_name(plan, plan->tensors[i].shard, name);
        json_object_set_new(map, plan->tensors[i].name.hf, json_string(name));
    }
    json_object_set_new(index, "metadata",
                        json_pack("{s:I}", "total_size", (json_int_t)plan->bytes));
    json_object_set_new(index, "weight_map", map);
    int status = hf_write_json(dir, "model.safetensors.index.json", index, err);
    json_decref(index);
    return status;
}

/* transformers' name of the type that most of the weights have. */
static const char *torch_name(const struct plan *plan)
{
    size_t bytes[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < plan->n; i++)
        bytes[plan->tensors[i].type] += plan->tensors[i].bytes;
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (bytes[i] > bytes[most])
            most = (enum dtype)i;
    return most == DTYPE_F16 ? "float16" : most == DTYPE_BF16 ? "bfloat16" : "float32";
}

static int write_config(const struct merge *m, const struct plan *plan, struct outdir *dir,
                        struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    json_t *config = g ? hf_config(&m->config, g, err)
                       : json_deep_copy((json_t *)(uintptr_t)checkpoint_config(m->base));
    if (!config)
        return -1;
    /* transformers 5 calls it dtype, and reads the old name too. */
    const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
    json_object_set_new(config, key, json_string(torch_name(plan)));
    int status = hf_write_json(dir, "config.json", config, err);
    json_decref(config);
    return status;
}

static int copy_file(struct outdir *dir, const char *folder, const char *name, struct err *err)
{
    struct buf path = BUF_INIT;
    struct mapfile file;
    struct stat st;
    buf_addf(&path, "%s/%s", folder, name);
    int status = 0;
    if (stat(path.p, &st))
        status = err_errno(err, "%s", path.p);
    else if (S_ISREG(st.st_mode)) {
        status = mapfile_open(&file, path.p, err);
        if (!status) {
            status = file_write(outdir_file(dir, name), file.p, file.size, err);
            mapfile_close(&file);
        }
    }
    buf_release(&path);
    return status;
}

static int copy_files(const struct merge *m, struct outdir *dir, struct err *err)
{
    const char *folder = checkpoint_path(m->base);
    DIR *d = opendir(folder);
    struct dirent *entry;
    int status = 0;
    if (!d)
        return err_errno(err, "%s", folder);
    while (!status && (errno = 0, entry = readdir(d)))
        if (hf_is_carried(entry->d_name))
            status = copy_file(dir, folder, entry->d_name, err);
    if (!status && errno)
        status = err_errno(err, "%s", folder);
    closedir(d);
    return status;
}

static int write_files(struct merge *m, const struct plan *plan, struct outdir *dir,
                       struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    for (size_t shard = 0; shard < plan->n_shards; shard++)
        if (write_shard(m, plan, shard, dir, err))
            return -1;
    if (write_index(plan, dir, err) || write_config(m, plan, dir, err))
        return -1;
    return g ? hf_write_tokenizer(dir, g, err) : copy_files(m, dir, err);
}

int merge_write_folder(struct merge *m, const char *path, int type, size_t shard_bytes,
                       bool replace, struct err *err)
{
    struct plan plan = {0};
    struct outdir dir = {0};
    int status = make_plan(m, type, shard_bytes, &plan, err);
    if (!status)
        status = outdir_open(&dir, path, replace, "config.json", err);
    if (!status) {
        status = write_files(m, &plan, &dir, err);
        if (status)
            outdir_abandon(&dir);
        else
            status = outdir_commit(&dir, err);
    }
    free(plan.tensors);
    return status;
}
