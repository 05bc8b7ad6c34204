#include "model/merge.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/matrix.h"
#include "compute/gemm.h"

enum {
    TILE_NUMBERS = 1 << 16, /* a tile: as many rows as hold about that many numbers */
    BATCH_BYTES = 8 << 20,  /* tiles of about that many bytes are made, then written */
};

/* One adapter's part in the tensor at hand. */
struct part {
    const struct adapter_pair *pair; /* or: */
    const struct tensor *whole;
    double weight;
    float *a; /* [r, cols], float32 */
};

/* A tensor on its way. */
struct job {
    const struct tensor_name *name;
    const struct tensor *base;
    size_t rows, cols; /* of a vector, cols = 1 */
    size_t base_row_bytes, out_row_bytes;
    enum dtype type;
    bool base_gguf, out_gguf; /* whose order the rows have */
    bool copies;              /* the stored bytes are the result */
    struct part *parts;
    size_t n_parts;
    size_t tile_rows;

    size_t first_tile; /* of the batch */
    uint8_t *out;      /* the batch's bytes */
    struct merge_work *work;
};

/* Memory that tensors share, and the thread that writes. */
struct merge_work {
    struct writebehind *out;
    float **scratch; /* of each thread: a tile [tile_rows, cols], then what its parts need */
    size_t n_scratch, numbers; /* threads, and numbers in each */
    struct err *errors;        /* [n_errors]: of each tile in a batch */
    size_t n_errors;
};

const struct tensor *merge_base_tensor(const struct merge *m, const struct tensor_name *name)
{
    return names_tensor(m->base, name);
}

bool merge_changes(const struct merge *m, const struct tensor_name *name)
{
    for (size_t i = 0; i < m->n_adapters; i++)
        if (adapter_find(m->adapters[i].adapter, name->hf) ||
            adapter_find_whole(m->adapters[i].adapter, name->hf))
            return true;
    return false;
}

bool merge_changes_any(const struct merge *m)
{
    return m->n_adapters > 0;
}

int merge_check(struct merge *m, struct err *err)
{
    if (config_load(&m->config, m->base, err) || names_check(&m->config, m->base, err))
        return -1;
    for (size_t i = 0; i < m->n_adapters; i++)
        if (adapter_check(m->adapters[i].adapter, &m->config, err))
            return -1;
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        m->bytes_total += merge_base_tensor(m, &name)->bytes;
    }
    return 0;
}

enum dtype merge_base_type(const struct merge *m)
{
    size_t numbers[DTYPE_COUNT] = {0};
    enum dtype most = DTYPE_F32;
    for (size_t i = 0; i < names_count(&m->config); i++) {
        struct tensor_name name;
        names_at(&m->config, i, &name);
        if (name.linear)
            numbers[merge_base_tensor(m, &name)->dtype] += (size_t)(name.rows * name.cols);
    }
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (numbers[i] > numbers[most])
            most = (enum dtype)i;
    return most;
}

static bool is_zero(const struct tensor *t)
{
    enum { PIECE = 4096 };
    const struct dtype_info *type = &dtypes[t->dtype];
    size_t n = t->bytes / type->block_bytes * type->block;
    float x[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t count = n - at < PIECE ? n - at : PIECE;
        type->to_float((const uint8_t *)t->data + at / type->block * type->block_bytes, x, count);
        for (size_t i = 0; i < count; i++)
            if (x[i] != 0)
                return false;
    }
    return true;
}

bool merge_is_no_op(const struct merge_adapter *a)
{
    if (a->weight == 0)
        return true;
    bool nothing = !adapter_whole_count(a->adapter);
    for (size_t i = 0; i < adapter_count(a->adapter) && nothing; i++)
        nothing = !adapter_at(a->adapter, i)->magnitude && is_zero(adapter_at(a->adapter, i)->b);
    return nothing;
}

/* Row `at` of the output: which row of the Hugging Face tensor it is. */
static size_t canonical_row(const struct job *j, size_t at)
{
    return j->out_gguf ? matrix_row_stored_at(at, j->name->gguf_rows) : at;
}

static const uint8_t *base_row(const struct job *j, size_t canonical)
{
    size_t at = j->base_gguf ? matrix_stored_row(canonical, j->name->gguf_rows) : canonical;
    return (const uint8_t *)j->base->data + at * j->base_row_bytes;
}

