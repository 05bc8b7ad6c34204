#include "compute/xent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/ops.h"
#include "compute/rows.h"

/* A chunk of logits is at most this large; more rows a chunk mean fewer passes over the matrix. */
enum { CHUNK_BYTES = 64 << 20, MAX_ROWS = 512, MIN_ROWS = 16 };

struct xent {
    struct gemm *g;
    const struct matrix *head;
    size_t rows;             /* in a chunk */
    float *logits;           /* [rows, V]; then their gradient */
    struct operand d_logits; /* the same in bf16 where the backend wants that */
    float scale, cap;        /* of the logits */
    float *capped;           /* [threads, V]: a row's logits, which its gradient needs; or NULL */
    float *d_head;           /* [V, H]; NULL: not wanted */
};

static size_t chunk_rows(size_t vocab)
{
    return size_max(MIN_ROWS, size_min(MAX_ROWS, CHUNK_BYTES / sizeof(float) / vocab));
}

size_t xent_bytes(const struct gemm *g, size_t vocab, bool capped)
{
    const size_t logits = chunk_rows(vocab) * vocab;
    return mem_array_bytes(logits, sizeof(float)) +
           (gemm_wants_bf16(g) ? mem_array_bytes(logits, operand_size(true)) : 0) +
           (capped ? pool_threads(gemm_pool(g)) * vocab * sizeof(float) : 0);
}

int xent_new(struct xent **out, struct gemm *g, const struct matrix *head, float scale, float cap,
             struct err *err)
{
    struct xent *x = xcalloc(1, sizeof *x);
    x->scale = scale;
    x->cap = cap;
    x->g = g;
    x->head = head;
    x->rows = chunk_rows(head->rows);
    x->logits = mem_array(x->rows * head->rows, sizeof(float), "logits", err);
    x->d_logits = (struct operand){x->logits, head->rows, false};
    bool failed = !x->logits;
    if (!failed && gemm_wants_bf16(g))
        failed = operand_new(&x->d_logits, x->rows, head->rows, true, "gradient of logits", err);
    if (!failed && cap != 0) {
        x->capped =
            mem_array(pool_threads(gemm_pool(g)) * head->rows, sizeof(float), "logits", err);
        failed = !x->capped;
    }
    if (failed) {
        xent_free(x);
        return -1;
    }
    *out = x;
    return 0;
}

void xent_free(struct xent *x)
{
    if (!x)
        return;
    if (x->d_logits.p != x->logits)
        free(x->d_logits.p);
    free(x->logits);
    free(x->capped);
    free(x);
}

void xent_train_head(struct xent *x, float *d_head)
{
    x->d_head = d_head;
}

static double mean(const float *x, size_t n)
{
    enum { BLOCK = 4096 };
    double total = 0;
    for (size_t start = 0; start < n; start += BLOCK)
        total += (double)row_sum(x + start, start + BLOCK < n ? BLOCK : n - start);
    return total / (double)n;
}

struct chunk {
    struct xent *x;
    const struct xent_rows *rows;
    size_t start; /* of the chunk among the rows */
};

/* Whether logits are more than the product with the output matrix. */
static bool is_shaped(const struct xent *x)
{
    return x->scale != 1 || x->cap != 0;
}

/* exp(logits - max) of row i, which add up to sum, become the gradient of its loss; capped are the
 * logits. */
static void row_gradient(const struct chunk *c, size_t i, double sum, const float *capped)
{
    struct xent *x = c->x;
    const struct xent_rows *rows = c->rows;
    size_t v = x->head->rows, target = rows->target[c->start + i];
    float *row = x->logits + i * v, weight = rows->weight ? rows->weight[c->start + i] : 1;
    row_scale(row, v, (float)((double)weight / sum));
    row[target] -= weight * (1 - rows->smoothing);
    if (rows->smoothing > 0)
        row_shift(row, v, -weight * rows->smoothing / (float)v);
    if (is_shaped(x))
        softcap_backward(row, capped, v, x->scale, x->cap);
    if (x->d_logits.bf16)
        floats_to_bf16(row, operand_bf16(&x->d_logits, i), v);
}

/* One row: log p of its target, and its gradient in place. A NaN among the logits reaches logprob.
 */
static void row_task(void *arg, size_t i, size_t thread)
{
    const struct chunk *c = arg;
    const struct xent_rows *rows = c->rows;
    struct xent *x = c->x;
    size_t v = x->head->rows, k = c->start + i;
    float *row = x->logits + i * v, *capped = x->capped ? x->capped + thread * v : row;
    if (is_shaped(x))
        softcap_forward(row, v, x->scale, x->cap);
    if (x->capped)
        memcpy(capped, row, v * sizeof *row);
    float at_target = row[rows->target[k]], max = row_max(row, v);
    double level = rows->mean_logprob ? mean(row, v) : 0, sum = row_exp_long(row, v, max);
    rows->logprob[k] = (float)((double)at_target - (double)max - log(sum));
    if (rows->mean_logprob)
        rows->mean_logprob[k] = (float)(level - (double)max - log(sum));
    if (rows->d_hidden)
        row_gradient(c, i, sum, capped);
}

void xent_run(struct xent *x, const struct operand *hidden, size_t p, const struct xent_rows *rows)
{
    size_t h = hidden->cols;
    for (size_t start = 0; start < p; start += x->rows) {
        size_t n = start + x->rows < p ? x->rows : p - start;
        struct operand part = {(char *)hidden->p + start * h * operand_size(hidden->bf16), h,
                               hidden->bf16};
        struct gemm_forward forward = {.w = x->head, .y = x->logits};
        gemm_forward(x->g, &part, n, &forward, 1);
        struct chunk chunk = {x, rows, start};
        pool_run(gemm_pool(x->g), n, row_task, &chunk);
        if (rows->d_hidden) {
            struct gemm_backward backward = {.w = x->head, .dy = &x->d_logits};
            gemm_backward(x->g, rows->d_hidden + start * h, n, false, &backward, 1);
            if (x->d_head)
                gemm_grad_w(x->g, &part, n, &x->d_logits, x->d_head);
        }
    }
}
