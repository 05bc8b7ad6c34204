#include "model/preference.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct preference {
    struct loss loss;
    const struct rows *rows;
    size_t n_rows, group;
    float *reference;  /* [n_rows * group] of the documents, */
    float *mismatched; /* [n_rows] of the mismatched ones; NULL: none are needed */
    struct preference_sums sums;
    struct ranks *ranks; /* that share the scoring */

    /* the batch in work, from some document on */
    const struct row_batch *batch;
    size_t from;
    struct completion_score *scores;
    size_t scores_cap;
};

static bool has_kl(const struct preference *p)
{
    return p->loss.kind == LOSS_KTO;
}

/* Whether any completion has a weight in the loss. */
static bool is_weighted(const struct loss *loss, const struct rows_totals *t)
{
    return loss->kind != LOSS_KTO || (t->desirable && loss->desirable > 0) ||
           (t->desirable < t->rows && loss->undesirable > 0) || !t->rows;
}

int preference_new(struct preference **out, const struct loss *loss, const struct rows *rows,
                   struct err *err)
{
    const enum stream_kind wanted = loss_is_of_pairs(loss->kind) ? STREAM_PREFERENCE : STREAM_LABEL;
    const uint64_t n = rows_totals(rows)->rows;
    if (rows_kind(rows) != wanted)
        return err_set(err, "rows of kind %s, but %s learns from kind %s",
                       stream_kind_names[rows_kind(rows)], loss_choices[loss->kind],
                       stream_kind_names[wanted]);
    if (loss->kind == LOSS_KTO && n == 1)
        return err_set(err, "a single completion: kto compares a prompt's with another's");
    if (!is_weighted(loss, rows_totals(rows)))
        return err_set(err, "nothing to learn: no completion has a weight in the loss");
    struct preference *p = xcalloc(1, sizeof *p);
    p->loss = *loss;
    p->rows = rows;
    p->n_rows = n;
    p->group = stream_kind_group(wanted);
    preference_clear(p);
    *out = p;
    return 0;
}

void preference_free(struct preference *p)
{
    if (!p)
        return;
    free(p->scores);
    free(p);
}

void preference_share(struct preference *p, struct ranks *ranks)
{
    p->ranks = ranks;
}

/* ---- terms ---- */

void preference_clear(struct preference *p)
{
    p->sums = (struct preference_sums){.kl = NAN};
}

const struct preference_sums *preference_sums(const struct preference *p)
{
    return &p->sums;
}

struct preference_sums preference_take_sums(struct preference *p)
{
    const struct preference_sums taken = p->sums;
    p->sums = (struct preference_sums){.kl = taken.kl};
    return taken;
}

void preference_add_sums(struct preference *p, const struct preference_sums *s)
{
    struct preference_sums *to = &p->sums;
    to->loss += s->loss;
    to->weight += s->weight;
    to->chosen += s->chosen;
    to->rejected += s->rejected;
    to->n_chosen += s->n_chosen;
    to->n_rejected += s->n_rejected;
    to->right += s->right;
    to->n += s->n;
}

static size_t row_at(const struct row_range *range, size_t k)
{
    return range->order ? range->order[range->first + k] : range->first + k;
}

/* What is known of each document before its log-likelihood. */
static void prepare(struct preference *p, const struct row_batch *b, size_t from,
                    const struct row_range *range)
{
    const size_t n = b->n_documents - from;
    size_t at = 0;
    p->batch = b;
    p->from = from;
    if (n > p->scores_cap) {
        p->scores_cap = n;
        p->scores = xreallocarray(p->scores, n, sizeof *p->scores);
    }
    for (size_t i = 0; i < b->n_documents; at += b->lengths[i++]) {
        if (i < from)
            continue;
        struct completion_score *s = &p->scores[i - from];
        size_t row = row_at(range, (i - from) / p->group);
        *s = (struct completion_score){0};
        for (size_t t = 1; t < b->lengths[i]; t++)
            s->tokens += b->trained[at + t];
        if (p->reference)
            s->reference = (double)p->reference[row * p->group + (i - from) % p->group];
    }
}

static void pair_term(struct preference *p, size_t i, double weight, double *coefficient)
{
    struct preference_sums *sums = &p->sums;
    struct pair_loss term;
    loss_of_pair(&p->loss, &p->scores[i], &p->scores[i + 1], &term);
    sums->loss += weight * term.loss;
    sums->chosen += term.chosen;
    sums->rejected += term.rejected;
    sums->n_chosen++;
    sums->n_rejected++;
    sums->right += term.chosen > term.rejected;
    if (coefficient) {
        coefficient[0] = -weight * term.d_chosen;
        coefficient[1] = -weight * term.d_rejected;
    }
}

