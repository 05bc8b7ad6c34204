#include "formats/checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/gguf.h"

enum {
    CONFIG_LIMIT = 16 << 20, /* bytes of config.json */
    INDEX_LIMIT = 256 << 20, /* and of model.safetensors.index.json */
};

struct checkpoint {
    char *path;
    struct gguf *gguf;           /* or: */
    json_t *config;              /* config.json */
    struct safetensors **shards; /* [n_shards] */
    size_t n_shards;
    const struct tensor **tensors; /* [n] in the files' order */
    const struct tensor **by_name; /* [n] sorted */
    size_t n;
    struct tensor *parts; /* [n_parts] of stacks in GGUF files, with names of their own */
    size_t n_parts;
};

static char *join(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    size_t len = strlen(folder);
    buf_addf(&b, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
    return buf_detach(&b, NULL);
}

static bool exists(const char *folder, const char *name)
{
    char *path = join(folder, name);
    bool found = file_exists(path);
    free(path);
    return found;
}

/* A JSON object in a file of the folder. NULL with a message that names it. */
static json_t *read_object(const char *folder, const char *name, size_t limit, struct err *err)
{
    char *path = join(folder, name);
    size_t len;
    json_error_t problem;
    json_t *v = NULL;
    char *text = file_read(path, limit, &len, err);
    if (text) {
        v = json_loadb(text, len, JSON_REJECT_DUPLICATES, &problem);
        if (!v)
            err_set(err, "%s:%d: %s", path, problem.line, problem.text);
        else if (!json_is_object(v)) {
            err_set(err, "%s: is not a JSON object", path);
            json_decref(v);
            v = NULL;
        }
    }
    free(text);
    free(path);
    return v;
}

static int compare_name(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The sorted view, once `tensors` is filled. A name in two shards is an error. */
static int sort_names(struct checkpoint *c, struct err *err)
{
    c->by_name = xcalloc(c->n, sizeof *c->by_name);
    if (c->n)
        memcpy(c->by_name, c->tensors, c->n * sizeof *c->by_name);
    qsort(c->by_name, c->n, sizeof *c->by_name, compare_name);
    for (size_t i = 1; i < c->n; i++)
        if (!compare_name(&c->by_name[i - 1], &c->by_name[i]))
            return err_set(err, "%s: tensor %s is in %s too", c->by_name[i]->file,
                           c->by_name[i]->name, c->by_name[i - 1]->file);
    return 0;
}

static int open_shard(struct checkpoint *c, const char *name, struct err *err)
{
    char *path = join(c->path, name);
    int status = safetensors_open(&c->shards[c->n_shards], path, err);
    free(path);
    if (status)
        return -1;
    const struct safetensors *s = c->shards[c->n_shards++];
    size_t n = safetensors_count(s);
    c->tensors = xreallocarray(c->tensors, c->n + n, sizeof *c->tensors);
    for (size_t i = 0; i < n; i++)
        c->tensors[c->n++] = safetensors_at(s, i);
    return 0;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The index and the shards must say the same: no tensor elsewhere, none left over. */
static int check_index(const struct checkpoint *c, const json_t *map, struct err *err)
{
    const char *name;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const struct tensor *t = checkpoint_find(c, name);
        const char *want = json_string_value(file);
        if (!t)
            return err_set(err, "%s/model.safetensors.index.json: tensor %s is not in %s", c->path,
                           name, want);
        const char *slash = strrchr(t->file, '/');
        if (strcmp(slash ? slash + 1 : t->file, want) != 0)
            return err_set(err, "%s: tensor %s should be in %s, says the index", t->file, name,
                           want);
    }
    for (size_t i = 0; i < c->n; i++)
        if (!json_object_get(map, c->tensors[i]->name))
            return err_set(err, "%s: tensor %s is not in model.safetensors.index.json",
                           c->tensors[i]->file, c->tensors[i]->name);
    return 0;
}

static int open_shards_of(struct checkpoint *c, const json_t *map, struct err *err)
{
    size_t n = 0, n_tensors = json_object_size(map);
    const char **files = xcalloc(n_tensors, sizeof *files), *name;
    json_t *file;
    int status = 0;
    json_object_foreach((json_t *)(uintptr_t)map, name, file)
    {
        const char *text = json_string_value(file);
        if (!text || !*text || *text == '.' || strchr(text, '/')) {
            status = err_set(err, "%s/model.safetensors.index.json: %s is in no file beside it",
                             c->path, name);
            goto done;
        }
        files[n++] = text;
    }
    qsort(files, n, sizeof *files, compare_text);
    size_t different = 0;
    for (size_t i = 0; i < n; i++)
        if (!i || strcmp(files[i - 1], files[i]) != 0)
            different++;
    c->shards = xcalloc(different, sizeof *c->shards);
    for (size_t i = 0; i < n && !status; i++)
        if (!i || strcmp(files[i - 1], files[i]) != 0)
            status = open_shard(c, files[i], err);
done:
    free(files);
    return status;
}

static int open_sharded(struct checkpoint *c, struct err *err)
{
    json_t *index = read_object(c->path, "model.safetensors.index.json", INDEX_LIMIT, err);
    if (!index)
        return -1;
    const json_t *map = json_object_get(index, "weight_map");
    int status = json_is_object(map)
                     ? open_shards_of(c, map, err)
                     : err_set(err, "%s/model.safetensors.index.json: has no weight_map", c->path);
    if (!status)
        status = sort_names(c, err);
    if (!status)
        status = check_index(c, map, err);
    json_decref(index);
    return status;
}

static int open_folder(struct checkpoint *c, struct err *err)
{
    if (!exists(c->path, "config.json"))
        return err_set(err,
                       "%s: has no config.json: a model is a folder with config.json and "
                       "model.safetensors, or a GGUF file",
                       c->path);
    c->config = read_object(c->path, "config.json", CONFIG_LIMIT, err);
    if (!c->config)
        return -1;
    if (exists(c->path, "model.safetensors")) {
        c->shards = xcalloc(1, sizeof *c->shards);
        return open_shard(c, "model.safetensors", err) ? -1 : sort_names(c, err);
    }
    if (exists(c->path, "model.safetensors.index.json"))
        return open_sharded(c, err);
    return err_set(err, "%s: has neither model.safetensors nor model.safetensors.index.json%s",
                   c->path,
                   exists(c->path, "pytorch_model.bin") ? " (pytorch_model.bin is not read)" : "");
}

/*
 * GGUF files keep the matrices of all experts in one tensor [experts, rows, columns],
 * "X_exps.weight". Here each is a tensor of its own, "X.E.weight", which is what older files have.
 */
static const char stack_end[] = "_exps.weight";
enum { MAX_STACK = 4096, MIN_PART = 16 }; /* bytes: a small file can't ask for much memory */

static bool is_stack(const struct tensor *t)
{
    size_t n = strlen(t->name), end = sizeof stack_end - 1;
    return t->n_dims == 3 && n > end && !strcmp(t->name + n - end, stack_end) && t->shape[0] >= 1 &&
           t->shape[0] <= MAX_STACK && t->bytes / t->shape[0] >= MIN_PART;
}

/* The i-th matrix of a stack. */
static struct tensor part_of(const struct tensor *stack, size_t i)
{
    struct buf name = BUF_INIT;
    struct tensor part = *stack;
    size_t stem = strlen(stack->name) - (sizeof stack_end - 1);
    buf_addf(&name, "%.*s.%zu.weight", (int)stem, stack->name, i);
    part.name = buf_detach(&name, NULL);
    part.n_dims = 2;
    part.shape[0] = stack->shape[1];
    part.shape[1] = stack->shape[2];
    part.bytes = stack->bytes / (size_t)stack->shape[0];
    part.data = (const char *)stack->data + i * part.bytes;
    return part;
}

static int open_gguf(struct checkpoint *c, struct err *err)
{
    if (gguf_open(&c->gguf, c->path, err))
        return -1;
    size_t n = gguf_tensor_count(c->gguf), n_parts = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = gguf_tensor(c->gguf, i);
        n_parts += is_stack(t) ? (size_t)t->shape[0] : 0;
    }
    c->tensors = xcalloc(n + n_parts, sizeof *c->tensors);
    c->parts = xcalloc(n_parts, sizeof *c->parts);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = gguf_tensor(c->gguf, i);
        if (!is_stack(t))
            c->tensors[c->n++] = t;
        for (size_t k = 0; is_stack(t) && k < t->shape[0]; k++) {
            c->parts[c->n_parts] = part_of(t, k);
            c->tensors[c->n++] = &c->parts[c->n_parts++];
        }
    }
    return sort_names(c, err);
}

