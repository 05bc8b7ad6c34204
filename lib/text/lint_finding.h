/*
 * lint_finding: what can be wrong with a document, and a list of what is.
 */
#ifndef TEXT_LINT_FINDING_H
#define TEXT_LINT_FINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* In the order in which to mend them. */
enum lint_kind {
    LINT_JSON,
    LINT_SHAPE,
    LINT_EMPTY,
    LINT_ROLES,
    LINT_UNANSWERED,
    LINT_TOOLS,
    LINT_TEMPLATE,
    LINT_UNTRAINED,
    LINT_NO_END,
    LINT_LEAK,
    LINT_SECRET,
    LINT_DUPLICATE,
    LINT_LONG,
    LINT_PERSONAL,
    LINT_NEAR_DUPLICATE,
    LINT_PROMPT_LEAK,
    LINT_CONFLICT,
    LINT_MOJIBAKE,
    LINT_CUT_OFF,
    LINT_MARKERS,
    LINT_REPETITION,
    LINT_CONTROL,
    LINT_TINY,
    LINT_LANGUAGE,
    N_LINT_KINDS,
};

enum lint_severity { LINT_IGNORED, LINT_WARNING, LINT_ERROR };

extern const char *const lint_severity_names[];

struct lint_kind_info {
    const char *name; /* in reports and options */
    const char *what; /* a few words, of a document that has it */
    enum lint_severity severity;
    bool drops;       /* such a document is dropped also where that is a warning only */
    const char *mend; /* what to do about it: a clause */
};

extern const struct lint_kind_info lint_kinds[N_LINT_KINDS];

int lint_kind_of_name(const char *name, size_t len); /* -1: none */

struct lint_finding {
    enum lint_kind kind;
    size_t where, message; /* offsets of strings in text */
    /* Another document that it is about. */
    uint32_t other_file; /* number of an input, in the order they were read; UINT32_MAX: none */
    uint64_t other_line;
    double share; /* how much they resemble each other; 0: none */
};

struct lint_findings {
    struct lint_finding *items;
    size_t n, cap;
    struct buf text;
};

void lint_findings_init(struct lint_findings *f);
void lint_findings_release(struct lint_findings *f);
void lint_findings_clear(struct lint_findings *f);

/* Adds one, tamed: `where` is the place inside of the document, "" for all of it. */
struct lint_finding *lint_found(struct lint_findings *f, enum lint_kind kind, const char *where,
                                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* From there on, what could steer a terminal or break a line becomes a space, and what is no UTF-8
 * "?".
 */
void lint_tame(struct buf *b, size_t from);

bool lint_has(const struct lint_findings *f, enum lint_kind kind);

#endif
