#include "model/trainer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/progress.h"
#include "compute/optimizer.h"
#include "compute/schedule.h"
#include "model/adapter.h"
#include "model/full.h"
#include "model/trainer_internal.h"

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* Steps of E epochs: of the whole ones, and of the rows of the last part. */
static int plan_steps(const struct train_options *o, uint64_t rows, uint64_t *steps,
                      struct err *err)
{
    if (o->steps && o->steps != SIZE_MAX) {
        *steps = o->steps;
        return 0;
    }
    double whole = floor(o->epochs);
    uint64_t part = (uint64_t)((o->epochs - whole) * (double)rows + 0.5);
    double total = whole * (double)ceil_div(rows, o->batch) + (double)ceil_div(part, o->batch);
    if (!(total >= 1 && total < 1e15))
        return err_set(err, "%g epochs of %" PRIu64 " rows are no number of steps", o->epochs,
                       rows);
    *steps = (uint64_t)total;
    return 0;
}

static int plan(struct trainer *t, struct err *err)
{
    const struct train_options *o = t->setup.options;
    const struct rows_totals *totals = rows_totals(t->setup.rows);
    struct schedule *s = &t->schedule;
    if (!totals->rows)
        return err_set(err, "nothing to learn: no token of %" PRIu64 " documents is trained",
                       totals->untrained);
    if (t->setup.held && !rows_totals(t->setup.held)->rows)
        return err_set(err, "nothing to evaluate: no held-out token is trained");
    t->steps_per_epoch = ceil_div(totals->rows, o->batch);
    *s = (struct schedule){.kind = (enum schedule_kind)o->schedule, .lr = o->lr};
    if (plan_steps(o, totals->rows, &s->steps, err))
        return -1;
    if (schedule_length(o->warmup, s->steps, &s->warmup, err))
        return err_prefix(err, "--warmup");
    if (s->kind == SCHEDULE_WSD) {
        if (schedule_length(o->decay, s->steps, &s->decay, err))
            return err_prefix(err, "--decay");
        if (s->decay > s->steps - s->warmup)
            return err_set(err, "--warmup and --decay together are more than the %" PRIu64 " steps",
                           s->steps);
    }
    t->progress.steps = s->steps;
    t->progress.warmup = s->warmup;
    t->progress.decay = s->decay;
    return 0;
}

/* Where the log-likelihoods under the reference will be. */
static int make_references(struct trainer *t, struct err *err)
{
    struct preference *parts[] = {t->setup.preference, t->setup.held_preference};
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        t->n_reference += parts[i] ? preference_references(parts[i]) : 0;
    if (!t->n_reference)
        return 0;
    t->reference = mem_array(t->n_reference, sizeof *t->reference, "the reference", err);
    if (!t->reference)
        return -1;
    float *at = t->reference;
    for (size_t i = 0; i < ARRAY_SIZE(parts) && parts[i]; i++) {
        preference_set_references(parts[i], at);
        at += preference_references(parts[i]);
    }
    return 0;
}

int trainer_new(struct trainer **out, const struct trainer_setup *setup, struct err *err)
{
    const struct train_options *o = setup->options;
    struct trainer *t = xcalloc(1, sizeof *t);
    *out = NULL;
    t->setup = *setup;
    t->dirty = t->adapter_dirty = true;
    t->order_epoch = UINT64_MAX;
    t->loss = NAN;
    row_batch_init(&t->batch);
    t->passes = trainer_passes_new(setup->lora->n_params, ranks_count(setup->ranks));
    const struct optimizer_settings optimizer = {
        .kind = o->optimizer < 0 ? OPTIMIZER_ADAMW : (enum optimizer_kind)o->optimizer,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .weight_decay = o->weight_decay};
    if (plan(t, err) || optimizer_init(&t->optimizer, &optimizer, setup->lora->n_params, err) ||
        make_references(t, err)) {
        trainer_free(t);
        return -1;
    }
    t->order = xreallocarray(NULL, rows_totals(setup->rows)->rows, sizeof *t->order);
    setup->lora->dropout = isnan(o->dropout) ? 0 : o->dropout;
    *out = t;
    return 0;
}

