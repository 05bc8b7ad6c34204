/*
 * sp_units: SentencePiece's models of type word and char: the normalised text is cut before
 * each U+2581, or into characters, and each part is a token or unknown (sentencepiece,
 * word_model.cc and char_model.cc).
 */
#ifndef TEXT_SP_UNITS_H
#define TEXT_SP_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/vocab.h"
#include "text/words.h"

struct sp_units_options {
    bool characters;    /* else words */
    int64_t unk;        /* the token of a run of unknown parts, -1 for none */
    bool byte_fallback; /* such a run becomes its bytes, "<0x0A>", where the vocabulary has them */
    const bool *known;  /* [v->n] whether a token is looked for in texts */
};

struct sp_units;

/* The vocabulary must outlive the result. NULL on failure. */
struct sp_units *sp_units_new(const struct vocab *v, const struct sp_units_options *o,
                              struct err *err);
void sp_units_free(struct sp_units *u);
struct word_model sp_units_model(const struct sp_units *u); /* needs no scratch */

#endif