static void label_term(struct preference *p, size_t i, double weight, double *coefficient)
{
    struct preference_sums *sums = &p->sums;
    const bool desirable = p->batch->labels[p->from + i];
    struct label_loss term;
    loss_of_label(&p->loss, &p->scores[i], desirable, sums->kl, &term);
    sums->loss += weight * term.loss;
    *(desirable ? &sums->chosen : &sums->rejected) += term.reward;
    ++*(desirable ? &sums->n_chosen : &sums->n_rejected);
    sums->right += term.right;
    if (coefficient)
        *coefficient = -weight * term.d_logp;
}

/* As `struct learning` wants it; coefficient may be NULL. */
static int weigh(void *arg, size_t first, size_t n, const double *logp, double *coefficient,
                 double *loss, struct err *err)
{
    (void)err;
    struct preference *p = arg;
    const double before = p->sums.loss;
    for (size_t i = 0; i < n; i++)
        p->scores[first + i].logp = logp[i];
    for (size_t i = 0; i < n; i += p->group) {
        const double weight = p->batch->weights[p->from + first + i];
        double *at = coefficient ? coefficient + i : NULL;
        if (p->group == 2)
            pair_term(p, first + i, weight, at);
        else
            label_term(p, first + i, weight, at);
        p->sums.weight += weight;
        p->sums.n++;
    }
    *loss += p->sums.loss - before;
    return 0;
}

void preference_teach(struct preference *p, const struct row_batch *b, size_t from,
                      const struct row_range *range, struct learning *how)
{
    prepare(p, b, from, range);
    how->group = p->group;
    how->weigh = weigh;
    how->arg = p;
}

/* ---- scoring ---- */

/* What is done with the log-likelihoods of a batch: logp of the documents of rows range->first and
 * so on. */
typedef void score_fn(struct preference *p, const struct row_batch *b, const double *logp,
                      const struct row_range *range, void *arg);

/* Adds rows from range->first on while they fit into a call; moves first behind them. */
static int fill(struct preference *p, struct row_batch *b, bool mismatched, struct row_range *range,
                struct err *err)
{
    row_batch_clear(b);
    for (; range->first < range->end; range->first++) {
        const size_t row = row_at(range, 0), before = (row ? row : p->n_rows) - 1;
        const size_t most =
            rows_tokens(p->rows, row) + (mismatched ? rows_tokens(p->rows, before) : 0);
        if (b->n && b->n + most > ROW_BATCH_TOKENS)
            break;
        if (mismatched ? row_batch_add_mismatched(b, p->rows, row, before, err)
                       : row_batch_add(b, p->rows, row, err))
            return -1;
    }
    return 0;
}

static int score_batch(struct decoder *d, const struct lora *lora, const struct row_batch *b,
                       double *logp, struct err *err)
{
    const struct batch view = {.ids = b->ids,
                               .trained = b->trained,
                               .n = b->n,
                               .lengths = b->lengths,
                               .n_documents = b->n_documents};
    if (decoder_score(d, lora, &view, logp, NULL, err))
        return -1;
    for (size_t i = 0; i < b->n_documents; i++) {
        logp[i] = -logp[i];
        if (!isfinite(logp[i]))
            return err_set(err, "document \"%s\": its log-likelihood is not a finite number",
                           row_batch_name(b, i));
    }
    return 0;
}

/* What scores. */
struct scorer {
    struct decoder *d;
    const struct lora *lora;
    const struct preference_watch *watch; /* may be NULL */
};

/* logp of the documents of a range, zero before; ranks take turns at the batches. */
static int score_range(struct preference *p, const struct scorer *how,
                       const struct row_range *range, bool mismatched, double *logp,
                       struct err *err)
{
    const size_t ranks = ranks_count(p->ranks), me = ranks_me(p->ranks);
    struct row_range left = *range;
    struct row_batch b;
    int status = 0;
    row_batch_init(&b);
    for (size_t turn = 0; left.first < left.end && !status; turn = (turn + 1) % ranks) {
        const double part =
            (double)(left.first - range->first) / (double)(range->end - range->first);
        if (how->watch && how->watch->stop(how->watch->arg, part)) {
            status = 1;
            break;
        }
        if (fill(p, &b, mismatched, &left, err) ||
            (turn == me && score_batch(how->d, how->lora, &b, logp, err)))
            status = -1;
        logp += b.n_documents;
    }
    row_batch_release(&b);
    return status;
}