void trainer_free(struct trainer *t)
{
    if (!t)
        return;
    optimizer_release(&t->optimizer);
    row_batch_release(&t->batch);
    trainer_passes_free(t->passes);
    free(t->best);
    free(t->order);
    free(t->reference);
    free(t);
}

const struct train_progress *trainer_progress(const struct trainer *t)
{
    return &t->progress;
}

/* ---- resuming ---- */

static int check_inputs(const struct trainer *t, const struct train_hashes *then, struct err *err)
{
    const struct train_hashes *now = &t->setup.hashes;
    const char *what = strcmp(now->base, then->base)         ? "the model"
                       : strcmp(now->rows, then->rows)       ? "the rows to train on"
                       : strcmp(now->held, then->held)       ? "the held-out rows"
                       : strcmp(now->initial, then->initial) ? "the adapter to begin with"
                                                             : NULL;
    if (what)
        return err_set(err, "%s: %s changed since the run began", t->setup.folder->path, what);
    return 0;
}

static int check_plan(const struct trainer *t, const struct train_progress *then, struct err *err)
{
    const struct schedule *s = &t->schedule;
    if (s->steps == then->steps && s->warmup == then->warmup && s->decay == then->decay)
        return 0;
    if (s->steps < then->step)
        return err_set(err, "%s: %" PRIu64 " steps are done, which is more than %" PRIu64,
                       t->setup.folder->path, then->step, s->steps);
    if (s->kind != SCHEDULE_CONSTANT || s->warmup != then->warmup)
        return err_set(err,
                       "%s: the learning rates were planned for %" PRIu64 " steps, not %" PRIu64
                       " (a constant schedule without a share as warm-up can be made longer)",
                       t->setup.folder->path, then->steps, s->steps);
    return 0;
}

static int restore_references(struct trainer *t, const struct train_state *s, struct err *err)
{
    if (s->reference ? s->n_reference != t->n_reference : t->n_reference && s->progress.step)
        return err_set(err, "%s: the state's reference is of other rows", t->setup.folder->path);
    if (s->reference)
        memcpy(t->reference, s->reference, s->n_reference * sizeof *s->reference);
    t->has_reference = s->reference != NULL;
    return 0;
}

int trainer_restore(struct trainer *t, const struct train_state *s, struct err *err)
{
    struct lora *l = t->setup.lora;
    const size_t bytes = l->n_params * sizeof *l->params;
    if (check_inputs(t, &s->hashes, err) || check_plan(t, &s->progress, err))
        return -1;
    if (l->n_params != s->n_params)
        return err_set(err, "%s: the state is of another adapter", t->setup.folder->path);
    if (restore_references(t, s, err))
        return -1;
    memcpy(l->params, s->params, bytes);
    lora_changed(l);
    if (!t->optimizer.adamw.v != !s->v)
        return err_set(err, "%s: the state is of another optimiser", t->setup.folder->path);
    memcpy(t->optimizer.adamw.m, s->m, bytes);
    if (s->v)
        memcpy(t->optimizer.adamw.v, s->v, bytes);
    if (s->best && trainer_writes(t)) {
        t->best = xmalloc(bytes);
        memcpy(t->best, s->best, bytes);
    }
    t->dirty = s->progress.steps != t->schedule.steps;
    t->progress = s->progress;
    t->progress.steps = t->schedule.steps;
    t->progress.warmup = t->schedule.warmup;
    t->progress.decay = t->schedule.decay;
    t->saved_step = t->progress.step;
    t->optimizer.adamw.step = t->progress.step - t->progress.spikes.left_out;
    return 0;
}

/* ---- saving ---- */

bool trainer_writes(const struct trainer *t)
{
    return ranks_me(t->setup.ranks) == 0;
}

