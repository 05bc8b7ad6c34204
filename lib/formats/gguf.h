/*
 * gguf: GGUF versions 2 and 3 (ggml's docs/gguf.md), read from a mapping and written in one pass.
 */
#ifndef FORMATS_GGUF_H
#define FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/checkpoint.h"

enum gguf_type {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING,
    GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
};

struct gguf_string {
    const char *p; /* a view of the mapping, no NUL behind it */
    size_t len;
};

struct gguf_value {
    struct gguf_string key;
    enum gguf_type type;
    union {
        uint64_t u;            /* unsigned types and bool */
        int64_t i;             /* signed types */
        double f;              /* floating types */
        struct gguf_string s;
    };
    /* Arrays: element type and count; elements through gguf_array_*. */
    enum gguf_type element;
    size_t n;
    const uint8_t *data;       /* first element in the mapping */
    size_t data_bytes;
    const struct gguf_string *strings; /* [n] when element is GGUF_STRING */
};

struct gguf;

int gguf_open(struct gguf **g, const char *path, struct err *err);
void gguf_close(struct gguf *g);
size_t gguf_count(const struct gguf *g); /* metadata entries */
const struct gguf_value *gguf_at(const struct gguf *g, size_t i);
const struct gguf_value *gguf_find(const struct gguf *g, const char *key);
size_t gguf_tensor_count(const struct gguf *g);
const struct tensor *gguf_tensor(const struct gguf *g, size_t i);

/* Typed access: true and *out when the key is there with a type that converts without loss. */
bool gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out);
bool gguf_get_f64(const struct gguf *g, const char *key, double *out);
bool gguf_get_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_get_string(const struct gguf *g, const char *key, struct gguf_string *out);
/* Element i of an array of numbers; the caller has checked i < n. */
double gguf_array_number(const struct gguf_value *v, size_t i);

/* Writer: metadata, declarations, then open and the tensors' bytes in declaration order. */
struct gguf_writer;
struct gguf_writer *gguf_writer_new(void);
void gguf_writer_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_writer_u64(struct gguf_writer *w, const char *key, uint64_t v);
void gguf_writer_f32(struct gguf_writer *w, const char *key, float v);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_writer_string(struct gguf_writer *w, const char *key, const char *p, size_t len);
void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct gguf_string *v, size_t n);
void gguf_writer_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_writer_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_writer_copy(struct gguf_writer *w, const struct gguf_value *v); /* as it was read */
void gguf_writer_declare(struct gguf_writer *w, const char *name, enum dtype dtype, size_t n_dims,
                         const uint64_t *shape); /* shape slowest first */
int gguf_writer_open(struct gguf_writer *w, const char *path, struct err *err);
int gguf_writer_write(struct gguf_writer *w, const void *p, size_t len, struct err *err);
int gguf_writer_finish(struct gguf_writer *w, struct err *err); /* frees w */
void gguf_writer_abandon(struct gguf_writer *w);                /* frees w */

#endif
