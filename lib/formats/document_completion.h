/* Prompts and completions of a document, Alpaca's too: a part of document.c. */
#ifndef FORMATS_DOCUMENT_COMPLETION_H
#define FORMATS_DOCUMENT_COMPLETION_H

#include "formats/document.h"

/* A key of the document's object that is there and not null. */
json_t *document_get(const struct document *d, const char *key);
/* Its text, appended to out; an error calls it `name`. */
int document_get_text(const struct document *d, const char *key, const char *name, struct buf *out,
                      struct err *err);

/* prompt and completion, or instruction, input and output; errors call what is learnt `name`. */
int completion_read(struct document *d, const char *name, struct err *err);
int alpaca_read(struct document *d, const char *name, struct err *err);
/* The prompt or the instruction alone. */
int question_read(struct document *d, struct err *err);

#endif
