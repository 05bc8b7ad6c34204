/*
 * pattern: whether a short text, such as a module's name, matches a regular expression of Python's
 * dialect as far as PCRE2 shares it.
 */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include <stdbool.h>

#include "base/err.h"

/* Sets *matches to whether all of text matches. A pattern that is none, or that takes more steps
 * than a sane one would, is an error which quotes it. */
int pattern_matches(const char *pattern, const char *text, bool *matches, struct err *err);

#endif
