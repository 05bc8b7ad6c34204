/*
 * json: JSON Lines in and out, over Jansson.
 *
 * Values are Jansson's json_t. Objects with a duplicate key, bad UTF-8, and nesting that Jansson
 * refuses are errors that name file and line.
 */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/archive.h"

/* Parses exactly one value; anything after it is an error. Strings may hold U+0000. NULL on error. */
json_t *json_parse(const char *p, size_t len, struct err *err);
json_t *json_read_file(const char *path, size_t limit, struct err *err);

/* The next non-blank line of in as a JSON value: 1 and *value (the caller decrefs), 0 at the end, -1
 * with "file:line: what". */
int json_next_line(struct input *in, struct buf *line, json_t **value, struct err *err);

/* Adds the compact form, keys in insertion order, UTF-8 kept, reals in the fewest digits that
 * read back the same. */
void json_add(struct buf *b, const json_t *value);
/* The same, keys sorted and indented by 2: for files that people read and that must be the same bytes. */
void json_add_pretty(struct buf *b, const json_t *value);
/* A JSON string literal of the bytes, quotes included. Bytes that are no UTF-8 become U+FFFD. */
void json_add_string(struct buf *b, const char *p, size_t len);
/* A real in the fewest digits that read back the same; "null" for one that is not finite. */
void json_add_real(struct buf *b, double v);
void json_add_reals(struct buf *b, const double *v, size_t n); /* an array, 1.0 as 1 */

#endif
