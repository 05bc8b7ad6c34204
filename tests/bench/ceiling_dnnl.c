/*
 * The products of a step by oneDNN's matmul (its C API, 2.6): bfloat16 with float32 sums, weights
 * laid out in advance as it likes them, for each direction, with the adapter's part as more terms
 * of the same sums. Its threads are OpenMP's: OMP_NUM_THREADS.
 */
#ifdef HAVE_DNNL

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "step.h"

/* A product that was made before, and is made again wherever its sizes come back. */
struct made {
    struct product key; /* with matrix 0 */
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t a, b, c;
};

struct dnnl {
    const struct step *s;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct made *made;
    size_t n_made;
    dnnl_memory_t *packed; /* [n_weights][2]: forward, backward */
    void *buffers[3];      /* both operands and the result, of any product */
    bool failed;
};

enum { MOST_MADE = 4096 };

static void check(struct dnnl *d, dnnl_status_t status)
{
    d->failed = d->failed || status != dnnl_success;
}

/* Sizes of c [batch, m, n] = a [batch, m, k] b [batch, k, n]; with `turned` an operand is stored as
 * its transpose, with `free_b` b as the library likes. */
struct sizes {
    size_t batch, m, n, k;
    bool a_turned, b_turned, free_b, wide; /* wide: float32 results */
};

static dnnl_memory_desc_t plain(struct dnnl *d, size_t batch, size_t rows, size_t cols, bool turned,
                                dnnl_data_type_t type)
{
    dnnl_memory_desc_t out;
    const dnnl_dims_t dims = {(dnnl_dim_t)batch, (dnnl_dim_t)rows, (dnnl_dim_t)cols};
    const dnnl_dim_t row = turned ? 1 : dims[2], col = turned ? dims[1] : 1;
    const dnnl_dims_t strides = {dims[1] * dims[2], row, col};
    const size_t skip = batch ? 0 : 1; /* no batch: two dimensions */
    check(d,
          dnnl_memory_desc_init_by_strides(&out, 3 - (int)skip, dims + skip, type, strides + skip));
    return out;
}

static dnnl_memory_desc_t any(struct dnnl *d, size_t rows, size_t cols)
{
    dnnl_memory_desc_t out;
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    check(d, dnnl_memory_desc_init_by_tag(&out, 2, dims, dnnl_bf16, dnnl_format_tag_any));
    return out;
}

static void make(struct dnnl *d, struct made *m, const struct sizes *z)
{
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t primitive;
    m->a = plain(d, z->batch, z->m, z->k, z->a_turned, dnnl_bf16);
    m->b = z->free_b ? any(d, z->k, z->n) : plain(d, z->batch, z->k, z->n, z->b_turned, dnnl_bf16);
    m->c = plain(d, z->batch, z->m, z->n, false, z->wide ? dnnl_f32 : dnnl_bf16);
    check(d, dnnl_matmul_desc_init(&desc, &m->a, &m->b, NULL, &m->c));
    dnnl_status_t status = dnnl_primitive_desc_create(&primitive, &desc, NULL, d->engine, NULL);
    check(d, status);
    if (status != dnnl_success)
        return;
    m->b = *dnnl_primitive_desc_query_md(primitive, dnnl_query_weights_md, 0);
    check(d, dnnl_primitive_create(&m->primitive, primitive));
    dnnl_primitive_desc_destroy(primitive);
}

static struct made *find(struct dnnl *d, const struct product *p, size_t part,
                         const struct sizes *z)
{
    const struct product key = {p->kind, part, z->m, z->n, z->k, z->batch};
    for (size_t i = 0; i < d->n_made; i++) {
        const struct product *k = &d->made[i].key;
        if (k->kind == key.kind && k->matrix == part && k->m == key.m && k->n == key.n &&
            k->k == key.k && k->r == key.r)
            return &d->made[i];
    }
    if (d->n_made == MOST_MADE) {
        d->failed = true;
        return NULL;
    }
    struct made *m = &d->made[d->n_made++];
    m->key = key;
    make(d, m, z);
    return m;
}

static dnnl_memory_t memory(struct dnnl *d, const dnnl_memory_desc_t *desc, void *p)
{
    dnnl_memory_t out = NULL;
    check(d, dnnl_memory_create(&out, desc, d->engine, p));
    return out;
}

static void execute(struct dnnl *d, const struct made *m, dnnl_memory_t b)
{
    if (d->failed || !m)
        return;
    dnnl_memory_t x = memory(d, &m->a, d->buffers[0]), y = memory(d, &m->c, d->buffers[2]);
    dnnl_memory_t w = b ? b : memory(d, &m->b, d->buffers[1]);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, y}};
    check(d, dnnl_primitive_execute(m->primitive, d->stream, 3, args));
    check(d, dnnl_stream_wait(d->stream));
    dnnl_memory_destroy(x);
    dnnl_memory_destroy(y);
    if (!b)
        dnnl_memory_destroy(w);
}

/* ---- products with the base's weights ---- */

