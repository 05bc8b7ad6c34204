/*
 * spm_merges: the merges that come to the same as SentencePiece's scores.
 *
 * SentencePiece joins the neighbours whose union has the highest score, so each way of cutting a
 * token in two tokens is a merge, in order of falling score. Of several with one score the longer
 * left part goes first, as in the tokenizer.json files that transformers makes of such models.
 */
#ifndef TEXT_SPM_MERGES_H
#define TEXT_SPM_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/vocab.h"

/* scores [v->n] and normal [v->n]: only a normal token is made by merging. *merges, which the
 * caller frees, has *n pairs of left and right. */
int spm_merges(const struct vocab *v, const float *scores, const bool *normal,
               uint32_t (**merges)[2], size_t *n, struct err *err);

#endif