/* x [n, cols]: rows [first, first + n) of the output, from the base. */
static void load_base(const struct job *j, size_t first, size_t n, float *x)
{
    for (size_t i = 0; i < n; i++)
        dtypes[j->base->dtype].to_float(base_row(j, canonical_row(j, first + i)), x + i * j->cols,
                                        j->cols);
}

/* x += weight * scale * B A for these rows. b [n, r] is scratch. */
static void add_pair(const struct job *j, const struct part *part, size_t first, size_t n, float *b,
                     float *x)
{
    const struct adapter_pair *p = part->pair;
    const struct dtype_info *type = &dtypes[p->b->dtype];
    size_t row_bytes = p->r * type->block_bytes;
    for (size_t i = 0; i < n; i++)
        type->to_float((const uint8_t *)p->b->data + canonical_row(j, first + i) * row_bytes,
                       b + i * p->r, p->r);
    gemm_tile(false, false, n, j->cols, p->r, (float)(part->weight * p->scale), b, p->r, part->a,
              j->cols, 1, x, j->cols);
}

/* The same with a magnitude: x += weight * (m V / |V| - W) for these rows, V = W + scale * B A.
 * Scratch: b [n, r], then v [n, cols]. */
static void add_dora(const struct job *j, const struct part *part, size_t first, size_t n, float *b,
                     float *x)
{
    float *v = b + part->pair->r * j->tile_rows, weight = (float)part->weight;
    struct part whole = *part;
    whole.weight = 1;
    load_base(j, first, n, v);
    add_pair(j, &whole, first, n, b, v);
    for (size_t i = 0; i < n; i++)
        adapter_pair_normalise(part->pair, canonical_row(j, first + i), 1, v + i * j->cols);
    if (j->n_parts == 1 && part->weight == 1) { /* exactly, not W + (V - W) */
        memcpy(x, v, n * j->cols * sizeof *x);
        return;
    }
    for (size_t k = 0; k < n * j->cols; k++)
        x[k] += weight * v[k];
    load_base(j, first, n, v);
    for (size_t k = 0; k < n * j->cols; k++)
        x[k] -= weight * v[k];
}

/* x += weight * (V - W) for these rows; v and w [n, cols] are scratch for one row each. */
static void add_whole(const struct job *j, const struct part *part, size_t first, size_t n,
                      float *v, float *x)
{
    const struct dtype_info *type = &dtypes[part->whole->dtype];
    float weight = (float)part->weight, *w = v + j->cols;
    for (size_t i = 0; i < n; i++) {
        size_t row = canonical_row(j, first + i);
        float *to = x + i * j->cols;
        type->to_float((const uint8_t *)part->whole->data + row * j->cols * type->block_bytes, v,
                       j->cols);
        if (j->n_parts == 1 && part->weight == 1) { /* exactly V, not W + (V - W) */
            memcpy(to, v, j->cols * sizeof *v);
            continue;
        }
        dtypes[j->base->dtype].to_float(base_row(j, row), w, j->cols);
        for (size_t k = 0; k < j->cols; k++)
            to[k] += weight * (v[k] - w[k]);
    }
}

/* Largest magnitude that a type holds; block types have scales in f16. */
static float largest(enum dtype type)
{
    return type == DTYPE_F32 ? FLT_MAX : type == DTYPE_BF16 ? 0x1.fep127f : 65504.0f;
}

/* How many numbers are NaN, infinite or of a larger magnitude: as bits, in groups, which
 * vectorises. */
SIMD_CLONES static size_t count_bad(const float *x, size_t n, float limit)
{
    enum { GROUP = 64 };
    uint32_t bits[GROUP], most;
    size_t bad = 0;
    memcpy(&most, &limit, sizeof most);
    for (size_t i = 0; i < n; i += GROUP) {
        size_t count = n - i < GROUP ? n - i : GROUP;
        uint32_t over = 0;
        memset(bits, 0, sizeof bits);
        memcpy(bits, x + i, count * sizeof *x);
        for (int k = 0; k < GROUP; k++)
            over += (bits[k] & 0x7fffffff) > most ? 1 : 0;
        bad += over;
    }
    return bad;
}

