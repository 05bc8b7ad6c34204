/* A fine-tuned model as a Hugging Face folder. */
#include <dirent.h>
#include <errno.h>
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
#include "model/full.h"
#include "model/hf_files.h"
#include "model/hf_shards.h"
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
    bool there = file_exists(path);
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
    while (!status && (errno = 0, entry = readdir(d)))
        if (is_weights(entry->d_name))
            status = drop(folder, entry->d_name, err);
    if (!status && errno)
        status = err_errno(err, "%s", folder);
    closedir(d);
    return status;
}

/* ---- weights ---- */

static void decide(void *arg, struct hf_shard_tensor *t)
{
    const struct full_output *out = arg;
    t->turned = t->name.transposed;
    t->type = out->type == FULL_F32    ? DTYPE_F32
              : out->type == FULL_F16  ? DTYPE_F16
              : out->type == FULL_BF16 ? DTYPE_BF16
                                       : names_tensor(out->base, &t->name)->dtype;
}

/* l may be a view, which has no lookup table of its own. */
static const struct lora_weight *find_trained(const struct lora *l, const struct tensor_name *name)
{
    for (size_t i = 0; i < l->n_weights; i++)
        if (l->weights[i].slot == name->slot && l->weights[i].layer == name->layer)
            return &l->weights[i];
    return NULL;
}

/* One tensor on its way out. */
struct source {
    const struct hf_shard_tensor *to;
    const struct tensor *base;
    const struct lora_weight *trained; /* NULL: as in the base */
};

enum { PIECE = 1 << 16 };

/* Numbers [at, at + n) of the tensor as it is stored. */
static void stored_piece(const struct source *p, size_t at, size_t n, float *x)
{
    const struct dtype_info *base = &dtypes[p->base->dtype];
    if (!p->trained) {
        base->to_float((const uint8_t *)p->base->data + at / base->block * base->block_bytes, x, n);
        return;
    }
    if (!p->to->turned) {
        memcpy(x, p->trained->values + at, n * sizeof *x);
        return;
    }
    const size_t rows = p->trained->rows, cols = p->trained->cols;
    for (size_t i = 0; i < n; i++)
        x[i] = p->trained->values[(at + i) % rows * cols + (at + i) / rows];
}

static int check_piece(const struct hf_shard_tensor *t, const float *x, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]) || (t->type == DTYPE_F16 && fabsf(x[i]) > 65504))
            return err_set(err, "tensor %s: %g is too large for %s", t->name.hf, (double)x[i],
                           dtypes[t->type].name);
    return 0;
}

static int write_tensor(struct safetensors_writer *w, const struct source *p, struct err *err)
{
    const struct hf_shard_tensor *t = p->to;
    if (!p->trained && t->type == p->base->dtype)
        return safetensors_writer_write(w, p->base->data, p->base->bytes, err);
    float *x = xcalloc(PIECE, sizeof *x);
    uint8_t *bytes = xcalloc(PIECE, sizeof *x);
    int status = 0;
    for (size_t at = 0; at < t->numbers && !status; at += PIECE) {
        size_t n = size_min(PIECE, t->numbers - at), len;
        stored_piece(p, at, n, x);
        dtypes[t->type].from_float(x, bytes, n);
        dtype_bytes(t->type, n, &len);
        status = check_piece(t, x, n, err) || safetensors_writer_write(w, bytes, len, err) ? -1 : 0;
    }
    free(x);
    free(bytes);
    return status;
}

static int write_shard(const char *folder, const struct full_output *out,
                       const struct hf_shards *plan, const struct lora *l, size_t shard,
                       struct err *err)
{
    char name[HF_SHARD_NAME];
    struct safetensors_writer *w = hf_shards_writer(plan, shard, out->provenance);
    hf_shards_name(plan, shard, name);
    char *path = join(folder, name);
    int status = safetensors_writer_open(w, path, err);
    free(path);
    for (size_t i = 0; i < plan->n && !status; i++) {
        const struct hf_shard_tensor *t = &plan->tensors[i];
        const struct source from = {t, names_tensor(out->base, &t->name),
                                    find_trained(l, &t->name)};
        if (t->shard == shard)
            status = write_tensor(w, &from, err);
    }
    if (!status)
        return safetensors_writer_finish(w, err);
    safetensors_writer_abandon(w);
    return -1;
}

/* ---- the other files ---- */

static int write_json(const char *folder, const char *name, const json_t *v, struct err *err)
{
    char *path = join(folder, name);
    int status = hf_write_json(path, v, err);
    free(path);
    return status;
}

static int write_index(const char *folder, const struct hf_shards *plan, struct err *err)
{
    json_t *index = hf_shards_index(plan);
    int status = index ? write_json(folder, "model.safetensors.index.json", index, err) : 0;
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

struct place {
    const char *folder;
    char *path;
};

static const char *place(void *arg, const char *name)
{
    struct place *p = arg;
    free(p->path);
    return p->path = join(p->folder, name);
}

static int carry_files(const char *folder, const struct full_output *out, struct err *err)
{
    struct place to = {folder, NULL};
    int status = hf_carry_files(checkpoint_path(out->base), place, &to, err);
    free(to.path);
    return status;
}

int full_save(const char *folder, const struct full_output *out, const struct lora *l,
              struct err *err)
{
    struct hf_shards plan = {0};
    int status = directory_make(folder, err) || hf_shards_plan(&plan, out->model, out->shard_bytes,
                                                               decide, (void *)(uintptr_t)out, err)
                     ? -1
                     : 0;
    for (size_t shard = 0; !status && shard < plan.n_shards; shard++)
        status = write_shard(folder, out, &plan, l, shard, err);
    if (!status)
        status = write_index(folder, &plan, err) || carry_files(folder, out, err) ||
                         write_config(folder, out, err)
                     ? -1
                     : 0;
    hf_shards_release(&plan);
    return status;
}
