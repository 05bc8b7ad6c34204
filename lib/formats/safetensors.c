/*
 * One .safetensors file: u64 length of the header, the header (a JSON object), the data. The format
 * and its rules are those of the safetensors library's README: data offsets are relative to the end
 * of the header and cover the data without overlaps and holes.
 */
#include "formats/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"

enum { HEADER_LIMIT = 100000000 }; /* the safetensors library's own */

struct safetensors {
    struct mapfile map;
    char *path;
    json_t *header;          /* owns the tensors' names */
    struct tensor *tensors;  /* [n] in order of their data */
    struct tensor **by_name; /* [n] sorted */
    size_t n;
};

/* A dimension or an offset: a whole number that isn't negative. */
static bool json_u64(const json_t *v, uint64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static int read_shape(const json_t *shape, struct tensor *t, uint64_t *numbers, struct err *err)
{
    if (!json_is_array(shape))
        return err_set(err, "has no shape");
    t->n_dims = json_array_size(shape);
    if (t->n_dims > TENSOR_MAX_DIMS)
        return err_set(err, "has %zu dimensions, more than the %d that are supported", t->n_dims,
                       TENSOR_MAX_DIMS);
    *numbers = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        if (!json_u64(json_array_get(shape, i), &t->shape[i]))
            return err_set(err, "dimension %zu is not a whole number", i);
    for (size_t i = 0; i < t->n_dims; i++)
        if (__builtin_mul_overflow(*numbers, t->shape[i], numbers))
            return err_set(err, "shape has more numbers than can be addressed");
    return 0;
}

static int read_entry(struct tensor *t, const json_t *entry, const uint8_t *data, size_t data_size,
                      struct err *err)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (!type)
        return err_set(err, "has no dtype");
    if (!dtype_by_safetensors(type, &t->dtype))
        return err_set(err, "dtype %s is none of F32, F16, BF16", type);
    uint64_t numbers = 0, begin, end;
    if (read_shape(json_object_get(entry, "shape"), t, &numbers, err))
        return -1;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !json_u64(json_array_get(offsets, 0), &begin) ||
        !json_u64(json_array_get(offsets, 1), &end))
        return err_set(err, "has no data_offsets of two whole numbers");
    if (begin > end || end > data_size)
        return err_set(
            err, "data at %" PRIu64 " to %" PRIu64 " is not inside the file's %zu bytes of data",
            begin, end, data_size);
    if (!dtype_bytes(t->dtype, numbers, &t->bytes) || t->bytes != end - begin)
        return err_set(err, "shape and dtype %s don't fit its %" PRIu64 " bytes of data", type,
                       end - begin);
    t->data = data + begin;
    return 0;
}

static int compare_data(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->data != y->data)
        return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    if (x->bytes != y->bytes) /* empty ones first */
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* With the tensors in order of their data: each begins where the one before it ended. */
static int check_cover(const struct safetensors *s, const uint8_t *data, size_t data_size,
                       struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct tensor *t = &s->tensors[i];
        size_t begin = (size_t)((const uint8_t *)t->data - data);
        if (begin != at)
            return err_set(err,
                           "tensor %s: data begins at %zu, but what comes before it ends at %zu",
                           t->name, begin, at);
        at += t->bytes;
    }
    if (at != data_size)
        return err_set(err, "%zu bytes follow the last tensor", data_size - at);
    return 0;
}

static int check_metadata(const json_t *metadata, struct err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return err_set(err, "__metadata__ is not an object");
    json_object_foreach(
        (json_t *)(uintptr_t)metadata, key,
        value) if (!json_is_string(value)) return err_set(err, "__metadata__.%s is not a string",
                                                          key);
    return 0;
}

static int read_header(struct safetensors *s, struct err *err)
{
    struct cursor c;
    json_error_t problem;
    cursor_init(&c, s->map.p, s->map.size);
    uint64_t len = cursor_u64(&c);
    if (c.failed)
        return err_set(err, "is cut off: %zu bytes are no safetensors file", s->map.size);
    if (len > HEADER_LIMIT || len > cursor_left(&c))
        return err_set(err, "header of %" PRIu64 " bytes, but the file has %zu", len, s->map.size);
    const uint8_t *text = cursor_bytes(&c, len);
    s->header = json_loadb((const char *)text, (size_t)len, JSON_REJECT_DUPLICATES, &problem);
    if (!s->header)
        return err_set(err, "header: %s at byte %d", problem.text, 8 + problem.position);
    if (!json_is_object(s->header))
        return err_set(err, "header is not a JSON object");

    size_t data_size = cursor_left(&c);
    const uint8_t *data = c.p;
    const char *name;
    json_t *entry;
    s->tensors = xcalloc(json_object_size(s->header), sizeof *s->tensors);
    json_object_foreach(s->header, name, entry)
    {
        if (!strcmp(name, "__metadata__")) {
            if (check_metadata(entry, err))
                return -1;
            continue;
        }
        struct tensor *t = &s->tensors[s->n++];
        t->name = name;
        t->file = s->path;
        if (read_entry(t, entry, data, data_size, err))
            return err_prefix(err, "tensor %s", name);
    }
    qsort(s->tensors, s->n, sizeof *s->tensors, compare_data);
    return check_cover(s, data, data_size, err);
}

