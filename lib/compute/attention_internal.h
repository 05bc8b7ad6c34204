/*
 * attention_internal: what both ways of attention share. Private to attention*.c.
 *
 * Scores are computed turned, S^T = K Q^T (attention_tile.h), and so is what they are summed into:
 * O^T = V^T P^T and dQ^T = K^T dS^T. Then keys and values are left operands where they lie, but for
 * V^T and K^T, which bfloat16 wants turned: once for each document and key head.
 */
#ifndef COMPUTE_ATTENTION_INTERNAL_H
#define COMPUTE_ATTENTION_INTERNAL_H

#include "compute/attention.h"
#include "compute/attention_tile.h"
#include "compute/tile.h"

struct attention {
    struct attention_shape shape;
    struct pool *pool;
    char **scratch;             /* one for each thread */
    uint16_t *turned;           /* V^T forward, K^T backward, in bfloat16 */
    size_t turned_cap;          /* numbers */
    float *dk_heads, *dv_heads; /* [T, n_heads D]: gradients of keys before the heads that share
                                   them are added */
    float *dq_later; /* the same: gradients of queries by the later keys of long documents */
    size_t dk_cap, dq_cap;
    struct attention_task *tasks;
    size_t n_tasks, tasks_cap;
};

/* What one thread does at a time: rows [q0, q1) of one document and head. */
struct attention_task {
    size_t start;  /* first row of the document */
    size_t turned; /* rows before it, each document's turned_width */
    size_t length; /* of the document */
    size_t q0, q1; /* rows, counted in the document */
    size_t head;
    size_t k0, k1; /* on the way back: keys whose gradients it makes */
};

/* A thread's scratch. Rows of a head are padded with zeros to `wide`, a multiple of 32. */
struct tiles {
    size_t wide;
    float *scores, *d_scores;      /* [KEY_TILE, QUERY_TILE] */
    float *capped;                 /* the scores before the mask, where there is a soft cap */
    float *sums;                   /* [D, QUERY_TILE]: O^T or dQ^T */
    float *rows;                   /* [QUERY_TILE, wide] */
    float *q, *g;                  /* [QUERY_TILE, wide]: queries, gradients of the output */
    uint16_t *q16, *g16;           /* the same in bfloat16 */
    uint16_t *rounded;             /* [KEY_TILE, QUERY_TILE] */
    uint32_t *weights;             /* the same in panels */
    uint32_t *q_across, *g_across; /* panels of q^T and g^T: sums over D */
    uint32_t *q_along, *g_along;   /* panels of q and g: sums over queries */
    float max[QUERY_TILE], sum[QUERY_TILE];
};

struct attention_run {
    struct attention *a;
    size_t window;
    const struct operand *q, *k, *v, *out;
    const struct operand *to_turn; /* v or k */
    float *lse;
    const float *lse_in, *d_out;
    float *dq, *dk, *dv;
};

/* The first position that position q sees. */
static inline size_t first_seen(size_t q, size_t window)
{
    return q < window ? 0 : q + 1 - window;
}

static inline size_t key_head(const struct attention_shape *s, size_t head)
{
    return head / (s->n_heads / s->n_kv_heads);
}

/* What a thread works on: some queries of a head. */
struct block {
    const struct attention_run *run;
    const struct attention_task *task;
    struct tiles t;
    size_t q0, nq, columns; /* queries, and up to a multiple of TILE_UNIT */
    size_t row;             /* of the first query */
    size_t kv_head;
};

/* The factor that attention_score_tile left out. */
static inline float scale_left(const struct attention_shape *s)
{
    return s->softcap != 0 ? 1 : s->scale;
}

/* Lays the tiles out in p; returns how many bytes they take. */
size_t attention_lay_out(struct tiles *t, char *p, const struct attention_shape *s);

/* Tasks of all documents: `rows` queries of a head in each. */
void attention_add_tasks(struct attention *a, const size_t *lengths, size_t n_documents,
                         size_t rows, size_t heads);

/* Turns keys or values of all documents, where the arithmetic asks for it. */
int attention_turn_heads(struct attention_run *run, const size_t *lengths, size_t n_documents,
                         struct err *err);

/* Rows of a head as a left operand where they lie: [n, D]. */
struct tile_left attention_head_rows(const struct operand *o, size_t row, size_t head, size_t d);

/* The same turned: [D, n] from key k0 of the task's document. */
struct tile_left attention_head_turned(const struct attention_run *run,
                                       const struct attention_task *task, size_t k0,
                                       size_t kv_head);

void attention_block_rows(struct block *b, size_t q0, size_t q1);

/* Queries as floats, or in bfloat16, with zeros around them. */
void attention_load_queries(struct block *b);

/* Rows of floats [QUERY_TILE, wide] as right operands, turned (sums over D) and as they are. */
struct tile_right attention_across(const struct block *b, const float *rows, const uint16_t *rows16,
                                   uint32_t *panels);

struct tile_right attention_along(const struct block *b, const float *rows, const uint16_t *rows16,
                                  uint32_t *panels);

/* Scores of keys k0.. with a soft cap and the mask, not yet scaled where there is no cap. */
void attention_score_tile(const struct block *b, const struct tile_right *queries, size_t k0,
                          size_t nk, float *capped);

#endif
