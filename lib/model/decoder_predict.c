/* Whole distributions at the targets of a batch, of one model or of two side by side. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/ops.h"
#include "model/decoder_internal.h"

/* A chunk's logits are at most this large, of all sides together, where that leaves enough rows. */
enum { CHUNK_BYTES = 64 << 20, MIN_ROWS = 16, MAX_ROWS = 512 };

/* What a side's output matrix is multiplied with: its last norm's output at every target. */
struct side {
    struct operand hidden;
    struct matrix head; /* an adapter may have its own */
    float *logits;      /* [rows, V] */
};

struct predict {
    struct decoder *d;
    const struct batch *part;
    const struct prediction_watcher *watcher;
    struct side sides[PREDICT_MAX_SIDES];
    size_t n_sides, rows;
    size_t *at; /* [T]: the token that each prediction is of */
    uint32_t *target;
    size_t start;  /* of the chunk among the predictions */
    size_t before; /* tokens of the batch before this part */
};

static void shape_logits(const struct predict *p, float *logits)
{
    const struct model_config *c = &p->d->config;
    if (c->logit_scale != 1 || c->final_softcap != 0)
        softcap_forward(logits, c->vocab, (float)c->logit_scale, (float)c->final_softcap);
}

static void look_at_row(void *arg, size_t i, size_t thread)
{
    const struct predict *p = arg;
    size_t v = p->d->config.vocab, k = p->start + i;
    struct prediction what = {.row = i, .token = p->before + p->at[k], .target = p->target[k]};
    for (size_t side = 0; side < p->n_sides; side++) {
        what.logits[side] = p->sides[side].logits + i * v;
        shape_logits(p, what.logits[side]);
    }
    p->watcher->look(p->watcher->arg, &what, thread);
}

/* Runs one side up to its last norm, and keeps that where another side is still to come. */
static int run_side(struct predict *p, size_t side, const struct lora *lora, size_t *n,
                    struct err *err)
{
    struct decoder *d = p->d;
    struct pass pass = {.d = d, .lora = lora, .batch = p->part, .err = err};
    struct side *s = &p->sides[side];
    if (decoder_reserve(d, p->part->n, lora, false, err))
        return -1;
    *n = decoder_find_predictions(d, p->part, false);
    if (pass_embed(&pass) || pass_forward(&pass))
        return -1;
    decoder_predict(d, *n);
    s->head = d->head;
    s->hidden = d->ws.predict;
    if (side + 1 == p->n_sides)
        return 0;
    size_t bytes = d->config.hidden * operand_size(s->hidden.bf16);
    s->hidden.p = mem_array(size_max(*n, 1), bytes, "last layer", err);
    if (!s->hidden.p)
        return -1;
    memcpy(s->hidden.p, d->ws.predict.p, *n * bytes);
    return 0;
}

/* The output matrices, and the watcher, chunk by chunk. */
static int look_at_all(struct predict *p, size_t n, struct err *err)
{
    const struct prediction_watcher *w = p->watcher;
    size_t h = p->d->config.hidden;
    for (p->start = 0; p->start < n; p->start += p->rows) {
        size_t count = size_min(p->rows, n - p->start);
        if (w->before && w->before(w->arg, count, err))
            return -1;
        for (size_t side = 0; side < p->n_sides; side++) {
            struct side *s = &p->sides[side];
            struct operand x = s->hidden;
            struct gemm_forward job = {.w = &s->head, .y = s->logits};
            x.p = (char *)x.p + p->start * h * operand_size(x.bf16);
            gemm_forward(p->d->gemm, &x, count, &job, 1);
        }
        pool_run(p->d->pool, count, look_at_row, p);
        if (w->after && w->after(w->arg, count, err))
            return -1;
    }
    return 0;
}

static int predict_part(struct predict *p, const struct lora *const *loras, struct err *err)
{
    size_t n = 0;
    int status = 0;
    for (size_t side = 0; side < p->n_sides && !status; side++)
        status = run_side(p, side, loras[side], &n, err);
    if (!status) {
        for (size_t k = 0; k < n; k++) {
            p->at[k] = p->d->ws.rows_of[k] + 1;
            p->target[k] = p->d->ws.targets[k];
        }
        status = look_at_all(p, n, err);
    }
    for (size_t side = 0; side + 1 < p->n_sides; side++)
        free(p->sides[side].hidden.p);
    memset(&p->sides[0].hidden, 0, sizeof p->sides[0].hidden);
    return status;
}

int decoder_watch(struct decoder *d, const struct lora *const *loras, size_t n_sides,
                  const struct batch *b, const struct prediction_watcher *watcher, struct err *err)
{
    struct predict p = {.d = d, .watcher = watcher, .n_sides = n_sides};
    size_t v = d->config.vocab, last, start = 0;
    int status = decoder_check_batch(d, b, err);
    p.rows = size_max(MIN_ROWS, size_min(MAX_ROWS, CHUNK_BYTES / sizeof(float) / v / n_sides));
    p.at = xcalloc(b->n + 1, sizeof *p.at);
    p.target = xcalloc(b->n + 1, sizeof *p.target);
    for (size_t side = 0; side < n_sides && !status; side++) {
        p.sides[side].logits = mem_array(p.rows * v, sizeof(float), "logits", err);
        status = p.sides[side].logits ? 0 : -1;
    }
    for (size_t first = 0; first < b->n_documents && !status; first = last) {
        struct batch part = decoder_next_part(d, b, first, start, 1, &last);
        p.part = &part;
        p.before = start;
        status = predict_part(&p, loras, err);
        start += part.n;
    }
    for (size_t side = 0; side < n_sides; side++)
        free(p.sides[side].logits);
    free(p.at);
    free(p.target);
    return status;
}

size_t decoder_threads(const struct decoder *d)
{
    return pool_threads(d->pool);
}
