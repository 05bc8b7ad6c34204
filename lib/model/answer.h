/*
 * answer: questions that a model answers in its own words, and how often they are the right ones.
 *
 * The answer is what is likeliest token by token after the context, up to an end token, one of the
 * task's strings, or a number of tokens; text/exact.h says when it is right.
 */
#ifndef MODEL_ANSWER_H
#define MODEL_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/accuracy.h"
#include "model/decoder.h"
#include "text/task.h"
#include "text/tokenizer.h"

enum { ANSWER_MAX_SIDES = 2 };

struct answer_question {
    json_t *id;    /* NULL: none */
    json_t *right; /* the right answers, a list of strings */
    struct answer_side {
        struct buf text; /* as generated */
        struct buf extracts[EXACT_MAX_FILTERS];
        bool right[EXACT_MAX_FILTERS];
    } sides[ANSWER_MAX_SIDES];
};

struct answer_options {
    struct decoder *decoder;
    struct lora *const *sides; /* [n_sides]: the adapter of each model, NULL for the base alone */
    size_t n_sides;
    const struct tokenizer *tokenizer;
    const struct task_answering *task;
    const uint32_t *end_ids; /* [n_end_ids] */
    size_t n_end_ids;
    bool no_specials; /* no BOS before the context */
    size_t max_tokens, slots;

    /* The next question into item: 1, 0 at the end, -1. */
    int (*next)(void *arg, struct task_item *item, struct err *err);
    void (*progress)(void *arg, size_t questions, uint64_t tokens); /* NULL: none */
    void *arg;
};

struct answers {
    struct answer_question *questions;
    size_t n, cap;
    uint64_t tokens;    /* that were generated */
    uint64_t truncated; /* questions whose context lost its beginning to fit the model */
};

/* Asks all questions; result begins empty, answers_release is for what it leaves on failure, too.
 */
int answers_ask(const struct answer_options *options, struct answers *result, struct err *err);
void answers_release(struct answers *a);

/* Share of right answers by one filter; the second side's less the first's on the same questions.
 */
struct accuracy answers_accuracy(const struct answers *a, size_t side, size_t filter);
struct accuracy answers_difference(const struct answers *a, size_t filter);

#endif
