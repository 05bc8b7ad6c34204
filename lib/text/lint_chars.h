/*
 * lint_chars: characters that show that a text was decoded wrongly, or that can't be seen.
 */
#ifndef TEXT_LINT_CHARS_H
#define TEXT_LINT_CHARS_H

#include "text/lint_finding.h"

/* p[len] is valid UTF-8. At most one finding of each kind. */
void lint_chars(struct lint_findings *f, const char *where, const char *p, size_t len);

#endif
