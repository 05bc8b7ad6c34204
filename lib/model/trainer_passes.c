/*
 * The gradient of a step: its rows are cut into passes through the model, each pass's gradient is
 * one vector, and these are added up in the order of a tree. Which passes there are follows from
 * the rows and the length of a pass alone.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/progress.h"
#include "model/trainer_internal.h"

/* Documents of a few rows that go through the model together. */
struct pass_place {
    size_t row, row_end;                 /* order[row .. row_end) make a batch */
    size_t document, n_documents, token; /* of that batch; the first token's place */
    size_t tokens;
    double work; /* in units of a token in the layers */
};

/* Zero until it is computed, by the rank that has the pass. */
struct pass_result {
    double loss;
    struct preference_sums sums;
};

struct trainer_passes {
    struct pass_place *places;
    struct pass_result *results;
    size_t n, cap;
    size_t *split; /* [ranks + 1]: rank k has the passes split[k] .. split[k + 1] - 1 */
    struct tree_sum *gradient;
};

struct trainer_passes *trainer_passes_new(size_t n_params, size_t ranks)
{
    struct trainer_passes *s = xcalloc(1, sizeof *s);
    s->split = xcalloc(ranks + 1, sizeof *s->split);
    s->gradient = tree_sum_new(n_params);
    return s;
}

void trainer_passes_free(struct trainer_passes *s)
{
    if (!s)
        return;
    tree_sum_free(s->gradient);
    free(s->places);
    free(s->results);
    free(s->split);
    free(s);
}

/* ---- which passes there are ---- */

static struct pass_place *add_place(struct trainer_passes *s)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->places = xreallocarray(s->places, s->cap, sizeof *s->places);
        s->results = xreallocarray(s->results, s->cap, sizeof *s->results);
    }
    return &s->places[s->n++];
}

/* Attention's work grows with the square of a document's length; the rest of a layer takes about 12
 * products of hidden numbers a token and hidden number. */
static double work_of(const struct batch *b, size_t hidden)
{
    double work = 0;
    for (size_t i = 0; i < b->n_documents; i++)
        work += (double)b->lengths[i] * (1 + (double)b->lengths[i] / (12 * (double)hidden));
    return work;
}

/* Puts rows order[row .. ] into the batch, and its passes behind those that are known. */
static int cut_batch(struct trainer *t, size_t row, size_t *row_end, size_t end, struct err *err)
{
    const size_t group = stream_kind_group(rows_kind(t->setup.rows));
    const size_t hidden = decoder_config(t->setup.decoder)->hidden;
    *row_end = row;
    if (trainer_next_rows(t, t->setup.rows, t->order, row_end, end, err))
        return -1;
    const struct batch b = row_batch_view(&t->batch);
    for (size_t first = 0, last, at = 0; first < b.n_documents; first = last) {
        const struct batch part = decoder_next_part(t->setup.decoder, &b, first, at, group, &last);
        *add_place(t->passes) = (struct pass_place){.row = row,
                                                    .row_end = *row_end,
                                                    .document = first,
                                                    .n_documents = part.n_documents,
                                                    .token = at,
                                                    .tokens = part.n,
                                                    .work = work_of(&part, hidden)};
        at += part.n;
    }
    return 0;
}

/* A rank has the passes whose middle lies in its share of the work. */
static void split_passes(struct trainer_passes *s, size_t ranks)
{
    double all = 0, before = 0;
    size_t k = 0;
    for (size_t i = 0; i < s->n; i++)
        all += s->places[i].work;
    for (size_t i = 0; i < s->n; before += s->places[i++].work) {
        const double middle = before + s->places[i].work / 2;
        while (k + 1 < ranks && middle >= all * (double)(k + 1) / (double)ranks)
            s->split[++k] = i;
    }
    while (k < ranks)
        s->split[++k] = s->n;
}

static int find_passes(struct trainer *t, size_t first, size_t end, struct err *err)
{
    t->passes->n = 0;
    for (size_t row = first, next; row < end; row = next)
        if (cut_batch(t, row, &next, end, err))
            return -1;
    split_passes(t->passes, ranks_count(t->setup.ranks));
    return 0;
}

