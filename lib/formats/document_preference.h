/* Answers to compare: a part of document.c. */
#ifndef FORMATS_DOCUMENT_PREFERENCE_H
#define FORMATS_DOCUMENT_PREFERENCE_H

#include "formats/document.h"

/* chosen and rejected, and what they answer. */
int preference_read(struct document *d, struct err *err);
/* prompt, completion and label. */
int label_read(struct document *d, struct err *err);

#endif
