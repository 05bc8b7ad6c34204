/* A tensor's tiles: what they are made of, and their way to the bytes that are written. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/gemm.h"
#include "model/merge_internal.h"

enum {
    TILE_NUMBERS = 1 << 16, /* a tile: as many rows as hold about that many numbers */
    BATCH_BYTES = 8 << 20,  /* tiles of about that many bytes are made, then written */
};

/* Views */

bool merge_folder_transposes(const struct model_config *c, const struct tensor_name *name)
{
    return name->linear && (c->transposed || !strcmp(c->architecture, "gpt2"));
}

/* A model's tensor as the output has it. */
static struct matrix view_of(const struct merge_job *j, const struct tensor *t, bool gguf)
{
    const struct tensor_name *name = j->name;
    struct matrix m = {.dtype = t->dtype,
                       .data = t->data,
                       .rows = (size_t)name->rows,
                       .cols = name->n_dims == 1 ? 1 : (size_t)name->cols,
                       .transposed = merge_folder_transposes(&j->m->config, name) && !gguf,
                       .order = gguf ? name->gguf_rows : (struct row_order){0}};
    m.row_bytes = t->bytes / (m.transposed ? m.cols : m.rows);
    if (!j->turned)
        return m;
    if (m.transposed)
        return matrix_stored(&m);
    m.transposed = true;
    m.rows = j->rows;
    m.cols = j->cols;
    return m;
}

static bool is_norm(const struct tensor_name *name)
{
    return name->n_dims == 1 && !slot_is_bias(name->slot);
}

/* Gemma's folders keep a norm's weights less 1, which its GGUF files don't. */
static bool keeps_less_one(const struct model_config *c, bool gguf)
{
    return !gguf && (c->norm_plus_one || !strncmp(c->architecture, "gemma", 5));
}

/* What brings a file's numbers to those of the output. */
static float shift_of(const struct merge_job *j, const struct model_config *c, bool gguf)
{
    if (!is_norm(j->name))
        return 0;
    return (float)keeps_less_one(c, gguf) - (float)keeps_less_one(&j->m->config, j->out_gguf);
}

/* Parts */

/* What DoRA makes of a matrix needs whole rows of it, and the output has its columns as rows: all
 * of it at once, then. */
static int turn_dora(struct merge_job *j, struct merge_part *part, struct err *err)
{
    const struct adapter_pair *p = part->pair;
    struct merge_job canonical = *j;
    size_t n;
    canonical.turned = false;
    struct matrix w = view_of(&canonical, j->stored, checkpoint_gguf(j->m->base) != NULL);
    part->owned =
        size_mul(p->out, p->in, &n) ? mem_array(n, sizeof *part->owned, j->name->hf, err) : NULL;
    if (!part->owned)
        return -1;
    matrix_floats(&w, 0, p->out, 0, p->in, part->owned, p->in);
    gemm_tile(false, false, p->out, p->in, p->r, (float)p->scale, part->b, p->r, part->a, p->in, 1,
              part->owned, p->in);
    adapter_pair_normalise(p, 0, p->out, part->owned);
    part->values = matrix_of_floats(part->owned, j->rows, j->cols);
    part->values.row_bytes = p->in * sizeof *part->owned;
    part->values.transposed = true;
    part->pair = NULL;
    return 0;
}

static int add_pair(struct merge_job *j, struct merge_part *part, struct err *err)
{
    const struct adapter_pair *p = part->pair;
    part->a = mem_array(p->r * p->in, sizeof *part->a, j->name->hf, err);
    if (!part->a)
        return -1;
    dtypes[p->a->dtype].to_float(p->a->data, part->a, p->r * p->in);
    if (!j->turned)
        return 0;
    part->b = mem_array(p->r * p->out, sizeof *part->b, j->name->hf, err);
    if (!part->b)
        return -1;
    dtypes[p->b->dtype].to_float(p->b->data, part->b, p->r * p->out);
    return p->magnitude ? turn_dora(j, part, err) : 0;
}

static int add_adapter(struct merge_job *j, const struct merge_adapter *from, struct err *err)
{
    const struct adapter_whole *whole = merge_whole(from, j->name->hf);
    struct merge_part *part = &j->parts[j->n_parts];
    *part = (struct merge_part){.pair = merge_pair(from, j->name->hf), .weight = from->weight};
    if (!part->pair && !whole)
        return 0;
    j->n_parts++;
    if (part->pair)
        return add_pair(j, part, err);
    part->stored = whole->tensor;
    part->values = view_of(j, whole->tensor, false);
    part->shift = shift_of(j, &j->m->config, false);
    return 0;
}

