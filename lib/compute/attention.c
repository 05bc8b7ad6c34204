#include "compute/attention_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/simd.h"
#include "compute/attention_bf16.h"
#include "compute/ops.h"
#include "compute/rows.h"

/* Rows and columns that panels are made of come in whole ones. */
static size_t padded(size_t n)
{
    enum { UNIT = 32 };
    return size_round_up(n, UNIT);
}

/* Columns of a document's turned heads: an odd number of cache lines, since rows that lie a power
 * of two apart take each other's places in the cache. */
static size_t turned_width(size_t length)
{
    size_t lines = size_round_up(length, 32) / 32;
    return (lines | 1) * 32;
}

/* The next n bytes of scratch memory; counts alone while there is none. */
static void *part(char *base, size_t *used, size_t n)
{
    size_t at = *used;
    *used += size_round_up(n, 64);
    return base ? base + at : NULL;
}

size_t attention_lay_out(struct tiles *t, char *p, const struct attention_shape *s)
{
    size_t used = 0, d = s->head_dim, wide = padded(d);
    size_t scores = KEY_TILE * QUERY_TILE, rows = QUERY_TILE * wide;
    t->wide = wide;
    t->scores = part(p, &used, scores * sizeof(float));
    t->d_scores = part(p, &used, scores * sizeof(float));
    t->capped = s->softcap == 0 ? NULL : part(p, &used, scores * sizeof(float));
    t->sums = part(p, &used, rows * sizeof(float));
    t->rows = part(p, &used, rows * sizeof(float));
    t->q = part(p, &used, rows * sizeof(float));
    t->g = part(p, &used, rows * sizeof(float));
    t->q16 = part(p, &used, rows * sizeof(uint16_t));
    t->g16 = part(p, &used, rows * sizeof(uint16_t));
    t->rounded = part(p, &used, scores * sizeof(uint16_t));
    t->weights = part(p, &used, tile_panel_words(KEY_TILE, QUERY_TILE) * sizeof(uint32_t));
    uint32_t **panels[] = {&t->q_across, &t->g_across, &t->q_along, &t->g_along};
    for (size_t i = 0; i < ARRAY_SIZE(panels); i++)
        *panels[i] = part(p, &used, tile_panel_words(QUERY_TILE, wide) * sizeof(uint32_t));
    return used;
}

int attention_new(struct attention **out, const struct attention_shape *shape, struct pool *pool,
                  struct err *err)
{
    struct attention *a = xcalloc(1, sizeof *a);
    struct tiles t;
    a->shape = *shape;
    a->pool = pool;
    a->scratch = xcalloc(pool_threads(pool), sizeof *a->scratch);
    *out = a;
    for (size_t i = 0; i < pool_threads(pool); i++) {
        a->scratch[i] = mem_array(attention_lay_out(&t, NULL, shape), 1, "attention", err);
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
    for (size_t i = 0; i < pool_threads(a->pool); i++)
        free(a->scratch[i]);
    free(a->scratch);
    free(a->turned);
    free(a->dk_heads);
    free(a->dv_heads);
    free(a->dq_later);
    free(a->tasks);
    free(a);
}

struct attention_shape attention_shape_of(const struct attention *a)
{
    return a->shape;
}

void attention_add_tasks(struct attention *a, const size_t *lengths, size_t n_documents,
                         size_t rows, size_t heads)
{
    size_t start = 0, turned = 0;
    a->n_tasks = 0;
    for (size_t i = 0; i < n_documents;
         start += lengths[i], turned += turned_width(lengths[i]), i++)
        for (size_t q0 = 0; q0 < lengths[i]; q0 += size_min(rows, lengths[i] - q0))
            for (size_t h = 0; h < heads; h++) {
                size_t q1 = q0 + size_min(rows, lengths[i] - q0);
                ARRAY_GROW(a->tasks, a->n_tasks, a->tasks_cap);
                a->tasks[a->n_tasks++] =
                    (struct attention_task){start, turned, lengths[i], q0, q1, h, 0, lengths[i]};
            }
}

/* Where a document's turned head is: [D up to a multiple of 32, its turned_width]. */
static uint16_t *turned_head(const struct attention_run *run, const struct attention_task *task,
                             size_t kv_head)
{
    const struct attention_shape *s = &run->a->shape;
    size_t wide = padded(s->head_dim);
    return run->a->turned + task->turned * s->n_kv_heads * wide +
           kv_head * wide * turned_width(task->length);
}

static void turn_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    const struct attention_run *run = arg;
    const struct attention_task *task = &run->a->tasks[i];
    size_t d = run->a->shape.head_dim, cols = run->to_turn->cols;
    tile_turn_bf16(operand_bf16(run->to_turn, task->start) + task->head * d, cols, task->length, d,
                   turned_head(run, task, task->head), turned_width(task->length));
}

