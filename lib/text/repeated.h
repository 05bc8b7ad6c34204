/*
 * repeated: paragraphs that come back in many documents: letterheads, disclaimers, signatures.
 *
 * Counted in a first pass over all documents, taken out in a second one. Two are the same if they
 * differ in white space only. Headings, lists, tables and listings are never taken: a house's
 * structure repeats on purpose. What is joined to other text is taken line by line, at the
 * beginning and the end of a document only. Memory is 48 to 96 bytes for each different paragraph.
 */
#ifndef TEXT_REPEATED_H
#define TEXT_REPEATED_H

#include <stddef.h>
#include <stdint.h>

#include "text/prose_text.h"

enum { REPEATED_LEAST = 3 }; /* documents, however small the share */

/* One that was taken out. */
struct repeated_text {
    struct buf text; /* as it stood in the first document */
    uint64_t documents;
    uint64_t times, bytes; /* that it was taken out */
};

struct repeated;

struct repeated *repeated_new(void);
void repeated_free(struct repeated *r);

void repeated_count(struct repeated *r, const struct prose_text *t);
/* Ends the counting: what `share` of the documents have, and at least REPEATED_LEAST, is taken. */
void repeated_decide(struct repeated *r, double share);
/* Takes it out of a document, in place. */
void repeated_strip(struct repeated *r, struct prose_text *t);

uint64_t repeated_documents(const struct repeated *r); /* that were counted */
/* What was taken out so far, the most frequent first. */
const struct repeated_text *repeated_texts(struct repeated *r, size_t *n);

#endif