int checkpoint_open(struct checkpoint **out, const char *path, struct err *err)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st))
        return err_errno(err, "%s", path);
    struct checkpoint *c = xcalloc(1, sizeof *c);
    c->path = xstrdup(path);
    if (S_ISDIR(st.st_mode) ? open_folder(c, err) : open_gguf(c, err)) {
        checkpoint_close(c);
        return -1;
    }
    *out = c;
    return 0;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    gguf_close(c->gguf);
    for (size_t i = 0; i < c->n_parts; i++)
        free((char *)(uintptr_t)c->parts[i].name);
    free(c->parts);
    json_decref(c->config);
    for (size_t i = 0; i < c->n_shards; i++)
        safetensors_close(c->shards[i]);
    free(c->shards);
    free(c->tensors);
    free(c->by_name);
    free(c->path);
    free(c);
}

const char *checkpoint_path(const struct checkpoint *c)
{
    return c->path;
}

size_t checkpoint_count(const struct checkpoint *c)
{
    return c->n;
}

const struct tensor *checkpoint_at(const struct checkpoint *c, size_t i)
{
    return c->tensors[i];
}

const struct tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
    const struct tensor key = {.name = name}, *p = &key;
    const struct tensor **found =
        c->n ? bsearch(&p, c->by_name, c->n, sizeof *c->by_name, compare_name) : NULL;
    return found ? *found : NULL;
}

