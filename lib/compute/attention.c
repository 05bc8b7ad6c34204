#include "compute/attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/gemm.h"
#include "compute/ops.h"
#include "compute/rows.h"

/* Rows of queries and of keys in a tile of scores. */
enum { QUERY_TILE = 64, KEY_TILE = 256 };

struct attention {
    struct attention_shape shape;
    struct pool *pool;
    float **scratch;             /* one for each thread */
    struct gemm_scratch *panels; /* the same, for products in bfloat16 */
    float *dk_heads, *dv_heads;  /* [T, n_heads D]: gradients of keys before the heads that share
                                    them are added */
    size_t dk_cap;
    struct attention_task *tasks;
    size_t n_tasks, tasks_cap;
};

/* What one thread does at a time: rows [q0, q1) of one document and head. */
struct attention_task {
    size_t start;  /* first row of the document */
    size_t q0, q1; /* rows, counted in the document */
    size_t head;
};

/* Parts of a thread's scratch. */
struct tiles {
    float *scores; /* [QUERY_TILE, KEY_TILE] */
    float *d_scores;
    float *capped;          /* the scores themselves, where a soft cap wants them on the way back */
    float *q, *out, *d_out; /* [QUERY_TILE, D] */
    float *k, *v;           /* [KEY_TILE, D] */
    float max[QUERY_TILE], sum[QUERY_TILE];
};

static size_t scratch_floats(const struct attention_shape *s)
{
    size_t n_tiles = s->softcap == 0 ? 2 : 3;
    return n_tiles * QUERY_TILE * KEY_TILE + (3 * QUERY_TILE + 2 * KEY_TILE) * s->head_dim;
}

static struct tiles tiles_in(float *p, const struct attention_shape *s)
{
    struct tiles t;
    size_t d = s->head_dim;
    t.scores = p;
    t.d_scores = t.scores + QUERY_TILE * KEY_TILE;
    t.q = t.d_scores + QUERY_TILE * KEY_TILE;
    t.out = t.q + QUERY_TILE * d;
    t.d_out = t.out + QUERY_TILE * d;
    t.k = t.d_out + QUERY_TILE * d;
    t.v = t.k + KEY_TILE * d;
    t.capped = s->softcap == 0 ? NULL : t.v + KEY_TILE * d;
    return t;
}

int attention_new(struct attention **out, const struct attention_shape *shape, struct pool *pool,
                  struct err *err)
{
    struct attention *a = xcalloc(1, sizeof *a);
    a->shape = *shape;
    a->pool = pool;
    a->scratch = xcalloc(pool_threads(pool), sizeof *a->scratch);
    a->panels = xcalloc(pool_threads(pool), sizeof *a->panels);
    *out = a;
    for (size_t i = 0; i < pool_threads(pool); i++) {
        a->scratch[i] = mem_array(scratch_floats(shape), sizeof(float), "attention", err);
        if (!a->scratch[i]) {
            attention_free(a);
            *out = NULL;
            return -1;
        }
    }
    return 0;
}

void attention_free(struct attention *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < pool_threads(a->pool); i++) {
        free(a->scratch[i]);
        free(a->panels[i].p);
    }
    free(a->scratch);
    free(a->panels);
    free(a->dk_heads);
    free(a->dv_heads);
    free(a->tasks);
    free(a);
}

struct attention_shape attention_shape_of(const struct attention *a)
{
    return a->shape;
}

/* A tile of rows of one head as floats: a view where the operand is float32. */
struct view {
    const float *p;
    size_t ld;
};

static struct view head_rows(const struct operand *o, size_t row, size_t n, size_t head, size_t d,
                             float *tmp)
{
    if (!o->bf16)
        return (struct view){operand_f32(o, row) + head * d, o->cols};
    for (size_t i = 0; i < n; i++)
        bf16_to_floats(operand_bf16(o, row + i) + head * d, tmp + i * d, d);
    return (struct view){tmp, d};
}

static void add_task(struct attention *a, size_t start, size_t q0, size_t q1, size_t head)
{
    ARRAY_GROW(a->tasks, a->n_tasks, a->tasks_cap);
    a->tasks[a->n_tasks++] = (struct attention_task){start, q0, q1, head};
}

/* The first position that position q sees. */
static size_t first_seen(size_t q, size_t window)
{
    return q < window ? 0 : q + 1 - window;
}

