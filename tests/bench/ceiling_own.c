/* The products of a step by lib/compute, as training calls it. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/pool.h"
#include "compute/gemm.h"
#include "compute/tile.h"
#include "step.h"

/* What a thread multiplies tiles with; all but the results are the same for all threads. */
struct tiles {
    float *scores, *sums;
};

struct own {
    const struct step *s;
    struct pool *pool;
    struct gemm *g;
    struct matrix *weights;
    void *numbers[2];  /* as operands, x and dy */
    float *results[2]; /* y or dx, h */
    float *factors[2]; /* A or B, h or dh */
    struct tiles *tiles;
    uint32_t *panels;
};

static size_t widest(const struct step *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_products; i++) {
        const struct product *p = &s->products[i];
        n = size_max(n, p->m * size_max(p->n, p->k));
    }
    return size_max(n, s->tokens * s->n_heads * s->head_dim);
}

static float *floats(size_t n)
{
    uint16_t *halves = step_numbers(n);
    float *p = xcalloc(n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)halves[i] / 65536 - 0.25F;
    free(halves);
    return p;
}

static void own_close(void *with)
{
    struct own *o = with;
    for (size_t i = 0; i < o->s->n_weights; i++)
        free((void *)(uintptr_t)o->weights[i].data);
    free(o->weights);
    for (size_t i = 0; i < 2; i++) {
        free(o->numbers[i]);
        free(o->results[i]);
        free(o->factors[i]);
    }
    for (size_t i = 0; o->tiles && i < pool_threads(o->pool); i++) {
        free(o->tiles[i].scores);
        free(o->tiles[i].sums);
    }
    free(o->tiles);
    free(o->panels);
    gemm_free(o->g);
    pool_free(o->pool);
    free(o);
}

static void open_tiles(struct own *o)
{
    const size_t d = size_round_up(o->s->head_dim, 32);
    const size_t words = tile_panel_words(STEP_KEYS, size_max(d, STEP_QUERIES));
    o->panels = step_numbers(4 * words); /* float32 has no panels, and twice the bytes */
    o->tiles = xcalloc(pool_threads(o->pool), sizeof *o->tiles);
    for (size_t i = 0; i < pool_threads(o->pool); i++) {
        o->tiles[i].scores = floats(STEP_KEYS * STEP_QUERIES);
        o->tiles[i].sums = floats(STEP_KEYS * d);
    }
}

static void *own_open(const struct step *s, size_t threads, struct err *err)
{
    struct own *o = xcalloc(1, sizeof *o);
    o->s = s;
    o->weights = xcalloc(s->n_weights, sizeof *o->weights);
    o->pool = pool_new(threads, err);
    if (!o->pool || gemm_new(&o->g, BACKEND_AUTO, o->pool, err)) {
        own_close(o);
        return NULL;
    }
    for (size_t i = 0; i < s->n_weights; i++) {
        const struct weight *w = &s->weights[i];
        o->weights[i] = (struct matrix){.dtype = DTYPE_BF16,
                                        .data = step_numbers(w->n * w->k),
                                        .rows = w->n,
                                        .cols = w->k,
                                        .row_bytes = w->k * 2};
    }
    const size_t n = widest(s) + 2 * STEP_KEYS * STEP_KEYS; /* a tile may begin anywhere */
    for (size_t i = 0; i < 2; i++) {
        o->numbers[i] = gemm_wants_bf16(o->g) ? step_numbers(n) : (void *)floats(n);
        o->results[i] = floats(n);
        o->factors[i] = floats(n);
    }
    open_tiles(o);
    return o;
}

/* ---- attention ---- */

struct attend {
    struct own *o;
    bool back;
    size_t blocks; /* of queries, in a document */
};

