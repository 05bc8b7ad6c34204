/*
 * evaluate: how well a model predicts the documents of a stream.
 *
 * Documents are scored apart, whatever row they were packed into: several go through the decoder
 * together until a batch has enough tokens. The result is by document in the order of the input
 * that the stream was made from; parts of a document that was split to fit are joined again.
 */
#ifndef MODEL_EVALUATE_H
#define MODEL_EVALUATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/stream.h"
#include "model/decoder.h"

struct scored_document {
    uint64_t index;    /* place in the input */
    uint64_t part;     /* of the first of its parts: not 0 only when those before are missing */
    char *id, *source; /* NULL: none */
    size_t n_tokens;
    size_t targets;      /* tokens that are trained and not the first, nor left out by windows */
    size_t left_out;     /* trained tokens that windows left out, but for the document's first */
    uint64_t text_bytes; /* of text behind the targets; 0: unknown */
    double nll;          /* sum of -log p over the targets */
    float *logprob;      /* [n_tokens], NaN at the first; NULL unless asked for */
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
    double bits_per_byte; /* nll / ln 2 / text_bytes; NaN where they are unknown */
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

/*
 * How a document that is longer than a window is measured. Windows begin at every stride-th token;
 * in each, tokens that an earlier window has predicted and the first `skip` ones only come before,
 * and the first of all has nothing to be predicted from.
 */
struct window {
    size_t size;   /* tokens; 0: documents are measured in one piece */
    size_t stride; /* 1 to size */
    size_t skip;   /* tokens at a window's beginning, the first document's too, that aren't targets
                    */
    bool whole;    /* what is left behind the last whole window is left out */
    int64_t bos;   /* takes the place of each window's first token where the document begins with
                      it; -1: none does */
};

struct evaluator_options {
    size_t batch_tokens; /* documents go through the decoder together up to that many tokens */
    bool logprobs;       /* keep log p of every token; not with windows */
    struct window window;
};

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

struct evaluator;

/* Decoder, adapter (NULL: none) and result must outlive the evaluator, which adds to the result. */
struct evaluator *evaluator_new(struct decoder *d, const struct lora *lora,
                                const struct evaluator_options *options, struct evaluation *result);
void evaluator_free(struct evaluator *ev); /* NULL is allowed */

/* Takes the documents of a record, scoring when a batch is full. index_base is added to their
 * index: files given one after the other are one input. */
int evaluator_add(struct evaluator *ev, const struct stream_record *r, uint64_t index_base,
                  struct err *err);
int evaluator_finish(struct evaluator *ev, struct err *err); /* scores what is left */

/* What has been scored so far, for progress. */
uint64_t evaluator_tokens(const struct evaluator *ev);
double evaluator_mean_nll(const struct evaluator *ev);

#endif
