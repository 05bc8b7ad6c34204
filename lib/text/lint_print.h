/*
 * lint_print: findings and the summary as text for people, as a table, or as JSON.
 */
#ifndef TEXT_LINT_PRINT_H
#define TEXT_LINT_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/lint.h"

enum lint_format {
    LINT_TEXT,        /* file:line: severity: message [kind], then tables and advice */
    LINT_TSV,         /* a header, then a line for each finding; no summary */
    LINT_JSON_OBJECT, /* {"findings": [...], "summary": {...}}, a finding a line */
};

/* A finding is added to `out`, which the caller writes and clears. */
struct lint_printer {
    enum lint_format format;
    uint64_t most; /* of a kind are shown in LINT_TEXT; 0: all */
    uint64_t shown[N_LINT_KINDS], written;
};

void lint_print_begin(struct lint_printer *p, struct buf *out);
void lint_print_finding(struct lint_printer *p, const struct lint_report *r, struct buf *out);
void lint_print_end(struct lint_printer *p, const struct lint_summary *s, struct buf *out);

#endif
