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

static int score_batch(struct trainer *t, double *sum, struct err *err)
{
    const struct batch b = row_batch_view(&t->batch);
    if (b.n_documents > t->nll_cap) {
        t->nll_cap = b.n_documents;
        t->nll = xreallocarray(t->nll, t->nll_cap, sizeof *t->nll);
    }
    if (decoder_score(t->setup.decoder, t->setup.lora, &b, t->nll, NULL, err))
        return -1;
    for (size_t i = 0; i < b.n_documents; i++) {
        if (!isfinite(t->nll[i]))
            return err_set(err, "held-out document \"%s\": the loss is not a finite number",
                           row_batch_name(&t->batch, i));
        *sum += t->batch.weights[i] * t->nll[i];
    }
    return 0;
}

int trainer_score_rows(struct trainer *t, const struct rows *rows, size_t *row, double *sum,
                       struct err *err)
{
    if (trainer_next_rows(t, rows, NULL, row, rows_totals(rows)->rows, err))
        return -1;
    return score_batch(t, sum, err);
}

int trainer_held_loss(struct trainer *t, double *loss, struct err *err)
{
    const struct rows *held = t->setup.held;
    const struct rows_totals *totals = rows_totals(held);
    double sum = 0;
    if (t->setup.held_preference) {
        const struct preference_watch watch = {judging, t};
        int status = preference_judge(t->setup.held_preference, t->setup.decoder, t->setup.lora,
                                      &watch, err);
        *loss = preference_sums(t->setup.held_preference)->loss / totals->weight;
        return status;
    }
    for (size_t row = 0; row < totals->rows;) {
        trainer_report(t, 0, (double)row / (double)totals->rows, true);
        if (trainer_stopped(t))
            return 1;
        if (trainer_score_rows(t, held, &row, &sum, err))
            return -1;
    }
    *loss = sum / totals->weight;
    return 0;
}
