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
    size_t targets;      /* tokens that are trained and not the first */
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
    size_t documents; /* that have targets */
    uint64_t tokens;  /* all targets */
    uint64_t seen;    /* all tokens, targets or not */
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

struct evaluator_options {
    size_t batch_tokens; /* documents go through the decoder together up to that many tokens */
    bool logprobs;       /* keep log p of every token */
};

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
