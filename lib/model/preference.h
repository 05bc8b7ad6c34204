/*
 * preference: rows of preferences or of labelled completions, and what their losses need to know:
 * the log-likelihoods under the reference, KTO's estimate of the divergence, and sums for the log.
 *
 * Rows are of kind STREAM_PREFERENCE (two documents, the chosen and the rejected) or, for KTO, of
 * STREAM_LABEL (one). A completion's targets are its trained tokens. Pairs stay in one pass, so
 * that one forward and one backward suffice: between them the documents' log-likelihoods become the
 * coefficients of their gradients.
 */
#ifndef MODEL_PREFERENCE_H
#define MODEL_PREFERENCE_H

#include "base/ranks.h"
#include "model/decoder.h"
#include "model/loss.h"
#include "model/rows.h"

struct preference;

/* Which rows are meant: order[first .. end), or first .. end where order is NULL. */
struct row_range {
    const size_t *order;
    size_t first, end;
};

/* Called between passes with the share that is done; true: leave off. */
struct preference_watch {
    bool (*stop)(void *arg, double part);
    void *arg;
};

/* Sums over rows, since preference_clear. */
struct preference_sums {
    double loss, weight;     /* each row's loss times its weight */
    double chosen, rejected; /* rewards; of KTO's desirable and undesirable completions */
    uint64_t n_chosen, n_rejected;
    uint64_t right,
        n;     /* rows in which the chosen has the larger reward (KTO: v > 0); of how many */
    double kl; /* KTO: the estimate that was used; else NaN */
};

/* The rows must outlive it; fails if the loss can't learn from their kind or number. */
int preference_new(struct preference **p, const struct loss *loss, const struct rows *rows,
                   struct err *err);
void preference_free(struct preference *p); /* NULL is allowed */
/* From now on these ranks share what scores rows: computing references, finding KL, judging, which
 * all must do together. NULL, as at first: this process does all. */
void preference_share(struct preference *p, struct ranks *ranks);

/*
 * The reference's log-likelihoods: of every document and, for KTO, of every mismatched one, in the
 * order of the rows. They are the caller's, who keeps [preference_references] floats; 0: the loss
 * has no reference.
 */
size_t preference_references(const struct preference *p);
void preference_set_references(struct preference *p, float *values);
/* Computes them, by all ranks together; lora NULL: the base is the reference. 1 when stopped before
 * the end. */
int preference_compute_references(struct preference *p, struct decoder *d, const struct lora *lora,
                                  const struct preference_watch *watch, struct err *err);

/* Forgets the sums. */
void preference_clear(struct preference *p);
const struct preference_sums *preference_sums(const struct preference *p);
/* The same, which begin anew but for KL; and adds such to them. */
struct preference_sums preference_take_sums(struct preference *p);
void preference_add_sums(struct preference *p, const struct preference_sums *s);

/*
 * KTO's estimate for a range of rows, to be found before they are learnt from or judged:
 * KL = max(0, mean over the rows of L - Lref of a completion that isn't the prompt's own), here the
 * completion of the row before in the data (of the first row: that of the last). Other losses need
 * none. 1 when stopped.
 */
int preference_find_kl(struct preference *p, struct decoder *d, const struct lora *lora,
                       const struct row_range *range, const struct preference_watch *watch,
                       struct err *err);

/* Makes `how` learn from the documents of a batch from document `from` on, which are those of rows
 * range->first and so on. p and the batch must last until it is done. */
void preference_teach(struct preference *p, const struct row_batch *b, size_t from,
                      const struct row_range *range, struct learning *how);

/* The sums over all rows, without gradients: clears, finds KL, adds up. 1 when stopped. */
int preference_judge(struct preference *p, struct decoder *d, const struct lora *lora,
                     const struct preference_watch *watch, struct err *err);

#endif