int attention_turn_heads(struct attention_run *run, const size_t *lengths, size_t n_documents,
                         struct err *err)
{
    struct attention *a = run->a;
    size_t rows = 0, n;
    if (!run->to_turn->bf16)
        return 0;
    if (a->shape.head_dim % 2)
        return err_set(err, "attention: bfloat16 with heads of %zu, an odd number",
                       a->shape.head_dim);
    for (size_t i = 0; i < n_documents; i++)
        rows += turned_width(lengths[i]);
    n = rows * a->shape.n_kv_heads * padded(a->shape.head_dim);
    if (n > a->turned_cap) {
        free(a->turned);
        a->turned_cap = 0;
        a->turned = mem_array(n, sizeof *a->turned, "attention", err);
        if (!a->turned)
            return -1;
        a->turned_cap = n;
    }
    attention_add_tasks(a, lengths, n_documents, SIZE_MAX, a->shape.n_kv_heads);
    pool_run(a->pool, a->n_tasks, turn_task, run);
    return 0;
}

struct tile_left attention_head_rows(const struct operand *o, size_t row, size_t head, size_t d)
{
    if (o->bf16)
        return (struct tile_left){operand_bf16(o, row) + head * d, o->cols, true, false};
    return (struct tile_left){operand_f32(o, row) + head * d, o->cols, false, false};
}

struct tile_left attention_head_turned(const struct attention_run *run,
                                       const struct attention_task *task, size_t k0, size_t kv_head)
{
    const struct operand *o = run->to_turn;
    if (o->bf16)
        return (struct tile_left){turned_head(run, task, kv_head) + k0, turned_width(task->length),
                                  true, false};
    struct tile_left rows =
        attention_head_rows(o, task->start + k0, kv_head, run->a->shape.head_dim);
    rows.turned = true;
    return rows;
}

void attention_block_rows(struct block *b, size_t q0, size_t q1)
{
    b->q0 = q0;
    b->nq = q1 - q0;
    b->columns = size_round_up(b->nq, TILE_UNIT);
    b->row = b->task->start + q0;
}

void attention_load_queries(struct block *b)
{
    size_t d = b->run->a->shape.head_dim, wide = b->t.wide;
    const struct operand *q = b->run->q;
    size_t size = operand_size(q->bf16);
    char *to = q->bf16 ? (void *)b->t.q16 : (void *)b->t.q;
    memset(to, 0, QUERY_TILE * wide * size);
    for (size_t i = 0; i < b->nq; i++)
        memcpy(to + i * wide * size,
               (char *)q->p + ((b->row + i) * q->cols + b->task->head * d) * size, d * size);
}

struct tile_right attention_across(const struct block *b, const float *rows, const uint16_t *rows16,
                                   uint32_t *panels)
{
    if (b->run->q->bf16)
        return tile_across(rows16, b->t.wide, b->run->a->shape.head_dim, b->columns, panels);
    return (struct tile_right){rows, b->t.wide, false, true};
}

struct tile_right attention_along(const struct block *b, const float *rows, const uint16_t *rows16,
                                  uint32_t *panels)
{
    if (b->run->q->bf16)
        return tile_along(rows16, b->t.wide, b->columns, b->run->a->shape.head_dim, panels);
    return (struct tile_right){rows, b->t.wide, false, false};
}

void attention_score_tile(const struct block *b, const struct tile_right *queries, size_t k0,
                          size_t nk, float *capped)
{
    const struct attention_run *run = b->run;
    const struct attention_shape *s = &run->a->shape;
    float *scores = b->t.scores;
    struct tile_left keys =
        attention_head_rows(run->k, b->task->start + k0, b->kv_head, s->head_dim);
    tile_multiply(&keys, queries, nk, b->columns, s->head_dim, scores, QUERY_TILE, false);
    for (size_t j = 0; s->softcap != 0 && j < nk; j++)
        softcap_forward(scores + j * QUERY_TILE, b->columns, s->scale, s->softcap);
    if (capped)
        memcpy(capped, scores, nk * QUERY_TILE * sizeof *capped);
    tile_mask(scores, nk, b->columns, b->q0, k0, run->window);
}

/* Turns a tile of scores into weights, a right operand, and brings what was summed so far to the
 * new maximum, which is one of scores that are not scaled yet. */
