/* A fine-tuned model as a Hugging Face folder. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "formats/dtype.h"
#include "formats/json.h"
#include "model/full.h"
#include "model/hf_files.h"
#include "model/names.h"

const char *const full_type_choices[] = {"base", "f32", "f16", "bf16", NULL};

static char *join(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%s", folder, name);
    return buf_detach(&b, NULL);
}

/* ---- the folder ---- */

static bool is_weights(const char *name)
{
    return !strncmp(name, "model", 5) && strstr(name, ".safetensors");
}

static bool exists(const char *folder, const char *name)
{
    char *path = join(folder, name);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

int full_check_folder(const char *folder, const struct checkpoint *base, struct err *err)
{
    struct stat a, b;
    if (checkpoint_gguf(base))
        return err_set(err,
                       "%s: --full writes a Hugging Face folder, and wants one as the model; "
                       "ft-merge makes one of a GGUF file",
                       checkpoint_path(base));
    if (!stat(folder, &a) && !stat(checkpoint_path(base), &b) && a.st_dev == b.st_dev &&
        a.st_ino == b.st_ino)
        return err_set(err, "%s: is the model itself; the new one wants another folder", folder);
    if ((exists(folder, "config.json") || exists(folder, "model.safetensors")) &&
        !exists(folder, "train_state.safetensors"))
        return err_set(err, "%s: holds a model that no training run made", folder);
    return 0;
}

static int drop(const char *folder, const char *name, struct err *err)
{
    char *path = join(folder, name);
    int status = unlink(path) && errno != ENOENT ? err_errno(err, "%s", path) : 0;
    free(path);
    return status;
}

int full_drop(const char *folder, struct err *err)
{
    struct dirent *entry;
    DIR *d = opendir(folder);
    if (!d)
        return err_errno(err, "%s", folder);
    int status = drop(folder, "config.json", err);
    while (!status && (entry = readdir(d)))
        if (is_weights(entry->d_name))
            status = drop(folder, entry->d_name, err);
    closedir(d);
    return status;
}

/* ---- weights ---- */

struct planned {
    struct tensor_name name;
    const struct tensor *base;
    const struct lora_weight *trained; /* NULL: as in the base */
    enum dtype type;
    size_t numbers, shard;
};

struct plan {
    struct planned *tensors;
    size_t n, n_shards, bytes;
};

static enum dtype type_of(const struct full_output *out, const struct tensor *base)
{
    return out->type == FULL_F32    ? DTYPE_F32
           : out->type == FULL_F16  ? DTYPE_F16
           : out->type == FULL_BF16 ? DTYPE_BF16
                                    : base->dtype;
}

/* l may be a view, which has no lookup table of its own. */
static const struct lora_weight *find_trained(const struct lora *l, const struct tensor_name *name)
{
    for (size_t i = 0; i < l->n_weights; i++)
        if (l->weights[i].slot == name->slot && l->weights[i].layer == name->layer)
            return &l->weights[i];
    return NULL;
}

static int make_plan(struct plan *plan, const struct full_output *out, const struct lora *l,
                     struct err *err)
{
    size_t in_shard = 0;
    plan->n = names_count(out->model);
    plan->tensors = xcalloc(plan->n, sizeof *plan->tensors);
    for (size_t i = 0; i < plan->n; i++) {
        struct planned *p = &plan->tensors[i];
        size_t bytes;
        names_at(out->model, i, &p->name);
        p->base = names_tensor(out->base, &p->name);
        p->trained = find_trained(l, &p->name);
        p->type = type_of(out, p->base);
        p->numbers = (size_t)(p->name.rows * (p->name.n_dims == 1 ? 1 : p->name.cols));
        if (!dtype_bytes(p->type, p->numbers, &bytes))
            return err_set(err, "tensor %s is too large", p->name.hf);
        if (in_shard && (bytes > out->shard_bytes || in_shard > out->shard_bytes - bytes)) {
            plan->n_shards++;
            in_shard = 0;
        }
        p->shard = plan->n_shards;
        in_shard += bytes;
        plan->bytes += bytes;
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

enum { PIECE = 1 << 16 };

/* Numbers [at, at + n) of the tensor as it is stored. */
static void stored_piece(const struct planned *p, size_t at, size_t n, float *x)
{
    const struct dtype_info *base = &dtypes[p->base->dtype];
    if (!p->trained) {
        base->to_float((const uint8_t *)p->base->data + at / base->block * base->block_bytes, x, n);
        return;
    }
    if (!p->name.transposed) {
        memcpy(x, p->trained->values + at, n * sizeof *x);
        return;
    }
    const size_t rows = p->trained->rows, cols = p->trained->cols;
    for (size_t i = 0; i < n; i++)
        x[i] = p->trained->values[(at + i) % rows * cols + (at + i) / rows];
}

static int check_piece(const struct planned *p, const float *x, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (p->type == DTYPE_F16 && fabsf(x[i]) > 65504))
            return err_set(err, "tensor %s: %g is too large for %s", p->name.hf, (double)x[i],
                           dtypes[p->type].name);
    return 0;
}

static int write_tensor(struct safetensors_writer *w, const struct planned *p, struct err *err)
{
    if (!p->trained && p->type == p->base->dtype)
        return safetensors_writer_write(w, p->base->data, p->base->bytes, err);
    float *x = xcalloc(PIECE, sizeof *x);
    uint8_t *bytes = xcalloc(PIECE, sizeof *x);
    int status = 0;
    for (size_t at = 0; at < p->numbers && !status; at += PIECE) {
        size_t n = size_min(PIECE, p->numbers - at), len;
        stored_piece(p, at, n, x);
        dtypes[p->type].from_float(x, bytes, n);
        dtype_bytes(p->type, n, &len);
        status = check_piece(p, x, n, err) || safetensors_writer_write(w, bytes, len, err) ? -1 : 0;
    }
    free(x);
    free(bytes);
    return status;
}

static int write_shard(const char *folder, const struct full_output *out, const struct plan *plan,
                       size_t shard, struct err *err)
{
    char name[64];
    struct safetensors_writer *w = safetensors_writer_new();
    safetensors_writer_metadata(w, "format", "pt"); /* transformers' loader asks for it */
    if (out->provenance)
        safetensors_writer_metadata(w, "tuneutils.provenance", out->provenance);
    for (size_t i = 0; i < plan->n; i++) {
        const struct planned *p = &plan->tensors[i];
        const bool turned = p->name.transposed;
        const uint64_t shape[] = {turned ? p->name.cols : p->name.rows,
                                  turned ? p->name.rows : p->name.cols};
        if (p->shard == shard)
            safetensors_writer_declare(w, p->name.hf, p->type, p->name.n_dims, shape);
    }
    shard_name(plan, shard, name);
    char *path = join(folder, name);
    int status = safetensors_writer_open(w, path, err);
    free(path);
    for (size_t i = 0; i < plan->n && !status; i++)
        if (plan->tensors[i].shard == shard)
            status = write_tensor(w, &plan->tensors[i], err);
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

/* ---- the other files ---- */

static int write_json(const char *folder, const char *name, const json_t *v, struct err *err)
{
    struct buf text = BUF_INIT;
    char *path = join(folder, name);
    json_add_pretty(&text, v);
    buf_addch(&text, '\n');
    int status = file_write(path, text.p, text.len, err);
    free(path);
    buf_release(&text);
    return status;
}

static int write_index(const char *folder, const struct plan *plan, struct err *err)
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
    int status = write_json(folder, "model.safetensors.index.json", index, err);
    json_decref(index);
    return status;
}

static int write_config(const char *folder, const struct full_output *out, struct err *err)
{
    static const char *const torch_names[] = {NULL, "float32", "float16", "bfloat16"};
    json_t *config = json_deep_copy((json_t *)(uintptr_t)checkpoint_config(out->base));
    /* transformers 5 calls it dtype, and reads the old name too. */
    const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
    if (out->type != FULL_AS_BASE)
        json_object_set_new(config, key, json_string(torch_names[out->type]));
    int status = write_json(folder, "config.json", config, err);
    json_decref(config);
    return status;
}

static int copy_file(const char *from, const char *to, const char *name, struct err *err)
{
    char *source = join(from, name), *target = join(to, name);
    struct mapfile file;
    struct stat st;
    int status = 0;
    if (stat(source, &st))
        status = err_errno(err, "%s", source);
    else if (S_ISREG(st.st_mode) && !(status = mapfile_open(&file, source, err))) {
        status = file_write(target, file.p, file.size, err);
        mapfile_close(&file);
    }
    free(source);
    free(target);
    return status;
}

static int copy_files(const char *folder, const struct full_output *out, struct err *err)
{
    const char *from = checkpoint_path(out->base);
    struct dirent *entry;
    DIR *d = opendir(from);
    int status = 0;
    if (!d)
        return err_errno(err, "%s", from);
    while (!status && (errno = 0, entry = readdir(d)))
        if (hf_is_carried(entry->d_name))
            status = copy_file(from, folder, entry->d_name, err);
    if (!status && errno)
        status = err_errno(err, "%s", from);
    closedir(d);
    return status;
}

int full_save(const char *folder, const struct full_output *out, const struct lora *l,
              struct err *err)
{
    struct plan plan = {0};
    int status = directory_make(folder, err) || make_plan(&plan, out, l, err) ? -1 : 0;
    for (size_t shard = 0; !status && shard < plan.n_shards; shard++)
        status = write_shard(folder, out, &plan, shard, err);
    if (!status)
        status = write_index(folder, &plan, err) || copy_files(folder, out, err) ||
                         write_config(folder, out, err)
                     ? -1
                     : 0;
    free(plan.tensors);
    return status;
}
