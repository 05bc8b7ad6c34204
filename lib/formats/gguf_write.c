#include "formats/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"

enum { ALIGNMENT = 32 }; /* GGUF's default, so that no key has to say it */

struct declared {
    char *name;
    size_t bytes;
};

struct gguf_writer {
    struct buf values, infos;
    uint64_t n_values;
    char **keys; /* [n_values] */
    size_t keys_cap;
    struct declared *tensors; /* [n_tensors] */
    size_t n_tensors, tensors_cap;
    uint64_t data_size;         /* with padding */
    size_t current, in_current; /* the tensor being written, and how much of it is */
    struct err problem;         /* the first thing that can't be stored; reported by open */
    struct outfile out;
};

static void put(struct buf *b, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        buf_addch(b, (char)(uint8_t)(v >> 8 * i));
}

static void put_string(struct buf *b, const char *p, size_t len)
{
    put(b, len, 8);
    buf_add(b, p, len);
}

static void put_f32(struct buf *b, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    put(b, bits, 4);
}

struct gguf_writer *gguf_writer_new(void)
{
    struct gguf_writer *w = xcalloc(1, sizeof *w);
    buf_init(&w->values);
    buf_init(&w->infos);
    return w;
}

static void cannot_store(struct gguf_writer *w, const char *name, const char *why)
{
    if (!w->problem.msg[0])
        err_set(&w->problem, "%s: %s", name, why);
}

static void begin_value(struct gguf_writer *w, const char *key, size_t len, enum gguf_type type)
{
    char *copy = xmemdup0(key, len);
    for (size_t i = 0; i < w->n_values; i++)
        if (!strcmp(w->keys[i], copy))
            cannot_store(w, copy, "set twice");
    ARRAY_GROW(w->keys, w->n_values, w->keys_cap);
    w->keys[w->n_values++] = copy;
    put_string(&w->values, key, len);
    put(&w->values, type, 4);
}

void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    begin_value(w, key, strlen(key), GGUF_U32);
    put(&w->values, v, 4);
}

void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t v)
{
    begin_value(w, key, strlen(key), GGUF_U64);
    put(&w->values, v, 8);
}

void gguf_writer_f32(struct gguf_writer *w, const char *key, float v)
{
    begin_value(w, key, strlen(key), GGUF_F32);
    put_f32(&w->values, v);
}

void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v)
{
    begin_value(w, key, strlen(key), GGUF_BOOL);
    put(&w->values, v, 1);
}

void gguf_writer_string(struct gguf_writer *w, const char *key, const char *p, size_t len)
{
    begin_value(w, key, strlen(key), GGUF_STRING);
    put_string(&w->values, p, len);
}

static void begin_array(struct gguf_writer *w, const char *key, enum gguf_type element, size_t n)
{
    begin_value(w, key, strlen(key), GGUF_ARRAY);
    put(&w->values, element, 4);
    put(&w->values, n, 8);
}

void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct gguf_string *v,
                         size_t n)
{
    begin_array(w, key, GGUF_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_string(&w->values, v[i].p, v[i].len);
}

void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
    begin_array(w, key, GGUF_I32, n);
    for (size_t i = 0; i < n; i++)
        put(&w->values, (uint32_t)v[i], 4);
}

void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
    begin_array(w, key, GGUF_F32, n);
    for (size_t i = 0; i < n; i++)
        put_f32(&w->values, v[i]);
}

void gguf_writer_copy(struct gguf_writer *w, const struct gguf_value *v)
{
    begin_value(w, v->key.p, v->key.len, v->type);
    if (v->type == GGUF_ARRAY) {
        put(&w->values, v->element, 4);
        put(&w->values, v->n, 8);
    }
    buf_add(&w->values, v->data, v->data_bytes);
}

