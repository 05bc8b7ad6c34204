/*
 * onig: patterns of Oniguruma's Ruby syntax, which tokenizer.json files are written in, in the
 * words of PCRE2.
 */
#ifndef TEXT_ONIG_H
#define TEXT_ONIG_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the translation to out. What can't be translated exactly is refused by name. */
int onig_to_pcre2(struct buf *out, const char *pattern, size_t len, struct err *err);

#endif
