/*
 * wordpiece: the longest token that a word begins with, then the longest that goes on with it, and
 * so forth; a word that can't be covered is unknown. Also word level: the word is the token.
 */
#ifndef TEXT_WORDPIECE_H
#define TEXT_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/vocab.h"
#include "text/words.h"

struct wordpiece_options {
    int64_t unk;
    const char *prefix; /* of tokens that go on with a word */
    size_t most;        /* a word of more characters is unknown */
    bool whole;         /* word level */
};

struct wordpiece;
struct wordpiece_scratch;

/* The vocabulary must outlive the result. NULL on failure. */
struct wordpiece *wordpiece_new(const struct vocab *v, const struct wordpiece_options *o,
                                struct err *err);
void wordpiece_free(struct wordpiece *w);
struct wordpiece_scratch *wordpiece_scratch_new(void);
void wordpiece_scratch_free(struct wordpiece_scratch *s);
struct word_model wordpiece_model(const struct wordpiece *w);

#endif