/* Hands the batches of a range to fn, in their order. */
static int for_batches(struct preference *p, const struct row_range *range, bool mismatched,
                       const double *logp, score_fn *fn, void *arg, struct err *err)
{
    struct row_range left = *range;
    struct row_batch b;
    int status = 0;
    row_batch_init(&b);
    while (left.first < left.end && !status) {
        const struct row_range these = left;
        status = fill(p, &b, mismatched, &left, err);
        if (!status)
            fn(p, &b, logp, &these, arg);
        logp += b.n_documents;
    }
    row_batch_release(&b);
    return status;
}

static int score(struct preference *p, const struct scorer *how, const struct row_range *range,
                 bool mismatched, score_fn *fn, void *arg, struct err *err)
{
    const size_t n = (range->end - range->first) * (mismatched ? 1 : p->group);
    double *logp = xcalloc(n, sizeof *logp);
    int status = ranks_agree(p->ranks, score_range(p, how, range, mismatched, logp, err), err);
    if (!status) {
        ranks_merge(p->ranks, logp, n * sizeof *logp);
        status = for_batches(p, range, mismatched, logp, fn, arg, err);
    }
    free(logp);
    return status;
}

/* ---- the reference ---- */

size_t preference_references(const struct preference *p)
{
    if (!loss_has_reference(p->loss.kind))
        return 0;
    return p->n_rows * (p->group + has_kl(p));
}

void preference_set_references(struct preference *p, float *values)
{
    if (!preference_references(p))
        return;
    p->reference = values;
    p->mismatched = has_kl(p) ? values + p->n_rows * p->group : NULL;
}

/* arg: where those of all rows are. */
static void keep_reference(struct preference *p, const struct row_batch *b, const double *logp,
                           const struct row_range *range, void *arg)
{
    float *all = arg;
    for (size_t i = 0; i < b->n_documents; i++)
        all[row_at(range, i / p->group) * p->group + i % p->group] = (float)logp[i];
}

int preference_compute_references(struct preference *p, struct decoder *d, const struct lora *lora,
                                  const struct preference_watch *watch, struct err *err)
{
    const struct row_range all = {NULL, 0, p->n_rows};
    const struct scorer how = {d, lora, watch};
    if (!p->reference)
        return 0;
    int status = score(p, &how, &all, false, keep_reference, p->reference, err);
    if (!status && p->mismatched)
        status = score(p, &how, &all, true, keep_reference, p->mismatched, err);
    return status < 0 ? err_prefix(err, "the reference") : status;
}

/* ---- KL ---- */

static void add_gain(struct preference *p, const struct row_batch *b, const double *logp,
                     const struct row_range *range, void *arg)
{
    double *sum = arg;
    for (size_t i = 0; i < b->n_documents; i++)
        *sum += logp[i] - (double)p->mismatched[row_at(range, i)];
}

int preference_find_kl(struct preference *p, struct decoder *d, const struct lora *lora,
                       const struct row_range *range, const struct preference_watch *watch,
                       struct err *err)
{
    const struct scorer how = {d, lora, watch};
    double sum = 0;
    if (!has_kl(p))
        return 0;
    int status = score(p, &how, range, true, add_gain, &sum, err);
    p->sums.kl = fmax(0, sum / (double)(range->end - range->first));
    return status < 0 ? err_prefix(err, "a completion after another's prompt") : status;
}

/* ---- judging ---- */

static void judge_batch(struct preference *p, const struct row_batch *b, const double *logp,
                        const struct row_range *range, void *arg)
{
    struct err unused;
    double *loss = arg;
    prepare(p, b, 0, range);
    weigh(p, 0, b->n_documents, logp, NULL, loss, &unused);
}

int preference_judge(struct preference *p, struct decoder *d, const struct lora *lora,
                     const struct preference_watch *watch, struct err *err)
{
    const struct row_range all = {NULL, 0, p->n_rows};
    const struct scorer how = {d, lora, watch};
    double loss = 0;
    preference_clear(p);
    int status = preference_find_kl(p, d, lora, &all, watch, err);
    return status ? status : score(p, &how, &all, false, judge_batch, &loss, err);
}
