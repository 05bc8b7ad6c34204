/*
 * response_report: what ft-gen prints of a prompt and its completions, a line of JSON.
 */
#ifndef MODEL_RESPONSE_REPORT_H
#define MODEL_RESPONSE_REPORT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/command.h"
#include "model/respond.h"

struct response_report {
    const struct tokenizer *tokenizer; /* NULL: ids alone */
    bool sampled;                      /* with the number of the sample */
    bool compare;                      /* two sides, base and tuned */
    bool ids, logprobs;
    bool checked; /* with the verdicts on its format */
};

/* verdicts: one for each side, if checked. */
void response_report(const struct response_report *how, const struct response *r,
                     const enum verdict *verdicts, struct buf *b);

#endif