static bool keeps_best(const struct trainer *t)
{
    return t->setup.held && t->setup.options->keep == KEEP_BEST;
}

/* Removes what an earlier run left. */
static int drop_result(const struct trainer *t, struct err *err)
{
    return t->setup.options->full ? full_drop(t->setup.folder->path, err)
                                  : train_folder_drop_adapter(t->setup.folder, err);
}

static int save_result(const struct trainer *t, const struct lora *l, struct err *err)
{
    const struct train_options *o = t->setup.options;
    const struct model_config *model = decoder_config(t->setup.decoder);
    const size_t usual = (size_t)5 << 30;
    if (!o->full)
        return adapter_save(t->setup.folder->path, t->setup.adapter_config, l, model,
                            t->setup.provenance, err);
    const struct full_output out = {
        .base = t->setup.base,
        .model = model,
        .type = o->save_type < 0 ? FULL_AS_BASE : (enum full_type)o->save_type,
        .shard_bytes = o->shard_size == SIZE_MAX ? usual : o->shard_size,
        .provenance = t->setup.provenance};
    return full_save(t->setup.folder->path, &out, l, err);
}

/* The adapter of a folder is the best one so far where there is a choice. */
static int write_adapter(struct trainer *t, struct err *err)
{
    const struct lora *l = t->setup.lora;
    if (!t->adapter_begun && drop_result(t, err))
        return -1;
    t->adapter_begun = true;
    struct lora shown = lora_view(l, keeps_best(t) && t->best ? t->best : l->params);
    int status = save_result(t, &shown, err);
    lora_view_release(&shown);
    return status;
}

static int save_adapter(struct trainer *t, struct err *err)
{
    if (!t->adapter_dirty)
        return 0;
    int status = trainer_writes(t) ? write_adapter(t, err) : 0;
    if (ranks_agree(t->setup.ranks, status, err))
        return -1;
    t->adapter_dirty = false;
    return 0;
}

static int write_state(const struct trainer *t, struct err *err)
{
    const struct train_arrays arrays = {.lora = t->setup.lora,
                                        .m = t->optimizer.adamw.m,
                                        .v = t->optimizer.adamw.v,
                                        .best = keeps_best(t) ? t->best : NULL,
                                        .reference = t->has_reference ? t->reference : NULL,
                                        .n_reference = t->n_reference,
                                        .adapter_config = t->setup.adapter_config,
                                        .model = decoder_config(t->setup.decoder)};
    return metrics_sync(t->setup.metrics, err) ||
                   train_state_save(t->setup.folder->state, t->setup.options, &t->progress,
                                    &t->setup.hashes, &arrays, err)
               ? -1
               : 0;
}

/* Before the state is kept, all ranks must be in it. */
static int save_state(struct trainer *t, struct err *err)
{
    const struct lora *l = t->setup.lora;
    if (!t->dirty)
        return 0;
    if (ranks_same(t->setup.ranks, "what was learnt", l->params, l->n_params * sizeof *l->params,
                   err))
        return -1;
    int status = trainer_writes(t) ? write_state(t, err) : 0;
    if (ranks_agree(t->setup.ranks, status, err))
        return -1;
    t->saved_step = t->progress.step;
    t->dirty = false;
    return 0;
}

/* The log can't be written. It goes as far as the state in memory, which need not be lost: err
 * stays. */
static int log_failed(struct trainer *t)
{
    struct err ignored;
    save_state(t, &ignored);
    return -1;
}

/* The state first: an adapter that is older than its state is made again by a resumed run. */
static int checkpoint(struct trainer *t, struct err *err)
{
    return save_state(t, err) || save_adapter(t, err) ? -1 : 0;
}

/* ---- evaluation ---- */

static void keep_best(struct trainer *t, double loss)
{
    struct train_progress *p = &t->progress;
    const size_t bytes = t->setup.lora->n_params * sizeof(float);
    if (p->best_step && !(loss < p->best_loss)) {
        p->since_best++;
        return;
    }
    if (trainer_writes(t)) {
        if (!t->best)
            t->best = xmalloc(bytes);
        memcpy(t->best, t->setup.lora->params, bytes);
    }
    p->best_step = p->step;
    p->best_loss = loss;
    p->since_best = 0;
}

