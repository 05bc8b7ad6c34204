/* The way back through attention. */
#include "compute/attention_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/attention_bf16.h"
#include "compute/ops.h"
#include "compute/rows.h"

/* A tile of weights or gradients as a right operand (sums over keys) and a left one. */
struct both {
    struct tile_right right;
    struct tile_left left;
};

static struct both both_sides(const struct block *b, const float *tile, size_t nk)
{
    if (!b->run->q->bf16)
        return (struct both){{tile, QUERY_TILE, false, false}, {tile, QUERY_TILE, false, false}};
    floats_to_bf16(tile, b->t.rounded, nk * QUERY_TILE);
    return (struct both){tile_along(b->t.rounded, QUERY_TILE, nk, b->columns, b->t.weights),
                         {b->t.rounded, QUERY_TILE, true, false}};
}

/* The gradient of the output, its product with the output, and the queries' saved sums. Columns
 * behind the last query get no weight. */
static void load_gradients(struct block *b)
{
    const struct attention_run *run = b->run;
    size_t d = run->a->shape.head_dim, n_heads = run->a->shape.n_heads, wide = b->t.wide;
    struct tiles *t = &b->t;
    memset(t->g, 0, QUERY_TILE * wide * sizeof *t->g);
    for (size_t r = 0; r < QUERY_TILE; r++) {
        t->sum[r] = 0;
        t->max[r] = INFINITY;
        if (r >= b->nq)
            continue;
        size_t row = b->row + r;
        memcpy(t->g + r * wide, run->d_out + (row * n_heads + b->task->head) * d, d * sizeof *t->g);
        operand_load(run->out, row, b->task->head * d, t->rows, d);
        t->sum[r] = row_dot(t->rows, t->g + r * wide, d);
        t->max[r] = run->lse_in[row * n_heads + b->task->head];
    }
    if (run->q->bf16)
        floats_to_bf16(t->g, t->g16, QUERY_TILE * wide);
}

/* A tile's weights from its scores, in their place and as a left operand. */
static struct tile_left weights_again(const struct block *b, size_t nk)
{
    const struct tiles *t = &b->t;
    float scale = scale_left(&b->run->a->shape);
    if (b->run->q->bf16) {
        bf16_tile_weights(t->scores, nk, b->columns, scale, t->max, t->rounded);
        return (struct tile_left){t->rounded, QUERY_TILE, true, false};
    }
    tile_weights(t->scores, nk, b->columns, scale, t->max);
    return (struct tile_left){t->scores, QUERY_TILE, false, false};
}

/* The gradient of a tile's scores from that of its weights. */
static struct both score_gradients(const struct block *b, size_t nk)
{
    const struct attention_shape *s = &b->run->a->shape;
    const struct tiles *t = &b->t;
    float scale = scale_left(s);
    if (b->run->q->bf16 && !t->capped) {
        bf16_tile_softmax_backward(t->d_scores, t->scores, nk, b->columns, scale, t->sum,
                                   t->rounded, t->weights);
        return (struct both){tile_panels(t->weights, nk), {t->rounded, QUERY_TILE, true, false}};
    }
    tile_softmax_backward(t->d_scores, t->scores, nk, b->columns, scale, t->sum);
    for (size_t j = 0; t->capped && j < nk; j++)
        softcap_backward(t->d_scores + j * QUERY_TILE, t->capped + j * QUERY_TILE, b->columns,
                         s->scale, s->softcap);
    return both_sides(b, t->d_scores, nk);
}

/* A block of queries against all keys before its end: adds to dk and dv of this head. */
static void backward_queries(struct block *b)
{
    const struct attention_run *run = b->run;
    const struct attention_shape *s = &run->a->shape;
    struct tiles *t = &b->t;
    size_t d = s->head_dim, width = s->n_heads * d, end = b->q0 + b->nq;
    attention_load_queries(b);
    load_gradients(b);
    struct tile_right q_across = attention_across(b, t->q, t->q16, t->q_across),
                      g_across = attention_across(b, t->g, t->g16, t->g_across),
                      q_along = attention_along(b, t->q, t->q16, t->q_along),
                      g_along = attention_along(b, t->g, t->g16, t->g_along);
    memset(t->sums, 0, size_round_up(d, TILE_UNIT) * QUERY_TILE * sizeof *t->sums);
    end = size_min(end, b->task->k1);
    for (size_t k0 = size_max(first_seen(b->q0, run->window), b->task->k0); k0 < end;
         k0 += KEY_TILE) {
        size_t nk = size_min(KEY_TILE, end - k0), key = b->task->start + k0;
        float *dk = run->a->dk_heads + key * width + b->task->head * d;
        float *dv = run->a->dv_heads + key * width + b->task->head * d;
        struct tile_left values = attention_head_rows(run->v, key, b->kv_head, d);
        attention_score_tile(b, &q_across, k0, nk, t->capped);
        struct tile_left weights = weights_again(b, nk);
        tile_multiply(&weights, &g_along, nk, d, b->columns, dv, width, true);
        tile_multiply(&values, &g_across, nk, b->columns, d, t->d_scores, QUERY_TILE, false);
        struct both d_scores = score_gradients(b, nk);
        struct tile_left keys = attention_head_turned(run, b->task, k0, b->kv_head);
        tile_multiply(&keys, &d_scores.right, d, b->columns, nk, t->sums, QUERY_TILE, true);
        tile_multiply(&d_scores.left, &q_along, nk, d, b->columns, dk, width, true);
    }
    tile_turn(t->sums, QUERY_TILE, size_round_up(d, TILE_UNIT), b->columns, t->rows, t->wide);
    float *dq = b->task->k0 ? run->a->dq_later : run->dq;
    for (size_t r = 0; r < b->nq; r++)
        memcpy(dq + (b->row + r) * width + b->task->head * d, t->rows + r * t->wide,
               d * sizeof *t->rows);
}

