/* What rows come to: the gradients of a step, the loss of those held out, the reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
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

static bool learning(void *arg, double part)
{
    (void)part;
    trainer_report(arg, 0, 0, false);
    return trainer_stopped(arg);
}

/* Fills the batch with rows from *row on, as many as go to the decoder at once. */
static int next_rows(struct trainer *t, const struct rows *rows, const size_t *order, size_t *row,
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
    if (next_rows(t, rows, NULL, row, rows_totals(rows)->rows, err))
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

/* ---- a step's rows ---- */

/* How the rows order[first ...] are learnt from. Two calls never share a dropout mask. */
static struct learning how_to_learn(const struct trainer *t, size_t first)
{
    const struct train_options *o = t->setup.options;
    const uint64_t place[] = {t->progress.step, first};
    return (struct learning){
        .key = hash64(place, sizeof place, o->seed),
        .neftune = isnan(o->neftune) ? 0 : o->neftune,
        .label_smoothing = t->setup.preference ? 0 : train_options_loss(o).label_smoothing,
    };
}

/* Documents [i, i + group) of the batch, whose tokens begin at `at`. */
static struct batch part_of(const struct batch *b, size_t i, size_t group, size_t at)
{
    struct batch part = {.ids = b->ids + at,
                         .trained = b->trained + at,
                         .lengths = b->lengths + i,
                         .n_documents = group};
    for (size_t k = 0; k < group; k++)
        part.n += part.lengths[k];
    return part;
}

/* Looks for the document (or preference) of the batch, rows order[first ...], whose loss or
 * gradient isn't finite, and names it in err; false if none is. The step's gradients are lost. */
static bool blame_batch(struct trainer *t, size_t first, struct err *err)
{
    const struct batch b = row_batch_view(&t->batch);
    struct preference *preference = t->setup.preference;
    struct lora *l = t->setup.lora;
    struct learning how = how_to_learn(t, first);
    const size_t group = stream_kind_group(rows_kind(t->setup.rows));
    for (size_t i = 0, at = 0; i < b.n_documents; i += group, how.key += group) {
        const struct batch part = part_of(&b, i, group, at);
        const struct row_range range = {t->order, first + i / group, SIZE_MAX};
        struct err ignored;
        double loss;
        at += part.n;
        if (preference)
            preference_teach(preference, &t->batch, i, &range, &how);
        memset(l->grads, 0, l->n_params * sizeof *l->grads);
        bool lost = decoder_accumulate(t->setup.decoder, l, &part, &how, &loss, &ignored) != 0;
        if (!lost && isfinite(loss) && isfinite(gradient_norm(l->grads, l->n_params)))
            continue;
        err_set(err, "document \"%s\": the %s is not a finite number", row_batch_name(&t->batch, i),
                lost || !isfinite(loss) ? "loss" : "gradient");
        return true;
    }
    return false;
}

int trainer_blame(struct trainer *t, size_t first, size_t end, struct err *err)
{
    err_set(err, "the gradient is not a finite number");
    for (size_t row = first, begin = first; row < end; begin = row)
        if (next_rows(t, t->setup.rows, t->order, &row, end, err) || blame_batch(t, begin, err))
            break;
    return -1;
}

static void count_rows(const struct trainer *t, size_t first, size_t end, struct trainer_sums *s)
{
    *s = (struct trainer_sums){0};
    for (size_t row = first; row < end; row++) {
        s->tokens += rows_tokens(t->setup.rows, t->order[row]);
        s->targets += rows_targets(t->setup.rows, t->order[row]);
        s->weight += rows_weight(t->setup.rows, t->order[row]);
    }
}

/* KTO's estimate, for the step's rows together. */
static int find_kl(struct trainer *t, size_t first, size_t end, struct err *err)
{
    const struct preference_watch watch = {learning, t};
    const struct row_range range = {t->order, first, end};
    preference_clear(t->setup.preference);
    return preference_find_kl(t->setup.preference, t->setup.decoder, t->setup.lora, &range, &watch,
                              err);
}

int trainer_accumulate(struct trainer *t, size_t first, size_t end, struct trainer_sums *s,
                       struct err *err)
{
    struct preference *preference = t->setup.preference;
    struct lora *l = t->setup.lora;
    uint64_t done = 0;
    count_rows(t, first, end, s);
    memset(l->grads, 0, l->n_params * sizeof *l->grads);
    int status = preference ? find_kl(t, first, end, err) : 0;
    if (status)
        return status;
    for (size_t row = first, begin = first; row < end; begin = row) {
        struct learning how = how_to_learn(t, begin);
        const struct row_range range = {t->order, begin, end};
        double loss;
        trainer_report(t, done, (double)done / (double)s->tokens, false);
        if (trainer_stopped(t))
            return 1;
        if (next_rows(t, t->setup.rows, t->order, &row, end, err))
            return -1;
        const struct batch b = row_batch_view(&t->batch);
        if (preference)
            preference_teach(preference, &t->batch, 0, &range, &how);
        if (decoder_accumulate(t->setup.decoder, l, &b, &how, &loss, err)) {
            blame_batch(t, begin, err);
            return -1;
        }
        s->loss += loss;
        done += b.n;
    }
    return 0;
}