static int evaluate(struct trainer *t, struct err *err)
{
    struct train_progress *p = &t->progress;
    const size_t patience = t->setup.options->patience;
    double loss;
    int status = trainer_held_loss(t, &loss, err);
    if (status)
        return status;
    const struct preference *held = t->setup.held_preference;
    status =
        metrics_add_eval(t->setup.metrics, p->step, loss, held ? preference_sums(held) : NULL, err);
    if (ranks_agree(t->setup.ranks, status, err))
        return log_failed(t);
    keep_best(t, loss);
    t->dirty = t->adapter_dirty = true;
    p->evaluated = p->step;
    p->stopped_early = patience && p->since_best >= patience;
    return 0;
}

static bool evaluation_due(const struct trainer *t)
{
    const struct train_progress *p = &t->progress;
    uint64_t every = t->setup.options->eval_every;
    if (!t->setup.held || !p->step || p->evaluated == p->step)
        return false;
    return p->step == p->steps || p->step % (every ? every : t->steps_per_epoch) == 0;
}

/* ---- a step ---- */

/* The rows of the next step: order[*first .. *end). */
static void find_rows(struct trainer *t, size_t *first, size_t *end)
{
    const size_t n = rows_totals(t->setup.rows)->rows, batch = t->setup.options->batch;
    const uint64_t epoch = t->progress.step / t->steps_per_epoch;
    if (t->order_epoch != epoch) {
        rows_order(t->order, n, t->setup.options->seed, t->setup.options->no_shuffle ? 0 : epoch);
        t->order_epoch = epoch;
    }
    *first = (size_t)(t->progress.step % t->steps_per_epoch) * batch;
    *end = n - *first < batch ? n : *first + batch;
}

/* The line is written before the update, so that the log is never behind the state. */
static int log_step(struct trainer *t, double norm, double lr, const struct trainer_sums *s,
                    const char *left_out, struct err *err)
{
    const struct train_progress *p = &t->progress;
    const struct preference *preference = t->setup.preference;
    const double now = clock_seconds();
    const struct metrics_step m = {.step = p->step + 1,
                                   .loss = t->loss,
                                   .grad_norm = norm,
                                   .lr = lr,
                                   .tokens = p->tokens + s->tokens,
                                   .trained = p->trained + s->targets,
                                   .tok_per_s = (double)s->tokens / (now - t->mark),
                                   .rss = mem_rss(),
                                   .ranks = ranks_count(t->setup.ranks),
                                   .idle = s->idle,
                                   .exchange = s->exchange,
                                   .rewards = preference ? preference_sums(preference) : NULL,
                                   .left_out = left_out};
    t->mark = now;
    return ranks_agree(t->setup.ranks, metrics_add_step(t->setup.metrics, &m, err), err);
}

struct update_run {
    struct trainer *t;
    double scale, lr, raised_lr;
};

static void update_stretch(void *arg, size_t first, size_t n, bool raised)
{
    const struct update_run *run = arg;
    const struct lora *l = run->t->setup.lora;
    optimizer_update(&run->t->optimizer, first, n, l->params, l->grads, run->scale,
                     raised ? run->raised_lr : run->lr);
}

void trainer_update(struct trainer *t, double scale, double lr)
{
    const double ratio = t->setup.options->lora_plus_ratio;
    struct update_run run = {t, scale, lr, isnan(ratio) ? lr : lr * ratio};
    optimizer_begin(&t->optimizer);
    lora_stretches(t->setup.lora, update_stretch, &run);
    lora_changed(t->setup.lora);
}

