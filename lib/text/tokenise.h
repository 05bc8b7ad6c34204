/*
 * tokenise: documents from inputs, tokenised by several threads, handed on in order.
 *
 * What comes out doesn't depend on the number of threads: documents are handed on in the input's
 * order, and the first failure in that order is the one that is reported.
 */
#ifndef TEXT_TOKENISE_H
#define TEXT_TOKENISE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "formats/archive.h"
#include "formats/document_source.h"
#include "text/tokenised.h"

struct tokeniser;

struct tokeniser *tokeniser_new(const struct chat *c, const struct document_fields *fields,
                                enum document_format format, struct pool *pool);
void tokeniser_free(struct tokeniser *t);

/* Hands every document of the input to `take`, which may fail; errors say "name:line: ". Takes over
 * `in`. */
int tokenise(struct tokeniser *t, struct input *in,
             int (*take)(void *arg, const struct tokenised *d, struct err *err), void *arg,
             struct err *err);
/* Members of archives that are no documents. */
uint64_t tokeniser_passed_over(const struct tokeniser *t);

#endif