/* Masks scores of keys that come after their query, or before its window; rows are q0.., columns
 * k0... */
static void mask_unseen(float *scores, size_t q0, size_t nq, size_t k0, size_t nk, size_t window)
{
    for (size_t i = 0; i < nq; i++) {
        float *row = scores + i * KEY_TILE;
        size_t first = first_seen(q0 + i, window);
        for (size_t j = 0; j < nk && k0 + j < first; j++)
            row[j] = -INFINITY;
        for (size_t j = q0 + i < k0 ? 0 : q0 + i + 1 - k0; j < nk; j++)
            row[j] = -INFINITY;
    }
}

/* Turns a tile of scores into weights and brings what was summed so far to the new maximum. */
static void online_softmax(struct tiles *t, size_t nq, size_t nk, size_t d)
{
    for (size_t i = 0; i < nq; i++) {
        float *row = t->scores + i * KEY_TILE;
        float max = row_max(row, nk);
        max = max > t->max[i] ? max : t->max[i];
        float keep = simd_exp(t->max[i] - max);
        if (t->max[i] == -INFINITY)
            keep = 0;
        /* A window can hide a whole tile from a row. */
        t->sum[i] = t->sum[i] * keep + row_exp(row, nk, max == -INFINITY ? 0 : max);
        t->max[i] = max;
        row_scale(t->out + i * d, d, keep);
    }
}

/* gemm_tile in the arithmetic that the operands ask for. */
struct product {
    struct gemm_scratch *panels; /* NULL: float32 */
};