/* 1 when stopped before the update. */
static int step(struct trainer *t, struct err *err)
{
    struct train_progress *p = &t->progress;
    struct lora *l = t->setup.lora;
    size_t first, end;
    struct trainer_sums sums;
    find_rows(t, &first, &end);
    int status = trainer_accumulate(t, first, end, &sums, err);
    if (status)
        return status;
    lora_clear_fixed(l);
    const double mean = 1 / sums.weight, norm = gradient_norm(l->grads, l->n_params) * mean;
    struct err why;
    const int left_out = trainer_judge(t, first, end, sums.loss * mean, norm, &why);
    if (left_out < 0)
        return ranks_agree(t->setup.ranks, err_set(err, "%s", why.msg), err);
    const double lr = schedule_lr(&t->schedule, p->step);
    t->loss = sums.loss * mean;
    if (log_step(t, norm, lr, &sums, left_out ? why.msg : NULL, err))
        return log_failed(t);
    if (!left_out)
        trainer_update(t, mean * gradient_clip(norm, t->setup.options->clip), lr);
    trainer_remember(t, left_out);
    t->dirty = t->adapter_dirty = true;
    p->step++;
    p->tokens += sums.tokens;
    p->trained += sums.targets;
    t->left_out = left_out ? why.msg : NULL;
    trainer_report(t, 0, 0, false);
    t->left_out = NULL;
    return 0;
}

/* ---- the loop ---- */

static bool checkpoint_due(const struct trainer *t)
{
    return t->setup.checkpoint_every && t->progress.step &&
           t->progress.step % t->setup.checkpoint_every == 0 && t->saved_step != t->progress.step;
}

/* Whether nothing is left to do, and why. */
static bool at_end(const struct trainer *t, enum trainer_end *end)
{
    const struct train_progress *p = &t->progress;
    if (p->stopped_early)
        *end = TRAINER_EARLY;
    else if (p->step >= p->steps)
        *end = TRAINER_DONE;
    else if (t->setup.stop_after && p->step >= t->setup.stop_after)
        *end = TRAINER_PAUSED;
    else
        return false;
    return true;
}

/* Evaluation and checkpoint, where they are due. 1 when stopped. */
static int between_steps(struct trainer *t, struct err *err)
{
    int status = evaluation_due(t) ? evaluate(t, err) : 0;
    if (!status && checkpoint_due(t))
        status = checkpoint(t, err);
    return status;
}

/* What has to be known before the first step. 1 when stopped; a resumed run begins with it again.
 */
static int find_references(struct trainer *t, struct err *err)
{
    if (!t->n_reference || t->has_reference)
        return 0;
    int status = trainer_find_references(t, err);
    if (status)
        return status;
    t->has_reference = t->dirty = true;
    t->mark = clock_seconds();
    return save_state(t, err);
}

static int loop(struct trainer *t, enum trainer_end *end, struct err *err)
{
    int status = find_references(t, err);
    for (;; status = 0) {
        if (!status && (evaluation_due(t) || checkpoint_due(t))) {
            status = between_steps(t, err);
            t->mark = clock_seconds();
        }
        if (!status && at_end(t, end))
            return 0;
        if (!status && (status = step(t, err)) < 0)
            err_prefix(err, "step %" PRIu64, t->progress.step + 1);
        if (status < 0)
            return -1;
        if (status > 0) {
            *end = TRAINER_INTERRUPTED;
            return 0;
        }
    }
}

int trainer_run(struct trainer *t, const struct trainer_watch *watch, enum trainer_end *end,
                struct err *err)
{
    static const struct trainer_watch none;
    t->watch = watch ? watch : &none;
    t->step_before = t->progress.step;
    t->tokens_before = t->progress.tokens;
    /* So that a run can be resumed from the moment that it has begun. */
    if (save_state(t, err))
        return -1;
    t->started = t->mark = clock_seconds();
    if (loop(t, end, err)) {
        struct err what = *err;
        return err_set(err, "%s; the checkpoint of step %" PRIu64 " is kept", what.msg,
                       t->saved_step);
    }
    return checkpoint(t, err);
}
