/*
 * exact: whether a generated answer is the right one, as lm-evaluation-harness's exact_match has
 * it.
 *
 * A filter takes out of the text what counts as the answer; then both sides lose what is to be
 * ignored, and must be equal.
 */
#ifndef TEXT_EXACT_H
#define TEXT_EXACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { EXACT_MAX_FILTERS = 4 };

struct exact_filter {
    const char *name;    /* of the measure: "exact_match", "strict_match" */
    const char *pattern; /* what counts: its first group that matches something, or all where it has
                            none; "[invalid]" where it matches nowhere. NULL: the whole text */
    bool last;           /* of the last match, not the first */
    bool strip;          /* white space at both ends doesn't count; of a match it never does */
};

struct exact_spec {
    struct exact_filter filters[EXACT_MAX_FILTERS];
    size_t n_filters;
    const char *const
        *ignored; /* [n_ignored] patterns whose matches are taken out, in this order */
    size_t n_ignored;
    bool ignore_case, ignore_punctuation, ignore_digits; /* the latter two of ASCII */
};

struct exact;

/* The spec's strings must outlive it; an error names the pattern that is wrong. */
int exact_new(struct exact **e, const struct exact_spec *spec, struct err *err);
void exact_free(struct exact *e); /* NULL is allowed */

/* What filter i takes out of a text, valid UTF-8, into out (cleared first). */
int exact_extract(struct exact *e, size_t i, const struct buf *text, struct buf *out,
                  struct err *err);
/* Whether an extract is one of the right answers, a list of strings. */
int exact_compare(struct exact *e, const struct buf *extract, const json_t *right, bool *equal,
                  struct err *err);

#endif
