/* What rows come to without gradients: the loss of those held out, the reference. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/progress.h"
#include "model/trainer_internal.h"

/* ---- watching ---- */

bool trainer_stopped(const struct trainer *t)
{
    return t->watch->stop && *t->watch->stop;
}

void trainer_report(const struct trainer *t, uint64_t extra_tokens, double part, bool evaluating)
{
    const struct trainer_report r = {
        .step = t->progress.step,
        .steps = t->progress.steps,
        .part = part,
        .loss = t->loss,
        .evaluating = evaluating,
        .left_out = t->left_out,
        .steps_here = t->progress.step - t->step_before,
        .tokens_here = t->progress.tokens - t->tokens_before + extra_tokens,
        .seconds_here = clock_seconds() - t->started,
    };
    if (t->watch->report)
        t->watch->report(t->watch->arg, &r);
}

/* For what preferences need beside a step's forward and backward. */
static bool judging(void *arg, double part)
{
    trainer_report(arg, 0, part, true);
    return trainer_stopped(arg);
}

bool trainer_learning(void *arg, double part)
{
    (void)part;
    trainer_report(arg, 0, 0, false);
    return trainer_stopped(arg);
}

int trainer_next_rows(struct trainer *t, const struct rows *rows, const size_t *order, size_t *row,
                      size_t end, struct err *err)
{
    row_batch_clear(&t->batch);
    while (*row < end) {
        size_t i = order ? order[*row] : *row;
        if (t->batch.n && t->batch.n + rows_tokens(rows, i) > ROW_BATCH_TOKENS)
            break;
        if (row_batch_add(&t->batch, rows, i, err))
            return -1;
        ++*row;
    }
    return 0;
}

/* ---- the reference ---- */

int trainer_find_references(struct trainer *t, struct err *err)
{
    struct preference *parts[] = {t->setup.preference, t->setup.held_preference};
    const struct lora *lora = t->setup.options->reference == REFERENCE_START ? t->setup.lora : NULL;
    const struct preference_watch watch = {judging, t};
    for (size_t i = 0; i < ARRAY_SIZE(parts) && parts[i]; i++) {
        int status = preference_compute_references(parts[i], t->setup.decoder, lora, &watch, err);
        if (status)
            return status;
    }
    return 0;
}

/* ---- held-out rows ---- */

/* nll: of each document of the batch, with the weights of its targets. */
static int score_batch(struct trainer *t, double *nll, struct err *err)
{
    const struct batch b = row_batch_view(&t->batch);
    if (decoder_score(t->setup.decoder, t->setup.lora, &b, nll, NULL, err))
        return -1;
    for (size_t i = 0; i < b.n_documents; i++) {
        if (!isfinite(nll[i]))
            return err_set(err, "held-out document \"%s\": the loss is not a finite number",
                           row_batch_name(&t->batch, i));
    }
    return 0;
}

/* Ranks take turns at the batches. */
static int score_held(struct trainer *t, double *nll, struct err *err)
{
    const uint64_t rows = rows_totals(t->setup.held)->rows;
    const size_t ranks = ranks_count(t->setup.ranks), me = ranks_me(t->setup.ranks);
    size_t row = 0;
    for (size_t turn = 0; row < rows; turn = (turn + 1) % ranks) {
        trainer_report(t, 0, (double)row / (double)rows, true);
        if (trainer_stopped(t))
            return 1;
        if (trainer_next_rows(t, t->setup.held, NULL, &row, rows, err) ||
            (turn == me && score_batch(t, nll, err)))
            return -1;
        nll += t->batch.n_documents;
    }
    return 0;
}

static int held_documents_loss(struct trainer *t, double *loss, struct err *err)
{
    const struct rows_totals *totals = rows_totals(t->setup.held);
    double *nll = xcalloc(totals->documents, sizeof *nll), sum = 0;
    int status = ranks_agree(t->setup.ranks, score_held(t, nll, err), err);
    if (!status)
        ranks_merge(t->setup.ranks, nll, totals->documents * sizeof *nll);
    for (size_t i = 0; i < totals->documents && !status; i++)
        sum += nll[i];
    free(nll);
    *loss = sum / totals->weight;
    return status;
}

int trainer_held_loss(struct trainer *t, double *loss, struct err *err)
{
    struct preference *held = t->setup.held_preference;
    if (!held)
        return held_documents_loss(t, loss, err);
    const struct preference_watch watch = {judging, t};
    int status = preference_judge(held, t->setup.decoder, t->setup.lora, &watch, err);
    *loss = preference_sums(held)->loss / rows_totals(t->setup.held)->weight;
    return status;
}

int trainer_score_some(struct trainer *t, uint64_t *tokens, struct err *err)
{
    size_t row = 0;
    if (trainer_next_rows(t, t->setup.held, NULL, &row, rows_totals(t->setup.held)->rows, err))
        return -1;
    double *nll = xcalloc(t->batch.n_documents, sizeof *nll);
    int status = score_batch(t, nll, err);
    *tokens = t->batch.n;
    free(nll);
    return status;
}