void gguf_writer_declare(struct gguf_writer *w, const char *name, enum dtype dtype, size_t n_dims,
                         const uint64_t *shape)
{
    uint64_t numbers = 1, padded;
    size_t bytes = 0;
    bool fits = true;
    for (size_t i = 0; i < n_dims; i++)
        fits &= !__builtin_mul_overflow(numbers, shape[i], &numbers);
    if (!fits || !dtype_bytes(dtype, numbers, &bytes) ||
        (n_dims && shape[n_dims - 1] % dtypes[dtype].block))
        cannot_store(w, name, "too large, or no whole number of blocks");
    for (size_t i = 0; i < w->n_tensors; i++)
        if (!strcmp(w->tensors[i].name, name))
            cannot_store(w, name, "declared twice");
    put_string(&w->infos, name, strlen(name));
    put(&w->infos, n_dims, 4);
    for (size_t i = n_dims; i-- > 0;)
        put(&w->infos, shape[i], 8);
    put(&w->infos, (uint64_t)dtypes[dtype].ggml, 4);
    put(&w->infos, w->data_size, 8);
    if (__builtin_add_overflow((uint64_t)bytes, ALIGNMENT - 1, &padded) ||
        __builtin_add_overflow(w->data_size, padded & ~(uint64_t)(ALIGNMENT - 1), &w->data_size))
        cannot_store(w, name, "too large");
    ARRAY_GROW(w->tensors, w->n_tensors, w->tensors_cap);
    w->tensors[w->n_tensors++] = (struct declared){xstrdup(name), bytes};
}

static int write_padding(struct gguf_writer *w, size_t after, struct err *err)
{
    static const char zeros[ALIGNMENT];
    return outfile_write(&w->out, zeros, -after % ALIGNMENT, err);
}

/* Moves on past tensors that are complete, also empty ones. */
static int pad_complete(struct gguf_writer *w, struct err *err)
{
    while (w->current < w->n_tensors && w->in_current == w->tensors[w->current].bytes) {
        if (write_padding(w, w->in_current, err))
            return -1;
        w->current++;
        w->in_current = 0;
    }
    return 0;
}

int gguf_writer_open(struct gguf_writer *w, const char *path, struct err *err)
{
    struct buf head = BUF_INIT;
    if (w->problem.msg[0])
        return err_set(err, "%s: %s", path, w->problem.msg);
    if (outfile_open(&w->out, path, err))
        return -1;
    buf_add(&head, "GGUF", 4);
    put(&head, 3, 4);
    put(&head, w->n_tensors, 8);
    put(&head, w->n_values, 8);
    size_t size = head.len + w->values.len + w->infos.len;
    int status = outfile_write(&w->out, head.p, head.len, err);
    if (!status)
        status = outfile_write(&w->out, w->values.p, w->values.len, err);
    if (!status)
        status = outfile_write(&w->out, w->infos.p, w->infos.len, err);
    if (!status)
        status = write_padding(w, size, err);
    buf_release(&head);
    return status ? status : pad_complete(w, err);
}

int gguf_writer_write(struct gguf_writer *w, const void *p, size_t len, struct err *err)
{
    const char *from = p;
    while (len) {
        if (w->current == w->n_tensors)
            return err_set(err, "%s: more data than was declared", w->out.path);
        size_t n = w->tensors[w->current].bytes - w->in_current;
        if (n > len)
            n = len;
        if (outfile_write(&w->out, from, n, err))
            return -1;
        w->in_current += n;
        from += n;
        len -= n;
        if (pad_complete(w, err))
            return -1;
    }
    return 0;
}

static void writer_free(struct gguf_writer *w)
{
    for (size_t i = 0; i < w->n_values; i++)
        free(w->keys[i]);
    for (size_t i = 0; i < w->n_tensors; i++)
        free(w->tensors[i].name);
    free(w->keys);
    free(w->tensors);
    buf_release(&w->values);
    buf_release(&w->infos);
    free(w);
}

int gguf_writer_finish(struct gguf_writer *w, struct err *err)
{
    if (w->current != w->n_tensors) {
        err_set(err, "%s: tensor %s was declared, but not written whole", w->out.path,
                w->tensors[w->current].name);
        gguf_writer_abandon(w);
        return -1;
    }
    int status = outfile_commit(&w->out, err);
    writer_free(w);
    return status;
}

void gguf_writer_abandon(struct gguf_writer *w)
{
    if (!w)
        return;
    outfile_abandon(&w->out);
    writer_free(w);
}
