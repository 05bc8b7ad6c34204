#include "model/adapter_gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/mem.h"
#include "compute/matrix.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "model/arch.h"
#include "model/names.h"

#define A_SUFFIX ".lora_a"
#define B_SUFFIX ".lora_b"
#define ALPHA "adapter.lora.alpha"
#define PROVENANCE "tuneutils.provenance"

struct loaded {
    struct adapter_pair pair; /* b is: */
    struct tensor b;
    float *values; /* [out, r]: what b shows */
    struct tensor_name name;
};

struct adapter_gguf {
    struct gguf *file;
    char *provenance;
    struct loaded *pairs; /* [n] */
    size_t n;
};

bool adapter_is_gguf(const char *path)
{
    struct stat st;
    char magic[4];
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rb") : NULL;
    bool is = f && fread(magic, sizeof magic, 1, f) == 1 && !memcmp(magic, "GGUF", sizeof magic);
    if (f)
        fclose(f);
    return is;
}

/* ---- reading ---- */

static bool says(const struct gguf *g, const char *key, const char *value)
{
    struct gguf_string s;
    return gguf_get_string(g, key, &s) && s.len == strlen(value) && !memcmp(s.p, value, s.len);
}

static int check_kind(const struct gguf *g, const char *path, const struct model_config *config,
                      struct err *err)
{
    const struct architecture *arch = arch_by_type(config->architecture);
    if (!says(g, "general.type", "adapter") || !says(g, "adapter.type", "lora"))
        return err_set(err, "%s: is no LoRA adapter (general.type, adapter.type)", path);
    if (!arch || !arch->gguf || !says(g, "general.architecture", arch->gguf))
        return err_set(err, "%s: is an adapter for another architecture than the base's, %s", path,
                       config->architecture);
    return 0;
}

static const struct tensor *find_tensor(const struct gguf *g, const char *base, const char *suffix)
{
    struct buf b = BUF_INIT;
    const struct tensor *found = NULL;
    buf_addf(&b, "%s%s", base, suffix);
    for (size_t i = 0; i < gguf_tensor_count(g) && !found; i++)
        if (!strcmp(gguf_tensor(g, i)->name, b.p))
            found = gguf_tensor(g, i);
    buf_release(&b);
    return found;
}

/* b's rows where they belong, as floats. */
static int fill_b(struct loaded *l, const struct tensor *b, struct err *err)
{
    const struct dtype_info *type = &dtypes[b->dtype];
    struct adapter_pair *p = &l->pair;
    size_t row_bytes = b->bytes / p->out;
    l->values = mem_array(p->out * p->r, sizeof *l->values, b->name, err);
    if (!l->values)
        return -1;
    for (size_t i = 0; i < p->out; i++)
        type->to_float((const uint8_t *)b->data +
                           matrix_stored_row(i, l->name.gguf_rows) * row_bytes,
                       l->values + i * p->r, p->r);
    l->b = *b;
    l->b.dtype = DTYPE_F32;
    l->b.data = l->values;
    l->b.bytes = p->out * p->r * sizeof *l->values;
    p->b = &l->b;
    return 0;
}

static int load_pair(struct adapter_gguf *g, const struct tensor *a, const char *base, double alpha,
                     const struct model_config *config, struct err *err)
{
    const struct tensor *b = find_tensor(g->file, base, B_SUFFIX);
    struct loaded *l = &g->pairs[g->n];
    if (!names_find_gguf(config, base, &l->name) || !l->name.linear)
        return err_set(err, "%s is no linear layer of the base model", base);
    if (!b)
        return err_set(err, "has no " B_SUFFIX " beside it");
    if (a->n_dims != 2 || b->n_dims != 2 || a->shape[0] != b->shape[1] || !a->shape[0])
        return err_set(err, "A and B are no matrices of one rank");
    if (a->shape[1] != l->name.cols || b->shape[0] != l->name.rows)
        return err_set(err,
                       "the adapter is for a matrix [%" PRIu64 ", %" PRIu64
                       "], the base model has [%" PRIu64 ", %" PRIu64 "]",
                       b->shape[0], a->shape[1], l->name.rows, l->name.cols);
    l->pair = (struct adapter_pair){.module = l->name.module,
                                    .in = (size_t)a->shape[1],
                                    .out = (size_t)b->shape[0],
                                    .r = (size_t)a->shape[0],
                                    .a = a};
    l->pair.scale = alpha != 0 ? alpha / (double)l->pair.r : 1; /* as llama.cpp has it */
    g->n++;
    return fill_b(l, b, err);
}

