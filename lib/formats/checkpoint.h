/*
 * checkpoint: a model on disk, a Hugging Face folder or a .gguf file, as named tensors and
 * metadata.
 *
 * Tensors are views of a read-only mapping; the checkpoint owns the mapping. Every offset, length
 * and shape was proved to lie inside the file when it was opened. Names and row order are the
 * file's own; model/names.h knows what they mean.
 */
#ifndef FORMATS_CHECKPOINT_H
#define FORMATS_CHECKPOINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "formats/dtype.h"

enum { TENSOR_MAX_DIMS = 4 };

struct tensor {
    const char *name;
    enum dtype dtype;
    size_t n_dims;
    uint64_t shape[TENSOR_MAX_DIMS]; /* as PyTorch's: slowest first, [rows, columns] of a matrix
                                        (GGUF's order reversed) */
    const void *data;                /* not necessarily aligned for its type */
    size_t bytes;
    const char *file; /* for messages */
};

struct gguf; /* formats/gguf.h */

struct checkpoint;

/* path: a folder with config.json and *.safetensors, or a file that begins with "GGUF". */
int checkpoint_open(struct checkpoint **c, const char *path, struct err *err);
void checkpoint_close(struct checkpoint *c); /* NULL is allowed */

const char *checkpoint_path(const struct checkpoint *c);
size_t checkpoint_count(const struct checkpoint *c);
const struct tensor *checkpoint_at(const struct checkpoint *c, size_t i); /* in the file's order */
const struct tensor *checkpoint_find(const struct checkpoint *c,
                                     const char *name); /* NULL: absent */

const struct gguf *checkpoint_gguf(const struct checkpoint *c); /* NULL for a folder */
const json_t *checkpoint_config(const struct checkpoint *c);    /* config.json; NULL for GGUF */

/* A string from the metadata: of GGUF, or of __metadata__ in a folder's first file. A view; NULL:
 * absent. */
const char *checkpoint_metadata(const struct checkpoint *c, const char *key, size_t *len);

/* XXH3-128 over names, types, shapes and data of all tensors, independent of how they are spread
 * over files and ordered. Reads everything, on the pool's threads (NULL: on this one):
 * seconds for gigabytes. Names are unique. */
void checkpoint_hash(const struct checkpoint *c, struct pool *pool, char hex[33]);
void tensors_hash(const struct tensor *const *tensors, size_t n, struct pool *pool, char hex[33]);

/*
 * Advice on a tensor's part of the mapping: that it will be read soon, from front to back, and that
 * it won't be for a while, so that its pages no longer count as this process's memory.
 */
void tensor_prefetch(const struct tensor *t);
void tensor_done(const struct tensor *t);

/* One .safetensors file by itself (adapters). */
struct safetensors;
int safetensors_open(struct safetensors **s, const char *path, struct err *err);
void safetensors_close(struct safetensors *s);
size_t safetensors_count(const struct safetensors *s);
const struct tensor *safetensors_at(const struct safetensors *s, size_t i);
const struct tensor *safetensors_find(const struct safetensors *s, const char *name);
/* String-to-string map "__metadata__"; NULL if absent. */
const json_t *safetensors_metadata(const struct safetensors *s);

/*
 * Writes a .safetensors file in two passes: declare every tensor, then write their bytes in the
 * same order. The file appears whole or not at all. Header keys are in declaration order, data
 * aligned to 8.
 */
struct safetensors_writer;
struct safetensors_writer *safetensors_writer_new(void);
/* metadata is copied; NULL for none. */
void safetensors_writer_metadata(struct safetensors_writer *w, const char *key, const char *value);
void safetensors_writer_declare(struct safetensors_writer *w, const char *name, enum dtype dtype,
                                size_t n_dims, const uint64_t *shape);
int safetensors_writer_open(struct safetensors_writer *w, const char *path, struct err *err);
/* Bytes of the next tensors in order; may be called with parts of a tensor. */
int safetensors_writer_write(struct safetensors_writer *w, const void *p, size_t len,
                             struct err *err);
int safetensors_writer_finish(struct safetensors_writer *w, struct err *err); /* frees w */
void safetensors_writer_abandon(struct safetensors_writer *w);                /* frees w */

#endif