/* The first of a long document's later keys: earlier ones have as many queries behind them in all,
 * (1 - 1/sqrt 2) of the keys. 0: the document isn't split. */
static size_t later_keys(size_t length)
{
    enum { LONG = 1024 };
    return length < LONG ? 0 : size_round_up(length * 29 / 100, QUERY_TILE);
}

/* Cuts the tasks of long documents in two, so that few heads keep several threads busy. */
static void split_tasks(struct attention *a)
{
    for (size_t i = 0, n = a->n_tasks; i < n; i++) {
        struct attention_task later = a->tasks[i];
        later.k0 = later.q0 = later_keys(later.length);
        if (!later.k0)
            continue;
        a->tasks[i].k1 = later.k0;
        ARRAY_GROW(a->tasks, a->n_tasks, a->tasks_cap);
        a->tasks[a->n_tasks++] = later;
    }
}

/* Keys of a document and head, so that their gradients have one writer. */
static void backward_task(void *arg, size_t i, size_t thread)
{
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    struct block b = {.run = run, .task = &run->a->tasks[i]};
    size_t d = s->head_dim, width = s->n_heads * d;
    attention_lay_out(&b.t, run->a->scratch[thread], s);
    b.kv_head = key_head(s, b.task->head);
    for (size_t r = b.task->k0; r < b.task->k1; r++) {
        size_t at = (b.task->start + r) * width + b.task->head * d;
        memset(run->a->dk_heads + at, 0, d * sizeof(float));
        memset(run->a->dv_heads + at, 0, d * sizeof(float));
    }
    for (size_t q0 = b.task->q0; q0 < b.task->length; q0 += QUERY_TILE) {
        attention_block_rows(&b, q0, size_min(q0 + QUERY_TILE, b.task->length));
        backward_queries(&b);
    }
}

/* Adds up what both parts of a document's keys gave, and the heads that share a key head. */
static void share_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    const struct attention_task *task = &run->a->tasks[i];
    size_t d = s->head_dim, group = s->n_heads / s->n_kv_heads, width = s->n_heads * d;
    size_t later = later_keys(task->length);
    for (size_t r = size_max(task->q0, later); later && r < task->q1; r++)
        row_add(run->dq + (task->start + r) * width, run->a->dq_later + (task->start + r) * width,
                width, 1);
    for (size_t r = task->q0; r < task->q1; r++)
        for (size_t kv = 0; kv < s->n_kv_heads; kv++) {
            size_t row = task->start + r, from = (row * s->n_heads + kv * group) * d;
            float *dk = run->dk + (row * s->n_kv_heads + kv) * d;
            float *dv = run->dv + (row * s->n_kv_heads + kv) * d;
            memcpy(dk, run->a->dk_heads + from, d * sizeof *dk);
            memcpy(dv, run->a->dv_heads + from, d * sizeof *dv);
            for (size_t h = 1; h < group; h++) {
                row_add(dk, run->a->dk_heads + from + h * d, d, 1);
                row_add(dv, run->a->dv_heads + from + h * d, d, 1);
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

static int reserve_later(struct attention *a, const size_t *lengths, size_t n_documents,
                         struct err *err)
{
    size_t rows = 0, end = 0;
    for (size_t i = 0; i < n_documents; i++) {
        end += lengths[i];
        if (later_keys(lengths[i]))
            rows = end;
    }
    if (rows <= a->dq_cap)
        return 0;
    free(a->dq_later);
    a->dq_cap = 0;
    a->dq_later = mem_array(rows * a->shape.n_heads * a->shape.head_dim, sizeof(float),
                            "gradients of queries", err);
    if (!a->dq_later)
        return -1;
    a->dq_cap = rows;
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
                                .to_turn = k,
                                .lse_in = lse,
                                .d_out = d_out,
                                .dq = dq,
                                .dk = dk,
                                .dv = dv};
    size_t rows = 0;
    for (size_t i = 0; i < n_documents; i++)
        rows += lengths[i];
    if (reserve_heads(a, rows, err) || reserve_later(a, lengths, n_documents, err) ||
        attention_turn_heads(&run, lengths, n_documents, err))
        return -1;
    attention_add_tasks(a, lengths, n_documents, SIZE_MAX, a->shape.n_heads);
    split_tasks(a);
    pool_run(a->pool, a->n_tasks, backward_task, &run);
    attention_add_tasks(a, lengths, n_documents, QUERY_TILE, 1);
    pool_run(a->pool, a->n_tasks, share_task, &run);
    return 0;
}
