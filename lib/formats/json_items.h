/*
 * json_items: the items of one large JSON array, one at a time, without the array in memory.
 *
 * Only brackets, strings and commas are looked at; whether an item is JSON, who parses it finds.
 */
#ifndef FORMATS_JSON_ITEMS_H
#define FORMATS_JSON_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/archive.h"

struct json_items {
    struct input *in; /* not owned */
    struct buf line;
    size_t at;   /* in line */
    size_t item; /* items so far */
    bool begun, ended;
};

void json_items_init(struct json_items *j, struct input *in);
void json_items_release(struct json_items *j);

/* The next item's text without newlines, and the line that it begins in: 1, 0 behind the array's
 * end, -1 with "name:line: what". Text behind the array is an error. */
int json_items_next(struct json_items *j, struct buf *text, size_t *line, struct err *err);

#endif
