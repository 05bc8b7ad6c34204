/* The messages of a document: document.c's other half. */
#ifndef FORMATS_DOCUMENT_MESSAGES_H
#define FORMATS_DOCUMENT_MESSAGES_H

#include "formats/document.h"

/* Appends the messages of `list`, which stands under `key`, to the document's, checked and in the
 * usual form; and the first time also tools and other variables of the template. */
int messages_read(struct document *d, const char *key, const json_t *list, struct err *err);

/* The role of a message as it stands in a document, by its usual name: "assistant" for ShareGPT's
 * "gpt". NULL for one that is not usual, or none at all. */
const char *message_role(const json_t *message);

/* What kind of value it is, for messages: "a string", "null", "missing" ... */
const char *json_kind(const json_t *v);

#endif
