/*
 * choice: which of several endings a model finds likeliest, and how often that is the right one.
 *
 * The score of a choice is log p of its ending's tokens given its context's, as in
 * lm-evaluation-harness: both are encoded as one text, whose first tokens, as many as the context
 * alone has, are the context; blanks at the end of the context belong to the ending.
 */
#ifndef MODEL_CHOICE_H
#define MODEL_CHOICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/accuracy.h"
#include "model/decoder.h"
#include "text/task.h"
#include "text/tokenizer.h"

enum { CHOICE_MAX_SIDES = 2 };

/* By what a choice's log-probability is divided before the largest is taken. */
enum choice_measure { CHOICE_PLAIN, CHOICE_CHARACTERS, CHOICE_BYTES, CHOICE_MEASURES };
extern const char *const choice_measure_names[]; /* "acc", "acc_norm", "acc_bytes" */

struct choice_question {
    json_t *id; /* NULL: none */
    size_t n;
    struct choice {
        size_t characters, bytes; /* of the choice as the task names it */
        size_t tokens;            /* of the ending */
        bool right;
        double loglikelihood[CHOICE_MAX_SIDES];
    } * choices; /* [n] */
};

struct choice_options {
    struct decoder *decoder;
    struct lora *const *sides; /* [n_sides]: the adapter of each model, NULL for the base alone */
    size_t n_sides;
    const struct tokenizer *tokenizer;
    bool no_specials;    /* no BOS before the context */
    size_t batch_tokens; /* choices go through the decoder together up to that many tokens */
};

struct choices {
    struct choice_question *questions;
    size_t n, cap;
    uint64_t tokens;    /* that went through the decoder */
    uint64_t truncated; /* choices whose context lost its beginning to fit the model */
};

struct chooser;

/* What options point to and result must outlive it; result begins empty. */
struct chooser *chooser_new(const struct choice_options *options, struct choices *result);
void chooser_free(struct chooser *c); /* NULL is allowed */
/* Adds a question, scoring when a batch is full. */
int chooser_add(struct chooser *c, const struct task_item *item, struct err *err);
int chooser_finish(struct chooser *c, struct err *err); /* scores what is left */

void choices_release(struct choices *c);

/* The choice that a side takes: the first of the likeliest. */
size_t choice_taken(const struct choice_question *q, size_t side, enum choice_measure measure);

/* Share of right answers. */
struct accuracy choices_accuracy(const struct choices *c, size_t side, enum choice_measure measure);
/* The second side's share less the first's, on the same questions: its error is that of the
 * differences. */
struct accuracy choices_difference(const struct choices *c, enum choice_measure measure);

#endif
