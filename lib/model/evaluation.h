/*
 * evaluation: how well a model predicted documents: their scores, and what they sum up to.
 */
#ifndef MODEL_EVALUATION_H
#define MODEL_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/measure.h"

struct scored_document {
    uint64_t index;    /* place in the input */
    uint64_t part;     /* of the first of its parts: not 0 only when those before are missing */
    char *id, *source; /* NULL: none */
    size_t n_tokens;
    size_t targets;      /* tokens that are trained and not the first, nor left out by windows */
    size_t left_out;     /* trained tokens that windows left out, but for the document's first */
    uint64_t text_bytes; /* of text behind the targets; 0: unknown */
    uint64_t words;      /* of that text: its runs of white space and one; 0: unknown */
    double nll;          /* sum of -log p over the targets */
    float *logprob;      /* [n_tokens], NaN at the first; NULL unless asked for */
    struct measured_token *measured; /* [n_measured], all targets in order; unless asked for none */
    size_t n_measured;
};

struct evaluation {
    struct scored_document *documents;
    size_t n, cap;
};

void evaluation_init(struct evaluation *e);
void evaluation_release(struct evaluation *e);
/* Puts documents in the order of the input and joins parts that follow each other. */
void evaluation_join(struct evaluation *e);

struct evaluation_summary {
    size_t documents;  /* that have targets */
    uint64_t tokens;   /* all targets */
    uint64_t seen;     /* all tokens, targets or not */
    uint64_t left_out; /* trained tokens that windows left out */
    double nll, mean_nll, ppl;
    double stderr_mean;  /* of mean_nll, NaN with fewer than two documents */
    uint64_t text_bytes; /* behind the targets, where every document with targets says it, else 0 */
    uint64_t words;      /* as well */
    double bits_per_byte;      /* nll / ln 2 / text_bytes; NaN where they are unknown */
    double byte_ppl, word_ppl; /* exp(nll / text_bytes), exp(nll / words); NaN as well */
};

/*
 * Sums up a joined evaluation. With document i's sum s_i of -log p over its n_i targets, N and S
 * the totals of D documents and m = S/N, the standard error of m is
 *
 *     sqrt(D / (D - 1) * sum_i (s_i - m n_i)^2) / N,
 *
 * that of a ratio of means with documents as the units drawn (Cochran, Sampling Techniques, 1977,
 * eq. 6.4): tokens of one document aren't independent of each other.
 */
void evaluation_summarize(const struct evaluation *e, struct evaluation_summary *s);

/* One side's mean less another's over the same documents: with the difference d_i of document i's
 * sums in place of s_i, as evaluation_summarize says. */
struct evaluation_difference {
    double mean_nll, stderr_mean; /* NaN with fewer than two documents */
    double low, high; /* of mean_nll, with a confidence of 95 % (1.96 standard errors) */
};
void evaluation_compare(const struct evaluation *base, const struct evaluation *tuned,
                        struct evaluation_difference *d);

/* The documents of one source, or of all with NULL, as an evaluation of views: nothing in it is
 * released but by evaluation_release_view. */
void evaluation_of_source(const struct evaluation *e, const char *source, struct evaluation *out);
void evaluation_release_view(struct evaluation *e);

/* A mean over all targets of what documents' sums [e->n] add up to, with its standard error as
 * evaluation_summarize says; NaN with fewer than two documents. */
struct ratio {
    double mean, stderr_;
};
struct ratio evaluation_ratio(const struct evaluation *e, const double *sums);

#endif
