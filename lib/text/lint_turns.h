/*
 * lint_turns: whether a conversation's turns follow each other as they should.
 *
 * Works on the JSON as it stands there, so that it finds everything that is wrong and not only the
 * first fault, at which reading the document ends.
 */
#ifndef TEXT_LINT_TURNS_H
#define TEXT_LINT_TURNS_H

#include <jansson.h>

#include "text/lint_finding.h"

/* The messages of a document's object, whatever is in it; nothing for one without messages. */
void lint_turns(struct lint_findings *f, const json_t *object);

#endif