static int check_values(const struct job *j, const float *x, size_t n, struct err *err)
{
    float limit = largest(j->type);
    if (!count_bad(x, n, limit))
        return 0;
    while (fabsf(*x) <= limit)
        x++;
    return isfinite(*x) ? err_set(err, "tensor %s: %g is too large for %s", j->name->hf, (double)*x,
                                  dtypes[j->type].name)
                        : err_set(err, "tensor %s: a weight is NaN or infinite", j->name->hf);
}

/* One tile of the batch. */
static void make_tile(void *arg, size_t i, size_t thread)
{
    struct job *j = arg;
    size_t first = (j->first_tile + i) * j->tile_rows;
    size_t n = j->rows - first < j->tile_rows ? j->rows - first : j->tile_rows;
    float *x = j->work->scratch[thread], *spare = x + j->tile_rows * j->cols;
    uint8_t *out = j->out + i * j->tile_rows * j->out_row_bytes;
    load_base(j, first, n, x);
    for (size_t p = 0; p < j->n_parts; p++)
        if (j->parts[p].pair && j->parts[p].pair->magnitude)
            add_dora(j, &j->parts[p], first, n, spare, x);
        else if (j->parts[p].pair)
            add_pair(j, &j->parts[p], first, n, spare, x);
        else
            add_whole(j, &j->parts[p], first, n, spare, x);
    j->work->errors[i].msg[0] = 0;
    if (check_values(j, x, n * j->cols, &j->work->errors[i]))
        return;
    if (j->copies)
        for (size_t k = 0; k < n; k++)
            memcpy(out + k * j->out_row_bytes, base_row(j, canonical_row(j, first + k)),
                   j->out_row_bytes);
    else
        dtypes[j->type].from_float(x, out, n * j->cols);
}

static int find_parts(const struct merge *m, struct job *j, struct err *err)
{
    j->parts = xcalloc(m->n_adapters, sizeof *j->parts);
    for (size_t i = 0; i < m->n_adapters; i++) {
        const struct merge_adapter *from = &m->adapters[i];
        const struct adapter_whole *whole = adapter_find_whole(from->adapter, j->name->hf);
        struct part part = {.pair = adapter_find(from->adapter, j->name->hf),
                            .whole = whole ? whole->tensor : NULL,
                            .weight = from->weight};
        if (!part.pair && !part.whole)
            continue;
        if (part.pair) {
            part.a = mem_array(part.pair->r * j->cols, sizeof *part.a, j->name->hf, err);
            if (!part.a)
                return -1;
            dtypes[part.pair->a->dtype].to_float(part.pair->a->data, part.a,
                                                 part.pair->r * j->cols);
        }
        j->parts[j->n_parts++] = part;
    }
    return 0;
}

/* Room for a row of scratch values of each part, in numbers for one tile. */
static size_t spare_numbers(const struct job *j)
{
    size_t most = 2 * j->cols; /* add_whole's two rows */
    for (size_t i = 0; i < j->n_parts; i++)
        if (j->parts[i].pair) {
            const struct adapter_pair *p = j->parts[i].pair;
            most = size_max(most, (p->r + (p->magnitude ? j->cols : 0)) * j->tile_rows);
        }
    return most;
}

/* Room for tiles of that many numbers on each thread. */
static int grow_scratch(struct merge_work *work, size_t numbers, struct err *err)
{
    if (numbers <= work->numbers)
        return 0;
    work->numbers = 0;
    for (size_t t = 0; t < work->n_scratch; t++) {
        free(work->scratch[t]);
        work->scratch[t] = mem_array(numbers, sizeof **work->scratch, "scratch memory", err);
        if (!work->scratch[t])
            return -1;
    }
    work->numbers = numbers;
    return 0;
}

