/*
 * chat_args: the options of a command line that say how documents become chats.
 */
#ifndef TEXT_CHAT_ARGS_H
#define TEXT_CHAT_ARGS_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "formats/document.h"

/* FIELD=KEY, n times: f->items is new, the names in it are views of specs and of copies that
 * chat_args_fields_free releases. */
int chat_args_fields(struct document_fields *f, const char *const *specs, size_t n,
                     struct err *err);
void chat_args_fields_free(struct document_fields *f);

/* NAME=JSON, n times, as one object; a value that is no JSON is a string. NULL on failure. */
json_t *chat_args_variables(const char *const *specs, size_t n, struct err *err);

#endif