static int load_tensors(struct adapter_gguf *a, const struct model_config *config, struct err *err)
{
    double alpha = 0;
    size_t n = gguf_tensor_count(a->file);
    gguf_get_f64(a->file, ALPHA, &alpha);
    if (!isfinite(alpha))
        return err_set(err, ALPHA " is no number");
    a->pairs = xcalloc(n, sizeof *a->pairs);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = gguf_tensor(a->file, i);
        size_t len = strlen(t->name), end = strlen(A_SUFFIX);
        bool is_a = len > end && !strcmp(t->name + len - end, A_SUFFIX);
        char *base = xmemdup0(t->name, len > end ? len - end : len);
        int status = 0;
        if (is_a)
            status = load_pair(a, t, base, alpha, config, err);
        else if (len <= end || strcmp(t->name + len - end, B_SUFFIX) != 0 ||
                 !find_tensor(a->file, base, A_SUFFIX))
            status = err_set(err, "is no part of a LoRA pair");
        free(base);
        if (status)
            return err_prefix(err, "tensor %s", t->name);
    }
    return a->n ? 0 : err_set(err, "holds no tensors");
}

int adapter_gguf_load(struct adapter_gguf **out, const char *path,
                      const struct model_config *config, struct err *err)
{
    struct adapter_gguf *a = xcalloc(1, sizeof *a);
    struct gguf_string before;
    int status = gguf_open(&a->file, path, err);
    *out = NULL;
    if (!status)
        status = check_kind(a->file, path, config, err);
    if (!status && load_tensors(a, config, err))
        status = err_prefix(err, "%s", path);
    if (status) {
        adapter_gguf_free(a);
        return -1;
    }
    if (gguf_get_string(a->file, PROVENANCE, &before))
        a->provenance = xmemdup0(before.p, before.len);
    *out = a;
    return 0;
}

void adapter_gguf_free(struct adapter_gguf *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        free(a->pairs[i].values);
    free(a->pairs);
    free(a->provenance);
    gguf_close(a->file);
    free(a);
}

size_t adapter_gguf_count(const struct adapter_gguf *a)
{
    return a->n;
}

const struct adapter_pair *adapter_gguf_at(const struct adapter_gguf *a, size_t i)
{
    return &a->pairs[i].pair;
}

const struct adapter_pair *adapter_gguf_find(const struct adapter_gguf *a, const char *tensor)
{
    for (size_t i = 0; i < a->n; i++)
        if (!strcmp(a->pairs[i].name.hf, tensor))
            return &a->pairs[i].pair;
    return NULL;
}

const char *adapter_gguf_provenance(const struct adapter_gguf *a)
{
    return a->provenance;
}

void adapter_gguf_hash(const struct adapter_gguf *a, char hex[33])
{
    size_t n = gguf_tensor_count(a->file);
    const struct tensor **tensors = xcalloc(n, sizeof *tensors);
    for (size_t i = 0; i < n; i++)
        tensors[i] = gguf_tensor(a->file, i);
    tensors_hash(tensors, n, NULL, hex);
    free(tensors);
}