/* How many rows a tile and how many tiles a batch has, and memory for them. */
static int prepare(const struct merge *m, struct job *j, size_t *batch, struct err *err)
{
    size_t numbers, threads = pool_threads(m->pool);
    j->tile_rows = TILE_NUMBERS / j->cols;
    j->tile_rows = j->tile_rows ? j->tile_rows : 1;
    *batch = BATCH_BYTES / (j->tile_rows * j->out_row_bytes);
    *batch = *batch > threads ? *batch : threads;
    if (find_parts(m, j, err))
        return -1;
    if (!size_mul(j->tile_rows, j->cols, &numbers) ||
        !size_add(numbers, spare_numbers(j), &numbers))
        return err_set(err, "tensor %s: rows of %zu numbers are too long", j->name->hf, j->cols);
    if (*batch > j->work->n_errors) {
        j->work->n_errors = *batch;
        j->work->errors = xreallocarray(j->work->errors, *batch, sizeof *j->work->errors);
    }
    return grow_scratch(j->work, numbers, err);
}

/* The base's pages of the rows of a batch are not needed again. */
static void drop_pages(const struct job *j, size_t first, size_t n)
{
    struct tensor part = *j->base;
    if (j->name->gguf_rows.a) /* rows move within a head, which may reach into the next batch */
        return;
    part.data = (const uint8_t *)part.data + first * j->base_row_bytes;
    part.bytes = n * j->base_row_bytes;
    tensor_done(&part);
}

/* Tiles [first_tile, first_tile + n) of the tensor. */
static int run_batch(struct merge *m, struct job *j, size_t n, struct err *err)
{
    size_t first = j->first_tile * j->tile_rows;
    size_t rows = j->rows - first < n * j->tile_rows ? j->rows - first : n * j->tile_rows;
    j->out = writebehind_buffer(j->work->out, n * j->tile_rows * j->out_row_bytes, err);
    if (!j->out)
        return -1;
    pool_run(m->pool, n, make_tile, j);
    for (size_t i = 0; i < n; i++)
        if (j->work->errors[i].msg[0])
            return err_set(err, "%s", j->work->errors[i].msg);
    writebehind_submit(j->work->out, rows * j->out_row_bytes);
    drop_pages(j, first, rows);
    m->bytes_done += rows * j->base_row_bytes;
    if (m->progress)
        m->progress(m->progress_arg, j->name->hf, m->bytes_done, m->bytes_total);
    return 0;
}

int merge_begin(struct merge *m, writebehind_fn *write, void *arg, struct err *err)
{
    struct merge_work *work = xcalloc(1, sizeof *work);
    if (writebehind_new(&work->out, write, arg, err)) {
        free(work);
        return -1;
    }
    work->n_scratch = pool_threads(m->pool);
    work->scratch = xcalloc(work->n_scratch, sizeof *work->scratch);
    m->work = work;
    return 0;
}

int merge_tensor(struct merge *m, const struct tensor_name *name, enum dtype type, bool gguf_order,
                 struct err *err)
{
    struct job j = {.name = name,
                    .base = merge_base_tensor(m, name),
                    .rows = (size_t)name->rows,
                    .cols = name->n_dims == 1 ? 1 : (size_t)name->cols,
                    .type = type,
                    .base_gguf = checkpoint_gguf(m->base) != NULL,
                    .out_gguf = gguf_order,
                    .work = m->work};
    size_t batch;
    if (!dtype_bytes(type, j.cols, &j.out_row_bytes) ||
        !dtype_bytes(j.base->dtype, j.cols, &j.base_row_bytes))
        return err_set(err, "tensor %s: rows of %zu numbers are no whole number of blocks of %s",
                       name->hf, j.cols, dtypes[type].name);
    int status = prepare(m, &j, &batch, err);
    size_t tiles = (j.rows + j.tile_rows - 1) / j.tile_rows;
    j.copies = !j.n_parts && type == j.base->dtype;
    m->n_changed += j.n_parts > 0;
    for (; !status && j.first_tile < tiles; j.first_tile += batch)
        status = run_batch(m, &j, tiles - j.first_tile < batch ? tiles - j.first_tile : batch, err);
    tensor_done(j.base);
    for (size_t i = 0; i < j.n_parts; i++)
        free(j.parts[i].a);
    free(j.parts);
    return status;
}

int merge_end(struct merge *m, struct err *err)
{
    struct merge_work *work = m->work;
    int status = writebehind_finish(work->out, err);
    for (size_t t = 0; t < work->n_scratch; t++)
        free(work->scratch[t]);
    free(work->scratch);
    free(work->errors);
    free(work);
    m->work = NULL;
    return status;
}