int safetensors_open(struct safetensors **out, const char *path, struct err *err)
{
    struct safetensors *s = xcalloc(1, sizeof *s);
    *out = NULL;
    if (mapfile_open(&s->map, path, err)) {
        free(s);
        return -1;
    }
    s->path = xstrdup(path);
    if (read_header(s, err)) {
        err_prefix(err, "%s", path);
        safetensors_close(s);
        return -1;
    }
    s->by_name = xcalloc(s->n, sizeof *s->by_name);
    for (size_t i = 0; i < s->n; i++)
        s->by_name[i] = &s->tensors[i];
    qsort(s->by_name, s->n, sizeof *s->by_name, compare_name);
    *out = s;
    return 0;
}

void safetensors_close(struct safetensors *s)
{
    if (!s)
        return;
    json_decref(s->header);
    mapfile_close(&s->map);
    free(s->tensors);
    free(s->by_name);
    free(s->path);
    free(s);
}

size_t safetensors_count(const struct safetensors *s)
{
    return s->n;
}

const struct tensor *safetensors_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const struct tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    struct tensor key = {.name = name}, *p = &key;
    struct tensor **found = bsearch(&p, s->by_name, s->n, sizeof *s->by_name, compare_name);
    return found ? *found : NULL;
}

const json_t *safetensors_metadata(const struct safetensors *s)
{
    return json_object_get(s->header, "__metadata__");
}

/* Writing */

struct safetensors_writer {
    json_t *metadata, *header;
    size_t data_size, written;
    struct err problem; /* the first thing that can't be stored; reported by open */
    struct outfile out;
};

struct safetensors_writer *safetensors_writer_new(void)
{
    struct safetensors_writer *w = xcalloc(1, sizeof *w);
    w->metadata = json_object();
    w->header = json_object();
    return w;
}

static void cannot_store(struct safetensors_writer *w, const char *name, const char *why)
{
    if (!w->problem.msg[0])
        err_set(&w->problem, "%s: %s", name, why);
}

void safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value)
{
    if (json_object_set_new(w->metadata, key, json_string(value)))
        cannot_store(w, key, "metadata that is not UTF-8");
}

void safetensors_writer_declare(struct safetensors_writer *w, const char *name, enum dtype dtype,
                                size_t n_dims, const uint64_t *shape)
{
    uint64_t numbers = 1;
    size_t bytes, begin = w->data_size;
    bool fits = true;
    json_t *dims = json_array();
    for (size_t i = 0; i < n_dims; i++) {
        json_array_append_new(dims, json_integer((json_int_t)shape[i]));
        fits &= !__builtin_mul_overflow(numbers, shape[i], &numbers);
    }
    if (!fits || !dtype_bytes(dtype, numbers, &bytes) || !size_add(begin, bytes, &w->data_size))
        cannot_store(w, name, "too large");
    if (!dtypes[dtype].safetensors)
        cannot_store(w, name, "a type that safetensors doesn't have");
    if (json_object_get(w->header, name))
        cannot_store(w, name, "declared twice");
    json_t *entry = json_object();
    json_object_set_new(entry, "dtype", json_string(dtypes[dtype].safetensors));
    json_object_set_new(entry, "shape", dims);
    json_object_set_new(entry, "data_offsets",
                        json_pack("[I, I]", (json_int_t)begin, (json_int_t)w->data_size));
    if (json_object_set_new(w->header, name, entry))
        cannot_store(w, "a tensor", "its name is not UTF-8");
}

static int add_text(const char *p, size_t len, void *arg)
{
    buf_add(arg, p, len);
    return 0;
}

/* Length and header, padded with spaces so that the data begins at a multiple of 8. */
static void make_header(const struct safetensors_writer *w, struct buf *b)
{
    static const char zeros[8];
    json_t *all = json_object();
    if (json_object_size(w->metadata))
        json_object_set(all, "__metadata__", w->metadata);
    json_object_update(all, w->header);
    buf_add(b, zeros, sizeof zeros);
    json_dump_callback(all, add_text, b, JSON_COMPACT);
    json_decref(all);
    while (b->len % 8)
        buf_addch(b, ' ');
    for (size_t i = 0; i < 8; i++)
        b->p[i] = (char)(uint8_t)((uint64_t)(b->len - 8) >> 8 * i);
}

int safetensors_writer_open(struct safetensors_writer *w, const char *path, struct err *err)
{
    struct buf header = BUF_INIT;
    if (w->problem.msg[0])
        return err_set(err, "%s: %s", path, w->problem.msg);
    if (outfile_open(&w->out, path, err))
        return -1;
    make_header(w, &header);
    int status = header.len - 8 > HEADER_LIMIT
                     ? err_set(err, "%s: header of %zu bytes is over the limit", path, header.len)
                     : outfile_write(&w->out, header.p, header.len, err);
    buf_release(&header);
    return status;
}

int safetensors_writer_write(struct safetensors_writer *w, const void *p, size_t len,
                             struct err *err)
{
    if (len > w->data_size - w->written)
        return err_set(err, "%s: more data than was declared", w->out.path);
    w->written += len;
    return outfile_write(&w->out, p, len, err);
}

static void writer_free(struct safetensors_writer *w)
{
    json_decref(w->metadata);
    json_decref(w->header);
    free(w);
}

int safetensors_writer_finish(struct safetensors_writer *w, struct err *err)
{
    if (w->written != w->data_size) {
        err_set(err, "%s: %zu bytes of data were declared, %zu written", w->out.path, w->data_size,
                w->written);
        safetensors_writer_abandon(w);
        return -1;
    }
    int status = outfile_commit(&w->out, err);
    writer_free(w);
    return status;
}

void safetensors_writer_abandon(struct safetensors_writer *w)
{
    if (!w)
        return;
    outfile_abandon(&w->out);
    writer_free(w);
}
