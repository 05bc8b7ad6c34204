/* A merged model as a GGUF file. */
#include "model/merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/gguf.h"
#include "model/gguf_meta.h"

#define PROVENANCE "tuneutils.provenance"
#define ROPE_FREQS "rope_freqs.weight"

/*
 * The type that a matrix gets. The one that makes the logits keeps 8 bits where the rest gets 4 or
 * 5, as llama.cpp's own mixes do; rows that are no whole number of blocks become F16.
 */
static enum dtype output_type(struct merge *m, const struct tensor_name *name, int wanted)
{
    const struct tensor *base = merge_base_tensor(m, name);
    bool output = name->slot == SLOT_HEAD || (name->slot == SLOT_EMBED && m->config.tied);
    if (name->n_dims == 1)
        return DTYPE_F32;
    enum dtype type = wanted == MERGE_AS_BASE ? base->dtype : (enum dtype)wanted;
    if (wanted == MERGE_AS_BASE && !merge_changes(m, name))
        return type;
    if (!dtypes[type].from_float)
        type = DTYPE_Q8_0;
    if (output && dtypes[type].block > 1 && wanted != MERGE_AS_BASE)
        type = DTYPE_Q8_0;
    if (name->cols % dtypes[type].block) {
        m->n_fallback++;
        type = DTYPE_F16;
    }
    return type;
}

/* Keys that speak of the file rather than of the model. */
static bool is_own_key(const struct gguf_string *key)
{
    static const char *const own[] = {"general.alignment", "general.file_type",
                                      "general.quantization_version", PROVENANCE};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (strlen(own[i]) == key->len && !memcmp(own[i], key->p, key->len))
            return true;
    return key->len > 6 && !memcmp(key->p, "split.", 6);
}

static void copy_metadata(struct gguf_writer *w, const struct gguf *g)
{
    for (size_t i = 0; i < gguf_count(g); i++)
        if (!is_own_key(&gguf_at(g, i)->key))
            gguf_writer_copy(w, gguf_at(g, i));
    gguf_writer_u32(w, "general.quantization_version", 2);
}

static int add_metadata(struct merge *m, struct gguf_writer *w, const enum dtype *types,
                        struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    size_t bytes[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    if (g) {
        copy_metadata(w, g);
        m->has_vocabulary = gguf_find(g, "tokenizer.ggml.tokens") != NULL;
    } else {
        char *name = adapter_base_name(m->base);
        gguf_add_config(w, &m->config, name);
        free(name);
        if (gguf_add_tokenizer(w, m->base, &m->config, m->pre, &m->has_vocabulary, err))
            return -1;
    }
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        if (name.linear)
            bytes[types[i]] += (size_t)(name.rows * name.cols);
    }
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (bytes[i] > bytes[most])
            most = (enum dtype)i;
    gguf_writer_u32(w, "general.file_type", gguf_file_type(most));
    if (m->provenance)
        gguf_writer_string(w, PROVENANCE, m->provenance, strlen(m->provenance));
    return 0;
}

/* llama3's rope scaling: computed from config.json, or as the base has it. NULL: none. */
static float *rope_freqs(const struct merge *m)
{
    size_t n = m->config.head_dim / 2;
    float *divisors = xcalloc(n, sizeof *divisors);
    if (m->config.rope.has_divisors)
        memcpy(divisors, m->config.rope.divisors[0], n * sizeof *divisors);
    else if (!gguf_rope_divisors(&m->config, divisors)) {
        free(divisors);
        return NULL;
    }
    return divisors;
}

static int write_to_gguf(void *arg, const void *p, size_t len, struct err *err)
{
    return gguf_writer_write(arg, p, len, err);
}

static int write_tensors(struct merge *m, struct gguf_writer *w, const enum dtype *types,
                         struct err *err)
{
    if (merge_begin(m, write_to_gguf, w, err))
        return -1;
    int status = 0;
    for (size_t i = 0; i < names_count(&m->config) && !status; i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        status = merge_tensor(m, &name, types[i], true, err);
    }
    return merge_end(m, status ? NULL : err) || status ? -1 : 0;
}

static int write_file(struct merge *m, struct gguf_writer *w, const char *path,
                      const enum dtype *types, const float *divisors, struct err *err)
{
    const uint64_t n_divisors = m->config.head_dim / 2;
    struct tensor_name name;
    if (add_metadata(m, w, types, err))
        return -1;
    if (divisors)
        gguf_writer_declare(w, ROPE_FREQS, DTYPE_F32, 1, &n_divisors);
    for (size_t i = 0; i < names_count(&m->config); i++) {
        names_at(&m->config, i, &name);
        const uint64_t shape[] = {name.rows, name.cols};
        gguf_writer_declare(w, name.gguf, types[i], name.n_dims, shape);
    }
    if (gguf_writer_open(w, path, err))
        return -1;
    if (divisors && gguf_writer_write(w, divisors, (size_t)n_divisors * sizeof *divisors, err))
        return -1;
    return write_tensors(m, w, types, err);
}

int merge_write_gguf(struct merge *m, const char *path, int type, struct err *err)
{
    size_t n = names_count(&m->config);
    enum dtype *types = xcalloc(n, sizeof *types);
    float *divisors = rope_freqs(m);
    struct gguf_writer *w = gguf_writer_new();
    for (size_t i = 0; i < n; i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        types[i] = output_type(m, &name, type);
    }
    int status = write_file(m, w, path, types, divisors, err);
    if (status)
        gguf_writer_abandon(w);
    else
        status = gguf_writer_finish(w, err);
    free(types);
    free(divisors);
    return status;
}