static struct tile_right online_softmax(struct block *b, size_t nk, size_t d)
{
    struct tiles *t = &b->t;
    const bool bf16 = b->run->q->bf16;
    float shift[QUERY_TILE], keep[QUERY_TILE], scale = scale_left(&b->run->a->shape);
    memcpy(shift, t->max, sizeof shift);
    (bf16 ? bf16_tile_max : tile_max)(t->scores, nk, b->columns, t->max);
    bool moved = memcmp(shift, t->max, sizeof shift);
    for (size_t q = 0; q < QUERY_TILE; q++) {
        keep[q] = shift[q] == -INFINITY ? 0 : simd_exp((shift[q] - t->max[q]) * scale);
        t->sum[q] *= keep[q];
        /* A window can hide a whole tile from a row. */
        shift[q] = t->max[q] == -INFINITY ? 0 : t->max[q] * scale;
    }
    if (moved)
        tile_scale(t->sums, d, b->columns, keep);
    if (bf16) {
        bf16_tile_exp(t->scores, nk, b->columns, scale, shift, t->sum, t->weights);
        return tile_panels(t->weights, nk);
    }
    tile_exp(t->scores, nk, b->columns, scale, shift, t->sum);
    return (struct tile_right){t->scores, QUERY_TILE, false, false};
}

static void forward_task(void *arg, size_t i, size_t thread)
{
    const struct attention_run *run = arg;
    const struct attention_shape *s = &run->a->shape;
    size_t d = s->head_dim;
    struct block b = {.run = run, .task = &run->a->tasks[i]};
    struct tiles *t = &b.t;
    attention_lay_out(t, run->a->scratch[thread], s);
    b.kv_head = key_head(s, b.task->head);
    attention_block_rows(&b, b.task->q0, b.task->q1);
    attention_load_queries(&b);
    struct tile_right queries = attention_across(&b, t->q, t->q16, t->q_across);
    memset(t->sums, 0, size_round_up(d, TILE_UNIT) * QUERY_TILE * sizeof *t->sums);
    for (size_t q = 0; q < QUERY_TILE; q++) {
        t->max[q] = -INFINITY;
        t->sum[q] = 0;
    }
    for (size_t k0 = first_seen(b.q0, run->window); k0 < b.task->q1; k0 += KEY_TILE) {
        size_t nk = size_min(KEY_TILE, b.task->q1 - k0);
        attention_score_tile(&b, &queries, k0, nk, NULL);
        struct tile_right weights = online_softmax(&b, nk, d);
        struct tile_left values = attention_head_turned(run, b.task, k0, b.kv_head);
        tile_multiply(&values, &weights, d, b.columns, nk, t->sums, QUERY_TILE, true);
    }
    tile_turn(t->sums, QUERY_TILE, size_round_up(d, TILE_UNIT), b.columns, t->rows, t->wide);
    for (size_t r = 0; r < b.nq; r++) {
        row_scale(t->rows + r * t->wide, d, 1 / t->sum[r]);
        operand_store(run->out, b.row + r, b.task->head * d, t->rows + r * t->wide, d);
        if (run->lse)
            run->lse[(b.row + r) * s->n_heads + b.task->head] =
                t->max[r] * scale_left(s) + logf(t->sum[r]);
    }
}

int attention_forward(struct attention *a, const struct operand *q, const struct operand *k,
                      const struct operand *v, const size_t *lengths, size_t n_documents,
                      size_t window, const struct operand *out, float *lse, struct err *err)
{
    struct attention_run run = {
        .a = a, .window = window, .q = q, .k = k, .v = v, .out = out, .to_turn = v, .lse = lse};
    if (attention_turn_heads(&run, lengths, n_documents, err))
        return -1;
    attention_add_tasks(a, lengths, n_documents, QUERY_TILE, a->shape.n_heads);
    pool_run(a->pool, a->n_tasks, forward_task, &run);
    return 0;
}

void attention_decode(const struct attention_shape *s, size_t kv_head, const float *q,
                      const float *keys, const float *values, size_t n, size_t window, float *out,
                      float *scores)
{
    size_t d = s->head_dim, ld = s->n_kv_heads * d, group = s->n_heads / s->n_kv_heads;
    size_t unseen = n > window ? n - window : 0;
    const float *k = keys + unseen * ld + kv_head * d, *v = values + unseen * ld + kv_head * d;
    n -= unseen;
    for (size_t h = kv_head * group; h < (kv_head + 1) * group; h++) {
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