static void add_model(struct merge_job *j, const struct merge_model *from)
{
    bool gguf = checkpoint_gguf(from->checkpoint) != NULL;
    struct tensor_name its;
    names_find_hf(&from->config, j->name->hf, &its);
    const struct tensor *t = names_tensor(from->checkpoint, &its);
    j->parts[j->n_parts++] = (struct merge_part){.weight = from->weight,
                                                 .stored = t,
                                                 .values = view_of(j, t, gguf),
                                                 .shift = shift_of(j, &from->config, gguf)};
}

/* FNV-1a of the tensor's name, then the source's number. */
static uint64_t stream_of(const struct merge_job *j, size_t part)
{
    uint64_t h = 0xcbf29ce484222325;
    for (const char *p = j->name->hf; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3;
    return (h ^ part) * 0x100000001b3;
}

static int find_parts(struct merge_job *j, struct err *err)
{
    const struct merge *m = j->m;
    j->parts = xcalloc(m->n_adapters + m->n_models, sizeof *j->parts);
    for (size_t i = 0; i < m->n_adapters; i++)
        if (add_adapter(j, &m->adapters[i], err))
            return -1;
    for (size_t i = 0; i < m->n_models; i++)
        add_model(j, &m->models[i]);
    j->weights = xcalloc(j->n_parts, sizeof *j->weights);
    for (size_t i = 0; i < j->n_parts; i++) {
        j->parts[i].stream = stream_of(j, i);
        j->weights[i] = j->parts[i].weight;
    }
    return 0;
}

/* Sizes */

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
static int make_room(struct merge_job *j, struct err *err)
{
    size_t numbers, threads = pool_threads(j->m->pool);
    j->tile_rows = size_max(TILE_NUMBERS / j->cols, 1);
    if (j->cols == 1 && recipe_keep(j->m->recipe) == KEEP_RANDOM_BY_RANK)
        j->tile_rows = j->rows; /* a vector is one row */
    j->n_tiles = (j->rows + j->tile_rows - 1) / j->tile_rows;
    j->batch = size_max(BATCH_BYTES / (j->tile_rows * j->out_row_bytes), threads);
    j->stride = (j->tile_rows * j->cols + 15) / 16 * 16;
    if (!size_mul(j->stride, 1 + j->n_parts, &numbers) ||
        !size_add(numbers, merge_spare_numbers(j), &numbers))
        return err_set(err, "tensor %s: rows of %zu numbers are too long", j->name->hf, j->cols);
    if (j->batch > j->work->n_errors) {
        j->work->n_errors = j->batch;
        j->work->errors = xreallocarray(j->work->errors, j->batch, sizeof *j->work->errors);
        j->work->rounding = xreallocarray(j->work->rounding, j->batch, sizeof *j->work->rounding);
    }
    return grow_scratch(j->work, numbers, err);
}

/* The base's numbers as they are after a round trip through fewer bits. */
static int quantise_base(struct merge *m, struct merge_job *j, struct err *err)
{
    if (m->base_type == BASE_STORED || !j->name->linear || j->turned)
        return 0;
    if (matrix_to_nf4(&j->base, m->base_type == BASE_NF4_DOUBLE, m->pool, &j->nf4, err))
        return err_prefix(err, "tensor %s", j->name->hf);
    j->base = (struct matrix){.rows = j->rows, .cols = j->cols, .nf4 = &j->nf4};
    return 0;
}

int merge_job_begin(struct merge_job *j, struct merge *m, const struct tensor_name *name,
                    enum dtype type, bool gguf_order, bool turned, struct err *err)
{
    bool gguf = checkpoint_gguf(m->base) != NULL;
    size_t rows = (size_t)name->rows, cols = name->n_dims == 1 ? 1 : (size_t)name->cols;
    *j = (struct merge_job){.m = m,
                            .name = name,
                            .stored = merge_base_tensor(m, name),
                            .rows = turned ? cols : rows,
                            .cols = turned ? rows : cols,
                            .type = type,
                            .out_gguf = gguf_order,
                            .turned = turned,
                            .work = m->work};
    j->base = view_of(j, j->stored, gguf);
    j->base_shift = shift_of(j, &m->config, gguf);
    if (j->base.transposed && dtypes[j->stored->dtype].block > 1)
        return err_set(err, "tensor %s: is stored as its transpose in folders, which %s can't be",
                       name->hf, dtypes[j->stored->dtype].name);
    if (!dtype_bytes(type, j->cols, &j->out_row_bytes))
        return err_set(err, "tensor %s: rows of %zu numbers are no whole number of blocks of %s",
                       name->hf, j->cols, dtypes[type].name);
    if (quantise_base(m, j, err) || find_parts(j, err) || make_room(j, err))
        return -1;
    j->copies = !j->n_parts && type == j->stored->dtype && !j->base.transposed && !j->base.nf4 &&
                j->base_shift == 0;
    return merge_measure(m, j, err);
}

void merge_job_release(struct merge_job *j)
{
    tensor_done(j->stored);
    for (size_t i = 0; i < j->n_parts; i++) {
        if (j->parts[i].stored)
            tensor_done(j->parts[i].stored);
        free(j->parts[i].a);
        free(j->parts[i].b);
        free(j->parts[i].owned);
    }
    free(j->parts);
    free(j->weights);
    nf4_release(&j->nf4);
}

/* Values */

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

static int check_values(const struct merge_job *j, const float *x, size_t n, struct err *err)
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

/* The parts' changes, made one and added to x [n, cols]. */
static int add_combined(struct merge_job *j, size_t first, size_t n, float *x, float *changes,
                        struct err *err)
{
    float *spare = changes + j->n_parts * j->stride;
    for (size_t p = 0; p < j->n_parts; p++) {
        float *change = changes + p * j->stride;
        merge_part_change(j, &j->parts[p], first, n, spare, change);
        if (count_bad(change, n * j->cols, FLT_MAX)) /* which pruning might hide */
            return err_set(err, "tensor %s: a weight is NaN or infinite", j->name->hf);
        merge_part_prune(j, &j->parts[p], first, n, spare, change);
        for (size_t i = 0; j->parts[p].rescale != 1 && i < n * j->cols; i++)
            change[i] *= j->parts[p].rescale;
    }
    recipe_combine(j->m->recipe, j->weights, j->n_parts, changes, j->stride, n * j->cols, x);
    return 0;
}

static void turn(struct merge_job *j, size_t first, size_t n, float *x, float *other)
{
    merge_rows(j, &j->parts[0].values, j->parts[0].shift, first, n, other);
    for (size_t i = 0; i < n * j->cols; i++)
        x[i] = j->slerp_base * x[i] + j->slerp_other * other[i];
}

/* x [n, cols]: rows of the result. */
static int make_values(struct merge_job *j, size_t first, size_t n, float *x, struct err *err)
{
    const struct merge_recipe *r = j->m->recipe;
    merge_rows(j, &j->base, j->base_shift, first, n, x);
    if (r->method == METHOD_SLERP && j->n_parts)
        turn(j, first, n, x, x + j->stride);
    else if (!recipe_is_sum(r) && j->n_parts)
        return add_combined(j, first, n, x, x + j->stride, err);
    else
        for (size_t p = 0; p < j->n_parts; p++)
            merge_part_add(j, &j->parts[p], first, n, x + j->stride, x);
    return 0;
}

/* What n numbers x lost when they became `stored`, a whole number of blocks. */
static struct merge_rounding rounding_of(enum dtype type, const float *x, const uint8_t *stored,
                                         size_t n)
{
    enum { PIECE = 4096 };
    struct merge_rounding sums = {0};
    float back[PIECE];
    for (size_t at = 0; at < n; at += PIECE) {
        size_t count = size_min(PIECE, n - at);
        dtypes[type].to_float(stored + at / dtypes[type].block * dtypes[type].block_bytes, back,
                              count);
        for (size_t i = 0; i < count; i++) {
            double d = (double)back[i] - (double)x[at + i];
            sums.lost += d * d;
            sums.all += (double)x[at + i] * (double)x[at + i];
        }
    }
    return sums;
}

void merge_make_tile(void *arg, size_t i, size_t thread)
{
    struct merge_job *j = arg;
    size_t first, n = merge_tile_rows(j, j->first_tile + i, &first);
    float *x = j->work->scratch[thread];
    uint8_t *out = j->out + i * j->tile_rows * j->out_row_bytes;
    struct err *err = &j->work->errors[i];
    err->msg[0] = 0;
    if (make_values(j, first, n, x, err) || check_values(j, x, n * j->cols, err))
        return;
    if (!j->copies)
        dtypes[j->type].from_float(x, out, n * j->cols);
    for (size_t k = 0; k < n && j->copies; k++) {
        size_t stored = matrix_stored_row(merge_canonical_row(j, first + k), j->base.order);
        memcpy(out + k * j->out_row_bytes, j->base.data + stored * j->base.row_bytes,
               j->out_row_bytes);
    }
    if (j->m->measures_rounding)
        j->work->rounding[i] = rounding_of(j->type, x, out, n * j->cols);
}

/* Passes */

static void drop_rows(const struct tensor *t, const struct matrix *m, size_t first, size_t n)
{
    struct tensor part = *t;
    if (m->nf4 || m->transposed || m->order.a) /* rows lie elsewhere, perhaps in the next batch */
        return;
    part.data = m->data + first * m->row_bytes;
    part.bytes = n * m->row_bytes;
    tensor_done(&part);
}

void merge_drop_pages(const struct merge_job *j, size_t first, size_t n)
{
    if (j->out_gguf && j->name->gguf_rows.a)
        return;
    drop_rows(j->stored, &j->base, first, n);
    for (size_t i = 0; i < j->n_parts; i++)
        if (j->parts[i].stored)
            drop_rows(j->parts[i].stored, &j->parts[i].values, first, n);
}

struct pass {
    void (*task)(void *arg, size_t tile, size_t thread);
    void *arg;
    size_t first;
};

static void run_tile(void *arg, size_t i, size_t thread)
{
    const struct pass *pass = arg;
    pass->task(pass->arg, pass->first + i, thread);
}

void merge_each_tile(struct merge *m, const struct merge_job *j,
                     void (*task)(void *arg, size_t tile, size_t thread), void *arg)
{
    struct pass pass = {task, arg, 0};
    for (; pass.first < j->n_tiles; pass.first += j->batch) {
        size_t n = size_min(j->n_tiles - pass.first, j->batch), first = pass.first * j->tile_rows;
        pool_run(m->pool, n, run_tile, &pass);
        merge_drop_pages(j, first, size_min(j->rows - first, n * j->tile_rows));
    }
}

struct change_of {
    struct merge_job *j;
    float *out;
    struct err *errors; /* [tiles] */
};

static void change_tile(void *arg, size_t tile, size_t thread)
{
    const struct change_of *c = arg;
    struct merge_job *j = c->j;
    size_t first, n = merge_tile_rows(j, tile, &first);
    float *x = c->out + first * j->cols, *changes = j->work->scratch[thread];
    memset(x, 0, n * j->cols * sizeof *x);
    c->errors[tile].msg[0] = 0;
    if (!add_combined(j, first, n, x, changes, &c->errors[tile]))
        check_values(j, x, n * j->cols, &c->errors[tile]);
}

int merge_change(struct merge *m, const struct tensor_name *name, float *out, struct err *err)
{
    struct merge_job j;
    struct change_of c = {.j = &j, .out = out};
    int status = merge_job_begin(&j, m, name, DTYPE_F32, false, false, err);
    if (!status) {
        c.errors = xcalloc(j.n_tiles, sizeof *c.errors);
        merge_each_tile(m, &j, change_tile, &c);
        for (size_t i = 0; i < j.n_tiles && !status; i++)
            if (c.errors[i].msg[0])
                status = err_set(err, "%s", c.errors[i].msg);
        free(c.errors);
    }
    merge_job_release(&j);
    return status;
}

int merge_changes_really(struct merge *m, const struct tensor_name *name, bool *changes,
                         struct err *err)
{
    struct merge_job j;
    int status = merge_job_begin(&j, m, name, DTYPE_F32, false, false, err);
    *changes = false;
    for (size_t tile = 0; !status && tile < j.n_tiles && !*changes; tile++) {
        size_t first, n = merge_tile_rows(&j, tile, &first);
        float *change = j.work->scratch[0], *spare = change + j.stride;
        for (size_t p = 0; p < j.n_parts && !*changes; p++) {
            merge_part_change(&j, &j.parts[p], first, n, spare, change);
            for (size_t i = 0; i < n * j.cols && !*changes; i++)
                *changes = change[i] != 0;
        }
        merge_drop_pages(&j, first, n);
    }
    merge_job_release(&j);
    return status;
}
