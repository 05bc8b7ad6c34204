/*
 * spool: a temporary file without a name, in TMPDIR or /tmp.
 */
#ifndef TEXT_SPOOL_H
#define TEXT_SPOOL_H

#include <stddef.h>

#include "base/err.h"
#include "text/harvest.h"

/* A descriptor to write and read, or -1. The file goes when it is closed. */
int spool_open(struct err *err);

/* Documents that wait there for a second look, in the order they came. */
struct spool;

int spool_new(struct spool **s, struct err *err);
void spool_free(struct spool *s); /* NULL is allowed */
int spool_add(struct spool *s, const struct harvest_document *document, struct err *err);
/* Ends the adding. */
int spool_rewind(struct spool *s, struct err *err);
/* The next document: 1, 0 at the end, -1. It lives until the next call, and its text may be
 * changed. */
int spool_next(struct spool *s, struct harvest_document *document, struct prose_text **text,
               struct err *err);

#endif