/* Their layout is the first product's that asks; others of the same matrix have the same width. */
static void with_weight(struct dnnl *d, const struct product *p, bool back)
{
    const struct sizes z = {.m = p->m,
                            .n = back ? p->k : p->n,
                            .k = (back ? p->n : p->k) + p->r,
                            .free_b = true,
                            .wide = true};
    const struct made *m = find(d, p, 0, &z);
    dnnl_memory_t *packed = &d->packed[2 * p->matrix + back];
    if (!*packed && m && !d->failed) {
        *packed = memory(d, &m->b, DNNL_MEMORY_ALLOCATE);
        void *to;
        check(d, dnnl_memory_get_data_handle(*packed, &to));
        memcpy(to, d->buffers[1], dnnl_memory_desc_get_size(&m->b));
    }
    execute(d, m, *packed);
}

/* ---- attention ---- */

/* Batches over documents and key heads; the query heads of a key head are rows of one product. */
static void attend(struct dnnl *d, const struct product *p, bool back)
{
    const struct step *s = d->s;
    const size_t group = s->n_heads / s->n_kv_heads, width = s->head_dim;
    for (size_t q0 = 0; q0 < s->length; q0 += STEP_KEYS) {
        const size_t queries = size_min(STEP_KEYS, s->length - q0), keys = q0 + queries;
        struct sizes scores = {.batch = s->documents * s->n_kv_heads,
                               .m = group * queries,
                               .n = keys,
                               .k = width,
                               .b_turned = true};
        struct sizes sums = scores, turned = scores;
        sums.n = width, sums.k = keys, sums.b_turned = false;
        turned.m = keys, turned.n = width, turned.k = group * queries;
        turned.a_turned = true, turned.b_turned = false;
        for (int i = 0; i <= back; i++) { /* scores; dP */
            execute(d, find(d, p, 0, &scores), NULL);
            if (back) /* dV; dK */
                execute(d, find(d, p, 1, &turned), NULL);
        }
        execute(d, find(d, p, 2, &sums), NULL); /* O; dQ */
    }
}

/* ---- the interface ---- */

static void dnnl_multiply(void *with, const struct product *p)
{
    struct dnnl *d = with;
    struct sizes z = {.m = p->m, .n = p->r, .k = p->k, .wide = true};
    switch (p->kind) {
    case PRODUCT_FORWARD:
    case PRODUCT_BACKWARD:
        with_weight(d, p, p->kind == PRODUCT_BACKWARD);
        return;
    case PRODUCT_ATTEND:
    case PRODUCT_ATTEND_BACKWARD:
        attend(d, p, p->kind == PRODUCT_ATTEND_BACKWARD);
        return;
    case PRODUCT_DOWN:
        z.b_turned = true;
        break;
    case PRODUCT_DOWN_BACKWARD:
        z.k = p->n;
        break;
    case PRODUCT_GRAD_A:
        z = (struct sizes){.m = p->r, .n = p->k, .k = p->m, .a_turned = true, .wide = true};
        break;
    case PRODUCT_GRAD_B:
        z = (struct sizes){.m = p->r, .n = p->n, .k = p->m, .a_turned = true, .wide = true};
    }
    execute(d, find(d, p, 0, &z), NULL);
    if (d->failed) {
        fprintf(stderr, "ceiling: oneDNN refuses a product\n");
        exit(1);
    }
}

static void dnnl_close(void *with)
{
    struct dnnl *d = with;
    for (size_t i = 0; i < d->n_made; i++)
        dnnl_primitive_destroy(d->made[i].primitive);
    for (size_t i = 0; i < 2 * d->s->n_weights; i++)
        if (d->packed[i])
            dnnl_memory_destroy(d->packed[i]);
    for (size_t i = 0; i < 3; i++)
        free(d->buffers[i]);
    dnnl_stream_destroy(d->stream);
    dnnl_engine_destroy(d->engine);
    free(d->packed);
    free(d->made);
    free(d);
}

/* The largest operand or result of any product. */
static size_t largest(const struct step *s)
{
    size_t n = s->documents * s->n_heads * STEP_KEYS * s->length;
    for (size_t i = 0; i < s->n_products; i++) {
        const struct product *p = &s->products[i];
        n = size_max(n, p->m * (size_max(p->k, p->n) + p->r));
        n = size_max(n, (p->n + p->r) * (p->k + p->r));
    }
    return n;
}

static void *dnnl_open(const struct step *s, size_t threads, struct err *err)
{
    struct dnnl *d = xcalloc(1, sizeof *d);
    (void)threads;
    d->s = s;
    d->made = xcalloc(MOST_MADE, sizeof *d->made);
    d->packed = xcalloc(2 * s->n_weights, sizeof(dnnl_memory_t));
    for (size_t i = 0; i < 3; i++)
        d->buffers[i] = step_numbers((i < 2 ? 1 : 2) * largest(s) + ((size_t)1 << 20));
    if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags) != dnnl_success) {
        err_set(err, "oneDNN: no engine");
        return NULL;
    }
    return d;
}

const struct arithmetic arithmetic_dnnl = {"onednn", dnnl_open, dnnl_multiply, dnnl_close};

#else

typedef int nothing_here;

#endif
