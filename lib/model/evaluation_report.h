/*
 * evaluation_report: what ft-eval prints of an evaluation, as lines of JSON.
 */
#ifndef MODEL_EVALUATION_REPORT_H
#define MODEL_EVALUATION_REPORT_H

#include "base/buf.h"
#include "model/evaluation.h"

/* Of one model, or of two on the same documents: the base first. */
struct evaluation_report {
    const struct evaluation *sides; /* [n_sides], joined */
    size_t n_sides;
    bool divergence;     /* of the second from the first */
    size_t bins;         /* of the calibration; 0: none */
    bool by_source;      /* lines name their source */
    const char *backend; /* name of the arithmetic */
};

/* One line: of all documents. */
void evaluation_report_all(const struct evaluation_report *r, struct buf *b);
/* A line for each source in order of name; documents without one aren't in any. */
void evaluation_report_sources(const struct evaluation_report *r, struct buf *b);
/* The line of one document. */
void evaluation_report_document(const struct evaluation_report *r, size_t i, struct buf *b);

#endif