/* A tile: keys by queries, and the sums over keys or queries that follow from it. */
static void multiply_tile(const struct own *o, const struct tiles *t, const void *rows, size_t keys,
                          size_t queries, bool back)
{
    const size_t d = o->s->head_dim, wide = size_round_up(d, 32);
    const bool bf16 = gemm_wants_bf16(o->g);
    const struct tile_left k = {rows, o->s->n_kv_heads * d, bf16, false},
                           along = {rows, STEP_KEYS, bf16, false},
                           p = {rows, STEP_QUERIES, bf16, false};
    const struct tile_right q = {o->panels, bf16 ? wide * 16 : STEP_QUERIES, bf16, false},
                            w = {o->panels, bf16 ? STEP_KEYS * 16 : STEP_QUERIES, bf16, false},
                            g = {o->panels, bf16 ? STEP_QUERIES * 16 : wide, bf16, false};
    for (int i = 0; i <= back; i++) { /* scores; dP */
        tile_multiply(&k, &q, keys, queries, d, t->scores, STEP_QUERIES, false);
        if (back) /* dV; dK */
            tile_multiply(&p, &g, keys, d, queries, t->sums, wide, true);
    }
    tile_multiply(&along, &w, d, queries, keys, t->sums, STEP_QUERIES, true); /* O; dQ */
}

static void attend_task(void *arg, size_t i, size_t thread)
{
    const struct attend *a = arg;
    const struct step *s = a->o->s;
    const size_t q0 = i % a->blocks * STEP_QUERIES, head = i / a->blocks % s->n_heads;
    const size_t document = i / a->blocks / s->n_heads;
    const size_t queries = size_min(STEP_QUERIES, s->length - q0), end = q0 + queries;
    const size_t kv = head * s->n_kv_heads / s->n_heads, width = s->n_kv_heads * s->head_dim;
    const size_t size = gemm_wants_bf16(a->o->g) ? 2 : 4;
    for (size_t k0 = 0; k0 < end; k0 += STEP_KEYS) {
        const size_t at = (document * s->length + k0) * width + kv * s->head_dim;
        multiply_tile(a->o, &a->o->tiles[thread], (char *)a->o->numbers[0] + at * size,
                      size_min(STEP_KEYS, end - k0), queries, a->back);
    }
}

static void attend(struct own *o, bool back)
{
    struct attend a = {o, back, (o->s->length + STEP_QUERIES - 1) / STEP_QUERIES};
    pool_run(o->pool, a.blocks * o->s->n_heads * o->s->documents, attend_task, &a);
}

/* ---- the rest ---- */

static void own_multiply(void *with, const struct product *p)
{
    struct own *o = with;
    const bool bf16 = gemm_wants_bf16(o->g);
    const struct operand x = {o->numbers[0], p->k, bf16}, dy = {o->numbers[1], p->n, bf16};
    const struct matrix *w = &o->weights[p->matrix];
    const struct gemm_forward forward = {
        .w = w, .lora = {o->factors[0], o->factors[1], p->r}, .y = o->results[0]};
    const struct gemm_backward backward = {
        .w = w, .dy = &dy, .a = p->r ? o->factors[0] : NULL, .dh = o->factors[1], .r = p->r};
    switch (p->kind) {
    case PRODUCT_FORWARD:
        gemm_forward(o->g, &x, p->m, &forward, 1);
        break;
    case PRODUCT_BACKWARD:
        gemm_backward(o->g, o->results[0], p->m, false, &backward, 1);
        break;
    case PRODUCT_DOWN:
        gemm_down(o->g, &x, p->m, o->factors[0], p->r, 1, o->results[1]);
        break;
    case PRODUCT_DOWN_BACKWARD:
        gemm_down_backward(o->g, &dy, p->m, o->factors[0], p->r, 1, o->results[1]);
        break;
    case PRODUCT_GRAD_A:
        gemm_grad_a(o->g, &x, p->m, o->factors[1], p->r, o->results[1]);
        break;
    case PRODUCT_GRAD_B:
        gemm_grad_b(o->g, &dy, p->m, o->factors[1], p->r, o->results[1]);
        break;
    case PRODUCT_ATTEND:
    case PRODUCT_ATTEND_BACKWARD:
        attend(o, p->kind == PRODUCT_ATTEND_BACKWARD);
    }
}

const struct arithmetic arithmetic_own = {"own", own_open, own_multiply, own_close};