int trainer_reserve_sums(struct trainer *t, size_t end, struct err *err)
{
    return find_passes(t, 0, end, err) ? -1
                                       : tree_sum_reserve(t->passes->gradient, t->passes->n, err);
}

/* ---- learning ---- */

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

/* Documents [i, i + n) of the batch, rows order[first ...], whose tokens begin at `at`: their
 * gradient alone is in the adapter's then. */
static int learn_documents(struct trainer *t, size_t first, size_t i, size_t n, size_t at,
                           double *loss, struct err *err)
{
    const struct batch b = row_batch_view(&t->batch);
    struct preference *preference = t->setup.preference;
    struct lora *l = t->setup.lora;
    struct learning how = how_to_learn(t, first);
    struct batch part = {.ids = b.ids + at,
                         .trained = b.trained + at,
                         .weights = b.weights ? b.weights + at : NULL,
                         .lengths = b.lengths + i,
                         .n_documents = n};
    const struct row_range range = {
        t->order, first + i / stream_kind_group(rows_kind(t->setup.rows)), SIZE_MAX};
    for (size_t k = 0; k < n; k++)
        part.n += part.lengths[k];
    how.key += i;
    if (preference)
        preference_teach(preference, &t->batch, i, &range, &how);
    memset(l->grads, 0, l->n_params * sizeof *l->grads);
    return decoder_accumulate(t->setup.decoder, l, &part, &how, loss, err);
}

/* ---- what went wrong ---- */

/* Looks for the document (or preference) of the batch, rows order[first ...], whose loss or
 * gradient isn't finite, and names it in err; false if none is. The step's gradients are lost. */
static bool blame_batch(struct trainer *t, size_t first, struct err *err)
{
    const struct lora *l = t->setup.lora;
    const size_t group = stream_kind_group(rows_kind(t->setup.rows));
    for (size_t i = 0, at = 0; i < t->batch.n_documents; i += group) {
        struct err ignored;
        double loss;
        bool lost = learn_documents(t, first, i, group, at, &loss, &ignored) != 0;
        for (size_t k = i; k < i + group; k++)
            at += t->batch.lengths[k];
        if (!lost && isfinite(loss) && isfinite(gradient_norm(l->grads, l->n_params)))
            continue;
        err_set(err, "document \"%s\": the %s is not a finite number", row_batch_name(&t->batch, i),
                lost || !isfinite(loss) ? "loss" : "gradient");
        return true;
    }
    return false;
}

/* Of the document's (or preference's) targets, each; a preference's is a mean already. */
static double mean_loss(const struct trainer *t, size_t at, size_t n, double loss)
{
    size_t targets = 0;
    for (size_t k = 1; k < n; k++)
        targets += t->batch.trained[at + k] != 0;
    return t->setup.preference || !targets ? loss : loss / (double)targets;
}

int trainer_find_worst(struct trainer *t, size_t first, size_t end, struct err *err)
{
    const size_t group = stream_kind_group(rows_kind(t->setup.rows));
    double worst = -INFINITY;
    for (size_t row = first, begin = first; row < end; begin = row) {
        if (trainer_next_rows(t, t->setup.rows, t->order, &row, end, err))
            return -1;
        for (size_t i = 0, at = 0, n; i < t->batch.n_documents; i += group, at += n) {
            double loss;
            n = 0;
            for (size_t k = i; k < i + group; k++)
                n += t->batch.lengths[k];
            if (learn_documents(t, begin, i, group, at, &loss, err))
                return err_prefix(err, "document \"%s\"", row_batch_name(&t->batch, i));
            const double mean = mean_loss(t, at, n, loss);
            if (mean <= worst)
                continue;
            worst = mean;
            err_set(err, "most of it from document \"%s\", whose loss is %.4g",
                    row_batch_name(&t->batch, i), mean);
        }
    }
    return 0;
}

int trainer_blame(struct trainer *t, size_t first, size_t end, struct err *err)
{
    err_set(err, "the gradient is not a finite number");
    for (size_t row = first, begin = first; row < end; begin = row)
        if (trainer_next_rows(t, t->setup.rows, t->order, &row, end, err) ||
            blame_batch(t, begin, err))
            break;
    return -1;
}

