#include "formats/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"

enum {
    GGUF_VERSION = 3,
    GGUF_ALIGNMENT = 32,          /* where general.alignment doesn't say otherwise */
    GGUF_ALIGNMENT_MAX = 1 << 20, /* more is damage */
    GGUF_KEY_MAX = 65535,         /* the specification's */
    GGUF_VALUE_MIN = 8 + 4 + 1,   /* bytes of the shortest metadata entry */
    GGUF_TENSOR_MIN = 8 + 4 + 4 + 8,
};

/* Bytes of each type in the file; 0 where they vary. */
static const size_t type_sizes[] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2,  [GGUF_I16] = 2,    [GGUF_U32] = 4,
    [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_STRING] = 0, [GGUF_ARRAY] = 0,
    [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

struct gguf {
    struct mapfile map;
    char *path;
    struct gguf_value *values;  /* [n_values] in the file's order */
    struct gguf_value **by_key; /* [n_values] sorted */
    size_t n_values;
    struct tensor *tensors; /* [n_tensors] in the file's order */
    size_t n_tensors;
};

/* Reading. The cursor fails softly, so each function checks it once after a group of fields. */

static int cut_off(const struct cursor *c, struct err *err)
{
    return err_set(err, "is cut off or damaged: a length points outside of the file, at byte %zu",
                   cursor_offset(c));
}

static struct gguf_string read_string(struct cursor *c)
{
    uint64_t len = cursor_u64(c);
    const uint8_t *p = cursor_bytes(c, len);
    return (struct gguf_string){p ? (const char *)p : "", p ? (size_t)len : 0};
}

/* The bits of a number of a fixed size, as the union member that its type has. */
static void read_number(struct cursor *c, enum gguf_type type, struct gguf_value *v)
{
    switch (type) {
    case GGUF_U8:
    case GGUF_BOOL:
        v->u = cursor_u8(c);
        break;
    case GGUF_U16:
        v->u = cursor_u16(c);
        break;
    case GGUF_U32:
        v->u = cursor_u32(c);
        break;
    case GGUF_U64:
        v->u = cursor_u64(c);
        break;
    case GGUF_I8:
        v->i = (int8_t)cursor_u8(c);
        break;
    case GGUF_I16:
        v->i = (int16_t)cursor_u16(c);
        break;
    case GGUF_I32:
        v->i = (int32_t)cursor_u32(c);
        break;
    case GGUF_I64:
        v->i = (int64_t)cursor_u64(c);
        break;
    case GGUF_F32:
        v->f = (double)cursor_f32(c);
        break;
    case GGUF_F64:
        v->f = cursor_f64(c);
        break;
    case GGUF_STRING:
    case GGUF_ARRAY:
        break;
    }
}

static int read_strings(struct cursor *c, struct gguf_value *v, struct err *err)
{
    struct gguf_string *strings = xcalloc(v->n, sizeof *strings);
    v->strings = strings;
    for (size_t i = 0; i < v->n; i++)
        strings[i] = read_string(c);
    return c->failed ? cut_off(c, err) : 0;
}

static int read_array(struct cursor *c, struct gguf_value *v, struct err *err)
{
    uint32_t element = cursor_u32(c);
    uint64_t n = cursor_u64(c);
    if (c->failed)
        return cut_off(c, err);
    if (element >= ARRAY_SIZE(type_sizes))
        return err_set(err, "array of an unknown type %" PRIu32, element);
    if (element == GGUF_ARRAY)
        return err_set(err, "array of arrays");
    v->element = (enum gguf_type)element;
    size_t size = type_sizes[element];
    if (n > cursor_left(c) / (size ? size : 8)) /* a string takes 8 bytes at least */
        return err_set(err, "array of %" PRIu64 " elements, but the file ends before", n);
    v->n = (size_t)n;
    v->data = c->p;
    if (element == GGUF_STRING) {
        if (read_strings(c, v, err))
            return -1;
    } else {
        cursor_bytes(c, n * size);
    }
    v->data_bytes = (size_t)(c->p - v->data);
    return 0;
}

static int read_value(struct cursor *c, struct gguf_value *v, struct err *err)
{
    v->key = read_string(c);
    uint32_t type = cursor_u32(c);
    if (c->failed)
        return cut_off(c, err);
    if (v->key.len > GGUF_KEY_MAX || memchr(v->key.p, 0, v->key.len))
        return err_set(err, "metadata entry with a key of %zu bytes that is none", v->key.len);
    if (type >= ARRAY_SIZE(type_sizes)) {
        err_set(err, "unknown type %" PRIu32, type);
    } else {
        v->type = (enum gguf_type)type;
        v->data = c->p;
        if (type == GGUF_ARRAY) {
            if (!read_array(c, v, err))
                return 0;
        } else {
            if (type == GGUF_STRING)
                v->s = read_string(c);
            else
                read_number(c, v->type, v);
            v->data_bytes = (size_t)(c->p - v->data);
            if (!c->failed)
                return 0;
            cut_off(c, err);
        }
    }
    return err_prefix(err, "metadata %.*s", (int)v->key.len, v->key.p);
}

static int compare_strings(const struct gguf_string *a, const struct gguf_string *b)
{
    size_t n = a->len < b->len ? a->len : b->len;
    int order = n ? memcmp(a->p, b->p, n) : 0;
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int compare_keys(const void *a, const void *b)
{
    const struct gguf_value *const *x = a, *const *y = b;
    return compare_strings(&(*x)->key, &(*y)->key);
}

static int read_values(struct gguf *g, struct cursor *c, uint64_t n, struct err *err)
{
    if (n > cursor_left(c) / GGUF_VALUE_MIN)
        return err_set(err, "header says %" PRIu64 " metadata entries, more than the file can hold",
                       n);
    g->values = xcalloc((size_t)n, sizeof *g->values);
    g->by_key = xcalloc((size_t)n, sizeof *g->by_key);
    while (g->n_values < n) {
        g->by_key[g->n_values] = &g->values[g->n_values];
        g->n_values++; /* also a half-read one is released */
        if (read_value(c, &g->values[g->n_values - 1], err))
            return -1;
    }
    qsort(g->by_key, g->n_values, sizeof *g->by_key, compare_keys);
    for (size_t i = 1; i < g->n_values; i++)
        if (!compare_keys(&g->by_key[i - 1], &g->by_key[i]))
            return err_set(err, "metadata %.*s comes twice", (int)g->by_key[i]->key.len,
                           g->by_key[i]->key.p);
    return 0;
}

/* The fields of one tensor; its data pointer holds the offset until all are read. */
static int read_tensor(struct cursor *c, struct tensor *t, uint64_t *offset, struct err *err)
{
    struct gguf_string name = read_string(c);
    uint32_t n_dims = cursor_u32(c);
    if (c->failed)
        return cut_off(c, err);
    if (!name.len || name.len > GGUF_KEY_MAX || memchr(name.p, 0, name.len))
        return err_set(err, "tensor with a name of %zu bytes that is none", name.len);
    t->name = xmemdup0(name.p, name.len);
    if (n_dims > TENSOR_MAX_DIMS)
        return err_set(err, "tensor %s: %" PRIu32 " dimensions, more than %d", t->name, n_dims,
                       TENSOR_MAX_DIMS);
    t->n_dims = n_dims;
    uint64_t numbers = 1;
    bool overflow = false;
    for (size_t i = n_dims; i-- > 0;) { /* fastest first in the file */
        t->shape[i] = cursor_u64(c);
        overflow |= __builtin_mul_overflow(numbers, t->shape[i], &numbers);
    }
    uint32_t type = cursor_u32(c);
    *offset = cursor_u64(c);
    if (c->failed)
        return cut_off(c, err);
    if (!dtype_by_ggml(type, &t->dtype)) {
        const char *known = dtype_ggml_name(type);
        return known ? err_set(err, "tensor %s: type %s is not supported", t->name, known)
                     : err_set(err, "tensor %s: unknown type %" PRIu32, t->name, type);
    }
    if (overflow || !dtype_bytes(t->dtype, numbers, &t->bytes))
        return err_set(err, "tensor %s: shape is too large or no whole number of blocks of %s",
                       t->name, dtypes[t->dtype].name);
    if (n_dims && t->shape[n_dims - 1] % dtypes[t->dtype].block)
        return err_set(err, "tensor %s: rows of %" PRIu64 " are no whole number of blocks of %s",
                       t->name, t->shape[n_dims - 1], dtypes[t->dtype].name);
    return 0;
}

static int compare_tensor_name(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_tensor_data(const void *a, const void *b)
{
    const struct tensor *const *x = a, *const *y = b;
    if ((*x)->data != (*y)->data)
        return (uintptr_t)(*x)->data < (uintptr_t)(*y)->data ? -1 : 1;
    return ((*x)->bytes > (*y)->bytes) - ((*x)->bytes < (*y)->bytes);
}

/* No name twice, no byte in two tensors. */
static int check_tensors(const struct gguf *g, struct err *err)
{
    struct tensor **sorted = xcalloc(g->n_tensors, sizeof *sorted);
    int status = 0;
    for (size_t i = 0; i < g->n_tensors; i++)
        sorted[i] = &g->tensors[i];
    qsort(sorted, g->n_tensors, sizeof *sorted, compare_tensor_name);
    for (size_t i = 1; i < g->n_tensors && !status; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            status = err_set(err, "tensor %s comes twice", sorted[i]->name);
    qsort(sorted, g->n_tensors, sizeof *sorted, compare_tensor_data);
    for (size_t i = 1; i < g->n_tensors && !status; i++)
        if ((const uint8_t *)sorted[i - 1]->data + sorted[i - 1]->bytes >
            (const uint8_t *)sorted[i]->data)
            status = err_set(err, "tensor %s: data overlaps that of %s", sorted[i]->name,
                             sorted[i - 1]->name);
    free(sorted);
    return status;
}

static int read_alignment(const struct gguf *g, uint64_t *alignment, struct err *err)
{
    *alignment = GGUF_ALIGNMENT;
    if (!gguf_find(g, "general.alignment"))
        return 0;
    if (!gguf_get_u64(g, "general.alignment", alignment) || !*alignment ||
        *alignment > GGUF_ALIGNMENT_MAX || (*alignment & (*alignment - 1)))
        return err_set(err, "general.alignment is no power of two up to %d", GGUF_ALIGNMENT_MAX);
    return 0;
}

static int read_tensors(struct gguf *g, struct cursor *c, uint64_t n, struct err *err)
{
    uint64_t alignment;
    if (read_alignment(g, &alignment, err))
        return -1;
    if (n > cursor_left(c) / GGUF_TENSOR_MIN)
        return err_set(err, "header says %" PRIu64 " tensors, more than the file can hold", n);
    g->tensors = xcalloc((size_t)n, sizeof *g->tensors);
    uint64_t *offsets = xcalloc((size_t)n, sizeof *offsets);
    int status = 0;
    while (g->n_tensors < n && !status) {
        struct tensor *t = &g->tensors[g->n_tensors];
        t->file = g->path;
        status = read_tensor(c, t, &offsets[g->n_tensors], err);
        g->n_tensors++;
    }
    if (!status) /* padding before the data; a file without tensors may end before it */
        cursor_bytes(c, n ? -cursor_offset(c) & (alignment - 1) : 0);
    if (!status && c->failed)
        status = cut_off(c, err);
    size_t size = cursor_left(c);
    for (size_t i = 0; i < n && !status; i++) {
        struct tensor *t = &g->tensors[i];
        if (offsets[i] % alignment)
            status = err_set(err, "tensor %s: offset %" PRIu64 " is no multiple of %" PRIu64,
                             t->name, offsets[i], alignment);
        else if (offsets[i] > size || t->bytes > size - offsets[i])
            status = err_set(
                err, "tensor %s: %zu bytes at %" PRIu64 ", but the file has only %zu of data",
                t->name, t->bytes, offsets[i], size);
        else
            t->data = c->p + offsets[i];
    }
    free(offsets);
    return status ? -1 : check_tensors(g, err);
}

static int read_file(struct gguf *g, struct err *err)
{
    struct cursor c;
    cursor_init(&c, g->map.p, g->map.size);
    const uint8_t *magic = cursor_bytes(&c, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, "is not a GGUF file");
    uint32_t version = cursor_u32(&c);
    uint64_t n_tensors = cursor_u64(&c), n_values = cursor_u64(&c);
    if (c.failed)
        return cut_off(&c, err);
    if (version != 2 && version != GGUF_VERSION)
        return err_set(err, "GGUF version %" PRIu32 "%s; versions 2 and 3 are read", version,
                       version && !(version & 0xffff) ? " (big-endian)" : "");
    if (read_values(g, &c, n_values, err))
        return -1;
    return read_tensors(g, &c, n_tensors, err);
}

int gguf_open(struct gguf **out, const char *path, struct err *err)
{
    struct gguf *g = xcalloc(1, sizeof *g);
    *out = NULL;
    if (mapfile_open(&g->map, path, err)) {
        free(g);
        return -1;
    }
    g->path = xstrdup(path);
    if (read_file(g, err)) {
        err_prefix(err, "%s", path);
        gguf_close(g);
        return -1;
    }
    *out = g;
    return 0;
}

void gguf_close(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_values; i++)
        free((void *)(uintptr_t)g->values[i].strings);
    for (size_t i = 0; i < g->n_tensors; i++)
        free((void *)(uintptr_t)g->tensors[i].name);
    mapfile_close(&g->map);
    free(g->values);
    free(g->by_key);
    free(g->tensors);
    free(g->path);
    free(g);
}

size_t gguf_count(const struct gguf *g)
{
    return g->n_values;
}

const struct gguf_value *gguf_at(const struct gguf *g, size_t i)
{
    return &g->values[i];
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key)
{
    struct gguf_value wanted = {.key = {key, strlen(key)}}, *p = &wanted;
    struct gguf_value **found =
        g->n_values ? bsearch(&p, g->by_key, g->n_values, sizeof p, compare_keys) : NULL;
    return found ? *found : NULL;
}

size_t gguf_tensor_count(const struct gguf *g)
{
    return g->n_tensors;
}

const struct tensor *gguf_tensor(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

static bool is_unsigned(enum gguf_type type)
{
    return type == GGUF_U8 || type == GGUF_U16 || type == GGUF_U32 || type == GGUF_U64;
}

static bool is_signed(enum gguf_type type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

bool gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || !(is_unsigned(v->type) || (is_signed(v->type) && v->i >= 0)))
        return false;
    *out = v->u; /* of a signed number that isn't negative: the same bits */
    return true;
}

bool gguf_get_f64(const struct gguf *g, const char *key, double *out)
{
    const double exact = 0x1p53;
    const struct gguf_value *v = gguf_find(g, key);
    if (!v)
        return false;
    if (v->type == GGUF_F32 || v->type == GGUF_F64)
        *out = v->f;
    else if (is_unsigned(v->type) && v->u <= (uint64_t)exact)
        *out = (double)v->u;
    else if (is_signed(v->type) && v->i <= (int64_t)exact && v->i >= -(int64_t)exact)
        *out = (double)v->i;
    else
        return false;
    return true;
}

bool gguf_get_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_BOOL)
        return false;
    *out = v->u != 0;
    return true;
}

bool gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out)
{
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->type != GGUF_STRING)
        return false;
    *out = v->s;
    return true;
}

double gguf_array_number(const struct gguf_value *v, size_t i)
{
    size_t size = type_sizes[v->element];
    struct cursor c;
    struct gguf_value number = {0};
    cursor_init(&c, v->data + i * size, size);
    read_number(&c, v->element, &number);
    if (v->element == GGUF_F32 || v->element == GGUF_F64)
        return number.f;
    return is_signed(v->element) ? (double)number.i : (double)number.u;
}