static int check_finite(const struct loaded *l, const float *a, struct err *err)
{
    const struct adapter_pair *p = &l->pair;
    for (size_t i = 0; i < p->r * p->in; i++)
        if (!isfinite(a[i]))
            return err_set(err, "%s: tensor %s holds a NaN or an infinity", p->a->file, p->a->name);
    for (size_t i = 0; i < p->r * p->out; i++)
        if (!isfinite(l->values[i]))
            return err_set(err, "%s: tensor %s holds a NaN or an infinity", l->b.file, l->b.name);
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const struct lora_pair *x = a, *y = b;
    if (x->layer != y->layer)
        return x->layer < y->layer ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

int adapter_gguf_lora(struct lora **l, const struct adapter_gguf *a,
                      const struct model_config *config, struct err *err)
{
    struct lora_pair *pairs = xcalloc(a->n, sizeof *pairs);
    int status = 0;
    *l = NULL;
    for (size_t i = 0; i < a->n && !status; i++) {
        const struct loaded *from = &a->pairs[i];
        const struct adapter_pair *p = &from->pair;
        pairs[i] = (struct lora_pair){.slot = from->name.slot,
                                      .layer = from->name.layer,
                                      .in = p->in,
                                      .out = p->out,
                                      .r = p->r,
                                      .scale = (float)p->scale,
                                      .b = from->values};
        pairs[i].a = mem_array(p->r * p->in, sizeof(float), p->module, err);
        if (pairs[i].a)
            dtypes[p->a->dtype].to_float(p->a->data, pairs[i].a, p->r * p->in);
        status = pairs[i].a ? check_finite(from, pairs[i].a, err) : -1;
    }
    if (!status) {
        qsort(pairs, a->n, sizeof *pairs, compare_places);
        status = lora_from_pairs(l, config, pairs, a->n, false, err);
    }
    for (size_t i = 0; i < a->n; i++)
        free(pairs[i].a);
    free(pairs);
    return status;
}

/* ---- writing ---- */

static double alpha_of(const struct lora_pair *p)
{
    return (double)p->scale * (double)p->r;
}

/* b [out, r] in the file's order of rows, times factor. */
static float *stored_b(const struct lora_pair *p, struct row_order order, double factor,
                       struct err *err)
{
    float *b = mem_array(p->out * p->r, sizeof *b, "an adapter's matrix", err);
    for (size_t i = 0; b && i < p->out; i++)
        for (size_t k = 0; k < p->r; k++)
            b[matrix_stored_row(i, order) * p->r + k] = (float)(factor * p->b[i * p->r + k]);
    return b;
}

static int write_pair(struct gguf_writer *w, const struct lora_pair *p, double alpha,
                      const struct model_config *config, struct err *err)
{
    struct tensor_name name;
    names_describe(config, p->slot, p->layer, &name);
    double own = alpha_of(p), factor = own == alpha ? 1 : own / alpha;
    float *b = stored_b(p, name.gguf_rows, factor, err);
    int status = b ? 0 : -1;
    if (!status)
        status = gguf_writer_write(w, p->a, p->r * p->in * sizeof *p->a, err);
    if (!status)
        status = gguf_writer_write(w, b, p->r * p->out * sizeof *b, err);
    free(b);
    return status;
}

static void declare_pair(struct gguf_writer *w, const struct lora_pair *p,
                         const struct model_config *config)
{
    char full[NAME_SIZE + sizeof A_SUFFIX];
    struct tensor_name name;
    names_describe(config, p->slot, p->layer, &name);
    snprintf(full, sizeof full, "%s" A_SUFFIX, name.gguf);
    gguf_writer_declare(w, full, DTYPE_F32, 2, (const uint64_t[]){p->r, p->in});
    snprintf(full, sizeof full, "%s" B_SUFFIX, name.gguf);
    gguf_writer_declare(w, full, DTYPE_F32, 2, (const uint64_t[]){p->out, p->r});
}

static int check_sayable(const struct lora *l, const struct model_config *config, struct err *err)
{
    const struct architecture *arch = arch_by_type(config->architecture);
    if (!arch || !arch->gguf || config->n_experts)
        return err_set(err, "models of architecture %s are not written as GGUF",
                       config->architecture);
    if (l->dora)
        return err_set(err, "GGUF adapters can't have DoRA's magnitudes; merge it into its base");
    if (l->n_weights)
        return err_set(err, "GGUF adapters can't have whole weights (modules_to_save, bias); merge "
                            "it into its base");
    return l->n_pairs ? 0 : err_set(err, "the adapter changes nothing");
}

int adapter_gguf_save(const char *path, const struct lora *l, const struct model_config *config,
                      const char *name, const char *provenance, struct err *err)
{
    if (check_sayable(l, config, err))
        return -1;
    const char *arch = arch_by_type(config->architecture)->gguf;
    double alpha = alpha_of(&l->pairs[0]);
    alpha = alpha != 0 ? alpha : 1;
    struct gguf_writer *w = gguf_writer_new();
    gguf_writer_string(w, "general.architecture", arch, strlen(arch));
    gguf_writer_string(w, "general.type", "adapter", 7);
    gguf_writer_string(w, "adapter.type", "lora", 4);
    gguf_writer_string(w, "general.name", name, strlen(name));
    gguf_writer_f32(w, ALPHA, (float)alpha);
    if (provenance)
        gguf_writer_string(w, PROVENANCE, provenance, strlen(provenance));
    for (size_t i = 0; i < l->n_pairs; i++)
        declare_pair(w, &l->pairs[i], config);
    int status = gguf_writer_open(w, path, err);
    for (size_t i = 0; i < l->n_pairs && !status; i++)
        status = write_pair(w, &l->pairs[i], (double)(float)alpha, config, err);
    if (!status)
        return gguf_writer_finish(w, err);
    gguf_writer_abandon(w);
    return -1;
}
