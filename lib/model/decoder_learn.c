/* Forward and backward: what a batch's loss is and where its gradient begins. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/noise.h"
#include "compute/norm.h"
#include "compute/rows.h"
#include "model/decoder_internal.h"

/* Random numbers of their own, away from those of the layers' dropout. */
#define NOISE_STREAM UINT64_MAX

struct noise_run {
    const struct pass *p;
    const float *size; /* [T]: of the noise in each row */
};

static void noise_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    (void)tmp;
    const struct noise_run *run = arg;
    size_t h = run->p->d->config.hidden;
    for (size_t i = r0; i < r1; i++)
        noise_row(run->p->d->ws.x + i * h, h, run->size[i], run->p->dropout_key, NOISE_STREAM, i);
}

static void add_noise(const struct pass *p, double alpha)
{
    const struct batch *b = p->batch;
    float *size = xcalloc(b->n, sizeof *size);
    for (size_t i = 0, row = 0; i < b->n_documents; i++)
        for (size_t t = 0; t < b->lengths[i]; t++)
            size[row++] =
                (float)(alpha / sqrt((double)b->lengths[i] * (double)p->d->config.hidden));
    struct noise_run run = {.p = p, .size = size};
    decoder_rows(p->d, b->n, noise_rows, &run);
    free(size);
}

/* The loss of the targets, each for itself. */
static double token_loss(const struct pass *p, size_t n, double smoothing)
{
    const struct workspace *ws = &p->d->ws;
    double loss = 0;
    for (size_t i = 0; i < n; i++) {
        double logp = (double)ws->logprobs[i];
        if (smoothing > 0)
            logp += smoothing * ((double)ws->mean_logprobs[i] - logp);
        loss -= p->batch->weights ? (double)ws->weights[i] * logp : logp;
    }
    return loss;
}

/* The loss of whole documents; ws.weights become the coefficients of the targets' gradients. */
static int document_loss(const struct pass *p, size_t first, size_t n, const struct learning *how,
                         double *loss)
{
    const struct batch *b = p->batch;
    struct workspace *ws = &p->d->ws;
    double *logp = xcalloc(2 * b->n_documents, sizeof *logp), *coefficient = logp + b->n_documents;
    for (size_t i = 0, k = 0, end = 0; i < b->n_documents; i++)
        for (end += b->lengths[i]; k < n && ws->rows_of[k] < end; k++)
            logp[i] += (double)ws->weights[k] * (double)ws->logprobs[k];
    int status = how->weigh(how->arg, first, b->n_documents, logp, coefficient, loss, p->err);
    for (size_t i = 0, k = 0, end = 0; i < b->n_documents; i++)
        for (end += b->lengths[i]; k < n && ws->rows_of[k] < end; k++)
            ws->weights[k] *= (float)coefficient[i];
    free(logp);
    return status;
}

/* Log-probabilities, then the documents' coefficients, then the gradient with them. It is linear in
 * them, so that one run of xent with coefficients 1 will do, unless the output matrix is trained:
 * what that gets can't be scaled afterwards. */
static int learn_documents(const struct pass *p, size_t first, size_t n, const struct learning *how,
                           struct xent_rows *rows, double *loss)
{
    struct decoder *d = p->d;
    struct workspace *ws = &d->ws;
    const size_t h = d->config.hidden;
    rows->weight = NULL;
    rows->d_hidden = d->d_head ? NULL : ws->d_predict;
    decoder_run_output(d, n, rows);
    if (document_loss(p, first, n, how, loss))
        return -1;
    if (d->d_head) {
        rows->weight = ws->weights;
        rows->d_hidden = ws->d_predict;
        decoder_run_output(d, n, rows);
        return 0;
    }
    for (size_t k = 0; k < n; k++)
        row_scale(ws->d_predict + k * h, h, ws->weights[k]);
    return 0;
}

/* Forward up to the loss and ws.d_predict, the gradient of the last norm's output where something
 * is predicted: n rows. */
static int learn_forward(struct pass *p, size_t first, const struct learning *how, size_t *n,
                         double *loss)
{
    struct decoder *d = p->d;
    struct workspace *ws = &d->ws;
    struct xent_rows rows = {
        .target = ws->targets,
        .weight = p->batch->weights ? ws->weights : NULL,
        .smoothing = (float)how->label_smoothing,
        .logprob = ws->logprobs,
        .mean_logprob = how->label_smoothing > 0 ? ws->mean_logprobs : NULL,
        .d_hidden = ws->d_predict,
    };
    *n = 0;
    if (decoder_reserve_xent(d, p->err))
        return -1;
    *n = decoder_find_predictions(d, p->batch, false);
    if (*n == 0 && !how->weigh)
        return 0;
    if (pass_embed(p))
        return -1;
    if (how->neftune > 0)
        add_noise(p, how->neftune);
    if (pass_forward(p))
        return -1;
    decoder_predict(d, *n);
    if (how->weigh)
        return learn_documents(p, first, *n, how, &rows, loss);
    decoder_run_output(d, *n, &rows);
    *loss = token_loss(p, *n, how->label_smoothing);
    return 0;
}

/* dx = gradient of the last norm's input; rows that predict nothing have none. */
static void unpredict_rows(void *arg, size_t r0, size_t r1, float *tmp)
{
    struct pass *p = arg;
    struct workspace *ws = &p->d->ws;
    size_t h = p->d->config.hidden;
    for (size_t i = r0; i < r1; i++) {
        const float *x = ws->x + ws->rows_of[i] * h;
        float r = norm_forward(&p->d->norm, tmp, x, h);
        norm_backward(&p->d->norm, ws->dx + ws->rows_of[i] * h, ws->d_predict + i * h, x, h, r);
    }
}

int decoder_accumulate(struct decoder *d, struct lora *lora, const struct batch *b,
                       const struct learning *how, double *loss, struct err *err)
{
    const size_t group = how->group ? how->group : 1;
    *loss = 0;
    if (decoder_check_batch(d, b, err))
        return -1;
    if (b->n_documents % group)
        return err_set(err, "%zu documents are no groups of %zu", b->n_documents, group);
    size_t start = 0, last, n, lowest = lora_first_layer(lora, d->config.n_layers);
    for (size_t first = 0; first < b->n_documents; first = last) {
        struct batch part = decoder_next_part(d, b, first, start, group, &last);
        struct pass p = {.d = d,
                         .lora = lora,
                         .batch = &part,
                         .training = true,
                         .lowest = lowest,
                         .through = lora->n_weights > 0,
                         .dropout_key = how->key + first,
                         .err = err};
        double sum = 0;
        start += part.n;
        if (decoder_reserve(d, part.n, lora, true, err) || learn_forward(&p, first, how, &n, &sum))
            return -1;
        if (!isfinite(sum))
            return err_set(err, "the loss is not a finite number");
        *loss += sum;
        if (n == 0)
            continue;
        memset(d->ws.dx, 0, part.n * d->config.hidden * sizeof *d->ws.dx);
        if (pass_trains_weights(&p))
            trained_last_norm_backward(&p, n);
        decoder_rows(d, n, unpredict_rows, &p);
        if (pass_backward(&p))
            return -1;
        if (pass_trains_weights(&p))
            trained_embedding_backward(&p);
    }
    return 0;
}