const struct gguf *checkpoint_gguf(const struct checkpoint *c)
{
    return c->gguf;
}

const json_t *checkpoint_config(const struct checkpoint *c)
{
    return c->config;
}

const char *checkpoint_metadata(const struct checkpoint *c, const char *key, size_t *len)
{
    struct gguf_string s;
    if (c->gguf) {
        *len = gguf_get_string(c->gguf, key, &s) ? s.len : 0;
        return *len ? s.p : NULL;
    }
    const json_t *metadata = c->n_shards ? safetensors_metadata(c->shards[0]) : NULL;
    const json_t *v = json_object_get(metadata, key);
    *len = json_string_length(v);
    return json_string_value(v);
}

/* The pages that lie wholly (inner) or partly inside of the tensor. */
static bool pages_of(const struct tensor *t, bool inner, void **start, size_t *len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)t->data,
              end = begin + t->bytes;
    begin = inner ? (begin + page - 1) & -page : begin & -page;
    end &= -page;
    *start = (void *)begin;
    *len = end > begin ? end - begin : 0;
    return *len > 0;
}

void tensor_prefetch(const struct tensor *t)
{
    void *start;
    size_t len;
    if (pages_of(t, false, &start, &len))
        madvise(start, len, MADV_WILLNEED);
}

void tensor_done(const struct tensor *t)
{
    void *start;
    size_t len;
    if (pages_of(t, true, &start,
                 &len)) /* a read-only mapping: the pages come back from the file */
        madvise(start, len, MADV_DONTNEED);
}

struct hashing {
    const struct tensor *const *tensors; /* [n] */
    const struct tensor **by_name;       /* [n] sorted */
    size_t n;
    char (*digests)[HASH_HEX]; /* [n] by name */
};

/* Each tensor's data is hashed by itself, in large pieces from front to back. */
static void hash_tensor(void *arg, size_t i, size_t thread)
{
    enum { PIECE = 4 << 20 };
    const struct hashing *job = arg;
    const struct tensor *t = job->tensors[i], **place;
    struct hash *h = hash_new();
    (void)thread;
    for (size_t at = 0; at < t->bytes; at += PIECE) {
        struct tensor part = *t;
        part.data = (const char *)t->data + at;
        part.bytes = t->bytes - at < PIECE ? t->bytes - at : PIECE;
        tensor_prefetch(&part);
        hash_add(h, part.data, part.bytes);
        tensor_done(&part);
    }
    place = bsearch(&t, job->by_name, job->n, sizeof *job->by_name, compare_name);
    hash_hex(h, job->digests[place - job->by_name]);
    hash_free(h);
}

/* A line for each tensor, in the order of names: no order of files matters. */
void tensors_hash(const struct tensor *const *tensors, size_t n, struct pool *pool, char hex[33])
{
    struct hashing job = {tensors, xcalloc(n, sizeof *job.by_name), n,
                          xcalloc(n, sizeof *job.digests)};
    struct hash *all = hash_new();
    if (n)
        memcpy(job.by_name, tensors, n * sizeof *job.by_name);
    qsort(job.by_name, n, sizeof *job.by_name, compare_name);
    if (pool)
        pool_run(pool, n, hash_tensor, &job);
    for (size_t i = 0; i < n && !pool; i++)
        hash_tensor(&job, i, 0);
    for (size_t i = 0; i < n; i++) {
        struct buf line = BUF_INIT;
        const struct tensor *t = job.by_name[i];
        buf_addf(&line, "%s %s", t->name, dtypes[t->dtype].name);
        for (size_t d = 0; d < t->n_dims; d++)
            buf_addf(&line, " %llu", (unsigned long long)t->shape[d]);
        buf_addf(&line, " %s\n", job.digests[i]);
        hash_add(all, line.p, line.len);
        buf_release(&line);
    }
    hash_hex(all, hex);
    hash_free(all);
    free(job.by_name);
    free(job.digests);
}

void checkpoint_hash(const struct checkpoint *c, struct pool *pool, char hex[33])
{
    tensors_hash(c->tensors, c->n, pool, hex);
}
