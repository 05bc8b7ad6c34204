/*
 * score_report: what ft-score prints of questions that were asked, as lines of JSON.
 */
#ifndef MODEL_SCORE_REPORT_H
#define MODEL_SCORE_REPORT_H

#include <stdbool.h>

#include "base/buf.h"
#include "model/answer.h"
#include "model/choice.h"

struct score_report {
    const char *task; /* NULL: none of a known name */
    const struct choices *choices;
    const struct answers
        *answers; /* in the place of choices, with what they were asked by; or NULL */
    const struct task_answering *answering;
    bool compare;        /* two sides: the base and the tuned model */
    const char *backend; /* name of the arithmetic */
};

void score_report_all(const struct score_report *r, struct buf *b); /* one line */
void score_report_question(const struct score_report *r, size_t i, struct buf *b);

#endif