/* ---- a step ---- */

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
    const struct preference_watch watch = {trainer_learning, t};
    const struct row_range range = {t->order, first, end};
    preference_clear(t->setup.preference);
    return preference_find_kl(t->setup.preference, t->setup.decoder, t->setup.lora, &range, &watch,
                              err);
}

/* Whether gradients must be added up at all. */
static bool has_sum(const struct trainer *t)
{
    return t->passes->n > 1 || ranks_count(t->setup.ranks) > 1;
}

/* Pass i; *loaded: the rows, from order[*loaded] on, that the batch has. */
static int run_pass(struct trainer *t, size_t i, size_t *loaded, struct err *err)
{
    const struct pass_place *p = &t->passes->places[i];
    struct pass_result *result = &t->passes->results[i];
    if (*loaded != p->row) {
        size_t row = *loaded = p->row;
        if (trainer_next_rows(t, t->setup.rows, t->order, &row, p->row_end, err))
            return -1;
    }
    if (learn_documents(t, p->row, p->document, p->n_documents, p->token, &result->loss, err)) {
        if (!blame_batch(t, p->row, err) || !trainer_leaves_out(t))
            return -1;
        if (!*t->blamed.msg)
            t->blamed = *err;
        result->loss = NAN;
    }
    if (t->setup.preference)
        result->sums = preference_take_sums(t->setup.preference);
    return has_sum(t) ? tree_sum_add(t->passes->gradient, t->setup.lora->grads, err) : 0;
}

/* Those of this rank. */
static int run_passes(struct trainer *t, struct err *err)
{
    struct trainer_passes *s = t->passes;
    const size_t first = s->split[ranks_me(t->setup.ranks)];
    const size_t end = s->split[ranks_me(t->setup.ranks) + 1];
    uint64_t tokens = 0, done = 0;
    for (size_t i = first; i < end; i++)
        tokens += s->places[i].tokens;
    tree_sum_begin(s->gradient, first, s->n);
    memset(s->results, 0, s->n * sizeof *s->results);
    for (size_t i = first, loaded = SIZE_MAX; i < end; i++) {
        trainer_report(t, done * ranks_count(t->setup.ranks), (double)done / (double)tokens, false);
        if (trainer_stopped(t))
            return 1;
        if (run_pass(t, i, &loaded, err))
            return -1;
        done += s->places[i].tokens;
    }
    return first == end && trainer_stopped(t); /* who has none is to be heard too */
}

/* What the first pass without a loss met, told by the rank that had it. */
static void share_blame(struct trainer *t)
{
    const struct trainer_passes *s = t->passes;
    const size_t *mine = s->split + ranks_me(t->setup.ranks);
    size_t lost = 0;
    while (lost < s->n && !isnan(s->results[lost].loss))
        lost++;
    if (lost == s->n)
        return;
    if (lost < mine[0] || lost >= mine[1])
        t->blamed = (struct err){""};
    ranks_merge(t->setup.ranks, &t->blamed, sizeof t->blamed);
}

/* In the order of the passes. */
static void add_results(struct trainer *t, struct trainer_sums *s)
{
    ranks_merge(t->setup.ranks, t->passes->results, t->passes->n * sizeof *t->passes->results);
    share_blame(t);
    for (size_t i = 0; i < t->passes->n; i++) {
        s->loss += t->passes->results[i].loss;
        if (t->setup.preference)
            preference_add_sums(t->setup.preference, &t->passes->results[i].sums);
    }
}

int trainer_accumulate(struct trainer *t, size_t first, size_t end, struct trainer_sums *s,
                       struct err *err)
{
    count_rows(t, first, end, s);
    int status = ranks_agree(t->setup.ranks, find_passes(t, first, end, err), err);
    if (!status && t->setup.preference)
        status = find_kl(t, first, end, err);
    if (!status) {
        status = run_passes(t, err);
        s->idle = clock_seconds();
        status = ranks_agree(t->setup.ranks, status, err);
    }
    if (status)
        return status;
    const double met = clock_seconds();
    add_results(t, s);
    if (has_sum(t))
        status = tree_sum_total(t->passes->gradient, t->setup.ranks, t->passes->split,
                                t->setup.lora->grads, err);
    s->idle = met - s->idle;
    s->exchange = clock_seconds() - met;
    return status;
}
