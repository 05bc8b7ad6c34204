/*
 * evaluate: has one model, or two side by side, predict the documents of a stream.
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
#include "formats/logits.h"
#include "formats/stream.h"
#include "model/decoder.h"
#include "model/evaluation.h"
#include "text/tokenizer.h"

/*
 * How a document that is longer than a window is measured. Windows begin at every stride-th token;
 * in each, tokens that an earlier window has predicted and the first `skip` ones only come before,
 * and the first of all has nothing to be predicted from.
 */
struct window {
    size_t size;    /* tokens; 0: documents are measured in one piece */
    size_t stride;  /* 1 to size */
    size_t skip;    /* tokens at a window's beginning, the first document's too, that aren't targets
                     */
    bool whole;     /* what is left behind the last whole window is left out */
    int64_t bos;    /* takes the place of each window's first token where the document begins with
                       it; -1: none does */
    bool full_last; /* the last window begins earlier where it would be shorter than the others */
};

struct evaluator_options {
    size_t batch_tokens; /* documents go through the decoder together up to that many tokens */
    bool logprobs;       /* keep log p of every token; not with windows, nor with what follows */
    struct window window;
    const struct tokenizer *tokenizer; /* counts words; NULL: they stay unknown */
    int64_t begin; /* put before documents that don't begin with it, so that their first token is
                      predicted from something; -1: none is */
    bool measure;  /* keep what whole distributions say of every target */
    struct logits_writer *save;  /* write them here: of one side; NULL: don't */
    struct logits_reader *other; /* and compare with these in place of a first side; NULL: none */
};

struct evaluator;

/*
 * sides [n_sides]: the adapter of each model, NULL for the base alone; 1 or 2. results: one for
 * each side, before them one for `other`. Where there are two results and measure, the second one's
 * tokens are measured against the first's. Decoder, adapters and results must outlive the
 * evaluator, which adds to the results.
 */
struct evaluator *evaluator_new(struct decoder *d, const struct lora *const *sides, size_t n_sides,
                                const struct evaluator_options *options,
                                struct evaluation *results);
void evaluator_free(struct evaluator *ev); /* NULL is allowed */

/* Takes the documents of a record, scoring when a batch is full. index_base is added to their
 * index: files given one after the other are one input. */
int evaluator_add(struct evaluator *ev, const struct stream_record *r, uint64_t index_base,
                  struct err *err);
int evaluator_finish(struct evaluator *ev, struct err *err); /* scores what is left */

/* What has been scored so far by the last side, for progress. */
uint64_t evaluator_tokens(const struct evaluator *ev);
double evaluator_mean_nll(const struct evaluator *ev);

#endif
