/* A merged model as a GGUF file. */
#include "model/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "formats/gguf.h"
#include "model/config_rope.h"
#include "model/gguf_meta.h"
#include "model/quant_mix.h"

#define FILE_TYPE "general.file_type"

/* As the base has it where nothing changes; what is changed and can't be written so gets 8 bits. */
static enum dtype own_type(const struct merge *m, const struct tensor_name *name)
{
    enum dtype type = merge_base_tensor(m, name)->dtype;
    if (name->n_dims == 1)
        return DTYPE_F32;
    if (!merge_changes(m, name))
        return type;
    return quant_mix_fit(dtypes[type].from_float ? type : DTYPE_Q8_0, name->cols);
}

static enum dtype output_type(struct merge *m, const struct tensor_name *name,
                              const struct quant_mix *mix)
{
    bool fallback;
    if (!mix)
        return own_type(m, name);
    enum dtype type = quant_mix_type(mix, &m->config, name, &fallback);
    m->n_fallback += fallback;
    return type;
}

/* Keys that speak of the file rather than of the model. */
static bool is_own_key(const struct gguf_string *key)
{
    static const char *const own[] = {"general.alignment", FILE_TYPE,
                                      "general.quantization_version", MERGE_PROVENANCE};
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

/* The type that most numbers of linear layers have. */
static enum dtype most_common(const struct merge *m, const enum dtype *types)
{
    size_t numbers[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        if (name.linear)
            numbers[types[i]] += (size_t)(name.rows * name.cols);
    }
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (numbers[i] > numbers[most])
            most = (enum dtype)i;
    return most;
}

/* general.file_type: the mix's, or what the base says of itself, or what most matrices are. */
static void add_file_type(const struct merge *m, struct gguf_writer *w, const struct quant_mix *mix,
                          const enum dtype *types)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    uint64_t own;
    if (!mix && !merge_changes_any(m) && g && gguf_get_u64(g, FILE_TYPE, &own)) {
        gguf_writer_u32(w, FILE_TYPE, (uint32_t)own);
        return;
    }
    mix = mix ? mix : quant_mix_of(most_common(m, types));
    if (mix)
        gguf_writer_u32(w, FILE_TYPE, mix->file_type);
}

static int add_metadata(struct merge *m, struct gguf_writer *w, const struct quant_mix *mix,
                        const enum dtype *types, struct err *err)
{
    const struct gguf *g = checkpoint_gguf(m->base);
    if (g) {
        copy_metadata(w, g);
        m->has_vocabulary = gguf_find(g, "tokenizer.ggml.tokens") != NULL;
    } else {
        char *name = adapter_base_name(m->base);
        int status = gguf_add_config(w, &m->config, name, err);
        free(name);
        if (status || gguf_add_tokenizer(w, m->base, &m->config, m->pre, &m->has_vocabulary, err))
            return -1;
    }
    add_file_type(m, w, mix, types);
    if (m->provenance)
        gguf_writer_string(w, MERGE_PROVENANCE, m->provenance, strlen(m->provenance));
    return 0;
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

/* The matrices of all experts of a layer are one tensor [experts, rows, columns], declared with the
 * first of them; the others follow it in names_at's order. */
static void declare_tensor(const struct merge *m, struct gguf_writer *w,
                           const struct tensor_name *name, enum dtype type)
{
    const uint64_t shape[] = {m->config.n_experts, name->rows, name->cols};
    if (!slot_is_of_expert(name->slot)) {
        gguf_writer_declare(w, name->gguf, type, name->n_dims, shape + 1);
        return;
    }
    char stack[NAME_SIZE + 8];
    static const char first[] = ".0.weight";
    int stem = (int)(strlen(name->gguf) - (sizeof first - 1));
    snprintf(stack, sizeof stack, "%.*s_exps.weight", stem, name->gguf);
    if (name->expert == 0)
        gguf_writer_declare(w, stack, type, 3, shape);
}

static int write_file(struct merge *m, struct gguf_writer *w, const char *path,
                      const struct quant_mix *mix, const enum dtype *types, struct err *err)
{
    struct rope_tensor rope[2];
    size_t n_rope = rope_gguf_tensors(&m->config, rope);
    struct tensor_name name;
    if (add_metadata(m, w, mix, types, err))
        return -1;
    for (size_t i = 0; i < n_rope; i++)
        gguf_writer_declare(w, rope[i].name, DTYPE_F32, 1, &(const uint64_t){rope[i].n});
    for (size_t i = 0; i < names_count(&m->config); i++) {
        names_at(&m->config, i, &name);
        declare_tensor(m, w, &name, types[i]);
    }
    if (gguf_writer_open(w, path, err))
        return -1;
    for (size_t i = 0; i < n_rope; i++)
        if (gguf_writer_write(w, rope[i].divisors, rope[i].n * sizeof *rope[i].divisors, err))
            return -1;
    return write_tensors(m, w, types, err);
}

int merge_write_gguf(struct merge *m, const char *path, const struct quant_mix *mix,
                     struct err *err)
{
    size_t n = names_count(&m->config);
    enum dtype *types = xcalloc(n, sizeof *types);
    struct gguf_writer *w = gguf_writer_new();
    for (size_t i = 0; i < n; i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        /* A stack has one type. */
        types[i] = name.expert ? types[i - 1] : output_type(m, &name, mix);
    }
    int status = write_file(m, w, path, mix, types, err);
    if (status)
        gguf_writer_abandon(w);
    else
        status = gguf_writer_finish(w, err);
    free(types);
    return status;
}