static void multiply(const struct product *p, bool transpose_a, bool transpose_b, size_t m,
                     size_t n, size_t k, float alpha, const float *a, size_t lda, const float *b,
                     size_t ldb, float beta, float *c, size_t ldc)
{
    if (p->panels)
        gemm_tile_bf16(p->panels, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c,
                       ldc);
    else
        gemm_tile(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

struct attention_run {
    struct attention *a;
    size_t window;
    const struct operand *q, *k, *v, *out;
    float *lse;
    const float *lse_in, *d_out;
    float *dq, *dk, *dv;
};

/* Scores of a tile of queries and keys, capped and masked; `capped` gets them before the mask. */
static void score_tile(const struct attention_run *run, const struct product *product,
                       float *scores, float *capped, struct view q, size_t q0, size_t nq,
                       struct view k, size_t k0, size_t nk)
{
    const struct attention_shape *s = &run->a->shape;
    multiply(product, false, true, nq, nk, s->head_dim, s->scale, q.p, q.ld, k.p, k.ld, 0, scores,
             KEY_TILE);
    for (size_t i = 0; s->softcap != 0 && i < nq; i++)
        softcap_forward(scores + i * KEY_TILE, nk, 1, s->softcap);
    if (capped)
        memcpy(capped, scores, nq * KEY_TILE * sizeof *capped);
    mask_unseen(scores, q0, nq, k0, nk, run->window);
}

static void forward_task(void *arg, size_t i, size_t thread)
{
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    const struct attention_task *task = &run->a->tasks[i];
    size_t d = s->head_dim, kv_head = task->head / (s->n_heads / s->n_kv_heads);
    struct tiles t = tiles_in(run->a->scratch[thread], s);
    struct product product = {run->q->bf16 ? &run->a->panels[thread] : NULL};
    size_t nq = task->q1 - task->q0;
    struct view q = head_rows(run->q, task->start + task->q0, nq, task->head, d, t.q);
    memset(t.out, 0, nq * d * sizeof *t.out);
    for (size_t r = 0; r < nq; r++) {
        t.max[r] = -INFINITY;
        t.sum[r] = 0;
    }
    for (size_t k0 = first_seen(task->q0, run->window); k0 < task->q1; k0 += KEY_TILE) {
        size_t nk = size_min(KEY_TILE, task->q1 - k0);
        struct view k = head_rows(run->k, task->start + k0, nk, kv_head, d, t.k);
        struct view v = head_rows(run->v, task->start + k0, nk, kv_head, d, t.v);
        score_tile(run, &product, t.scores, NULL, q, task->q0, nq, k, k0, nk);
        online_softmax(&t, nq, nk, d);
        multiply(&product, false, false, nq, d, nk, 1, t.scores, KEY_TILE, v.p, v.ld, 1, t.out, d);
    }
    for (size_t r = 0; r < nq; r++) {
        size_t row = task->start + task->q0 + r;
        row_scale(t.out + r * d, d, 1 / t.sum[r]);
        operand_store(run->out, row, task->head * d, t.out + r * d, d);
        if (run->lse)
            run->lse[row * s->n_heads + task->head] = t.max[r] + logf(t.sum[r]);
    }
}

int attention_forward(struct attention *a, const struct operand *q, const struct operand *k,
                      const struct operand *v, const size_t *lengths, size_t n_documents,
                      size_t window, const struct operand *out, float *lse, struct err *err)
{
    (void)err;
    struct attention_run run = {
        .a = a, .window = window, .q = q, .k = k, .v = v, .out = out, .lse = lse};
    a->n_tasks = 0;
    for (size_t i = 0, start = 0; i < n_documents; start += lengths[i++])
        for (size_t q0 = 0; q0 < lengths[i]; q0 += QUERY_TILE)
            for (size_t h = 0; h < a->shape.n_heads; h++)
                add_task(a, start, q0, size_min(q0 + QUERY_TILE, lengths[i]), h);
    pool_run(a->pool, a->n_tasks, forward_task, &run);
    return 0;
}

/* ds = p (dp - along), with ds in dp's place. */
SIMD_CLONES static void row_softmax_backward(float *dp, const float *p, size_t n, float along)
{
    for (size_t i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - along);
}

/* One tile of queries against all keys before its end: adds to dk and dv of this head. */
static void backward_queries(const struct attention_run *run, const struct attention_task *task,
                             struct tiles *t, struct product product, size_t q0, size_t q1)
{
    const struct attention_shape *s = &run->a->shape;
    size_t d = s->head_dim, width = s->n_heads * d, nq = q1 - q0, row = task->start + q0;
    size_t kv_head = task->head / (s->n_heads / s->n_kv_heads);
    struct view q = head_rows(run->q, row, nq, task->head, d, t->q);
    const float *d_out = run->d_out + row * width + task->head * d;
    float *dq = run->dq + row * width + task->head * d;
    for (size_t r = 0; r < nq; r++) {
        operand_load(run->out, row + r, task->head * d, t->out, d);
        t->sum[r] = row_dot(t->out, d_out + r * width, d);
        t->max[r] = run->lse_in[(row + r) * s->n_heads + task->head];
    }
    size_t first = first_seen(q0, run->window);
    for (size_t k0 = first; k0 < q1; k0 += KEY_TILE) {
        size_t nk = size_min(KEY_TILE, q1 - k0), key = task->start + k0;
        struct view k = head_rows(run->k, key, nk, kv_head, d, t->k);
        struct view v = head_rows(run->v, key, nk, kv_head, d, t->v);
        float *dk = run->a->dk_heads + key * width + task->head * d;
        float *dv = run->a->dv_heads + key * width + task->head * d;
        score_tile(run, &product, t->scores, t->capped, q, q0, nq, k, k0, nk);
        for (size_t r = 0; r < nq; r++)
            row_exp(t->scores + r * KEY_TILE, nk, t->max[r]);
        multiply(&product, true, false, nk, d, nq, 1, t->scores, KEY_TILE, d_out, width, 1, dv,
                 width);
        multiply(&product, false, true, nq, nk, d, 1, d_out, width, v.p, v.ld, 0, t->d_scores,
                 KEY_TILE);
        for (size_t r = 0; r < nq; r++)
            row_softmax_backward(t->d_scores + r * KEY_TILE, t->scores + r * KEY_TILE, nk,
                                 t->sum[r]);
        for (size_t r = 0; t->capped && r < nq; r++)
            softcap_backward(t->d_scores + r * KEY_TILE, t->capped + r * KEY_TILE, nk, 1,
                             s->softcap);
        multiply(&product, false, false, nq, d, nk, s->scale, t->d_scores, KEY_TILE, k.p, k.ld,
                 k0 > first ? 1 : 0, dq, width);
        multiply(&product, true, false, nk, d, nq, s->scale, t->d_scores, KEY_TILE, q.p, q.ld, 1,
                 dk, width);
    }
}

/* A whole document and head, so that dk and dv have one writer. */
static void backward_task(void *arg, size_t i, size_t thread)
{
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    const struct attention_task *task = &run->a->tasks[i];
    size_t d = s->head_dim, width = s->n_heads * d;
    struct tiles t = tiles_in(run->a->scratch[thread], s);
    struct product product = {run->q->bf16 ? &run->a->panels[thread] : NULL};
    for (size_t r = 0; r < task->q1; r++) {
        size_t at = (task->start + r) * width + task->head * d;
        memset(run->a->dk_heads + at, 0, d * sizeof(float));
        memset(run->a->dv_heads + at, 0, d * sizeof(float));
    }
    for (size_t q0 = 0; q0 < task->q1; q0 += QUERY_TILE)
        backward_queries(run, task, &t, product, q0, size_min(q0 + QUERY_TILE, task->q1));
}

/* Adds up the heads that share a key head. */
static void share_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    const struct attention_task *task = &run->a->tasks[i];
    size_t d = s->head_dim, group = s->n_heads / s->n_kv_heads;
    for (size_t r = task->q0; r < task->q1; r++)
        for (size_t kv = 0; kv < s->n_kv_heads; kv++) {
            size_t row = task->start + r, from = (row * s->n_heads + kv * group) * d;
            float *dk = run->dk + (row * s->n_kv_heads + kv) * d;
            float *dv = run->dv + (row * s->n_kv_heads + kv) * d;
            memcpy(dk, run->a->dk_heads + from, d * sizeof *dk);
            memcpy(dv, run->a->dv_heads + from, d * sizeof *dv);
            for (size_t h = 1; h < group; h++)
                for (size_t j = 0; j < d; j++) {
                    dk[j] += run->a->dk_heads[from + h * d + j];
                    dv[j] += run->a->dv_heads[from + h * d + j];
                }
        }
}

static int reserve_heads(struct attention *a, size_t rows, struct err *err)
{
    if (rows <= a->dk_cap)
        return 0;
    free(a->dk_heads);
    free(a->dv_heads);
    a->dk_cap = 0;
    size_t width = a->shape.n_heads * a->shape.head_dim;
    a->dk_heads = mem_array(rows * width, sizeof(float), "gradients of keys", err);
    a->dv_heads =
        a->dk_heads ? mem_array(rows * width, sizeof(float), "gradients of values", err) : NULL;
    if (!a->dv_heads)
        return -1;
    a->dk_cap = rows;
    return 0;
}

int attention_backward(struct attention *a, const struct operand *q, const struct operand *k,
                       const struct operand *v, const struct operand *out, const float *lse,
                       const size_t *lengths, size_t n_documents, size_t window, const float *d_out,
                       float *dq, float *dk, float *dv, struct err *err)
{
    struct attention_run run = {.a = a,
                                .window = window,
                                .q = q,
                                .k = k,
                                .v = v,
                                .out = out,
                                .lse_in = lse,
                                .d_out = d_out,
                                .dq = dq,
                                .dk = dk,
                                .dv = dv};
    size_t rows = 0;
    a->n_tasks = 0;
    for (size_t i = 0; i < n_documents; rows += lengths[i++])
        for (size_t h = 0; h < a->shape.n_heads; h++)
            add_task(a, rows, 0, lengths[i], h);
    if (reserve_heads(a, rows, err))
        return -1;
    pool_run(a->pool, a->n_tasks, backward_task, &run);
    a->n_tasks = 0;
    for (size_t i = 0; i < rows; i += QUERY_TILE)
        add_task(a, 0, i, size_min(i + QUERY_TILE, rows), 0);
    pool_run(a->pool, a->n_tasks, share_task, &run);
    return 0;
}

void attention_decode(const struct attention_shape *s, const float *q, const float *keys,
                      const float *values, size_t n, size_t window, float *out, float *scores)
{
    size_t d = s->head_dim, ld = s->n_kv_heads * d, group = s->n_heads / s->n_kv_heads;
    size_t unseen = n > window ? n - window : 0;
    keys += unseen * ld;
    values += unseen * ld;
    n -= unseen;
    for (size_t h = 0; h < s->n_heads; h++) {
        const float *k = keys + h / group * d, *v = values + h / group * d;
        float *o = out + h * d;
        for (size_t j = 0; j < n; j++)
            scores[j] = s->scale * row_dot(q + h * d, k + j * ld, d);
        if (s->softcap != 0)
            softcap_forward(scores, n, 1, s->softcap);
        float max = row_max(scores, n), sum = row_exp(scores, n, max);
        memset(o, 0, d * sizeof *o);
        for (size_t j = 0; j < n; j++)
            row_add(o, v + j * ld, d, scores[j]);
        row_scale(o, d, 1 / sum);
    }
}
