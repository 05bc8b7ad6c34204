/*
 * regex: patterns matched by PCRE2: those of tokenizer.json, which are in Oniguruma's syntax, and
 * Python's.
 */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct regex;
struct regex_scratch; /* of one thread, for any regex */

/* NULL on failure, which names the pattern; also for what the two dialects read differently. */
struct regex *regex_new(const char *pattern, size_t len, struct err *err);
/* The same for a pattern of Python's re, as far as PCRE2 reads it alike. */
struct regex *regex_new_python(const char *pattern, size_t len, struct err *err);
void regex_free(struct regex *re);
struct regex_scratch *regex_scratch_new(void);
void regex_scratch_free(struct regex_scratch *s);

/* Goes through the matches in p[len], valid UTF-8, from left to right. */
struct regex_cursor {
    const char *p;
    size_t len;
    size_t from, last; /* where to search next; where the last match ended */
    int any;
};

void regex_start(struct regex_cursor *c, const char *p, size_t len);
/* The next match [*start, *end): 1, 0 where there is none, -1 if it takes too much to find. An
 * empty match doesn't follow another match directly. */
int regex_next(const struct regex *re, struct regex_scratch *s, struct regex_cursor *c,
               size_t *start, size_t *end, struct err *err);

/* The pattern's groups; and of the last match group i, from 1: false where it took no part in it.
 * At most REGEX_GROUPS of them are kept. */
enum { REGEX_GROUPS = 15 };
size_t regex_groups(const struct regex *re);
bool regex_group(const struct regex_scratch *s, size_t i, size_t *start, size_t *end);

#endif
