/* Rows of a table as JSON objects: document_source.c's other half. */
#ifndef FORMATS_DOCUMENT_TABLE_H
#define FORMATS_DOCUMENT_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include "formats/csv.h"
#include "formats/document.h"

struct document_table {
    struct csv csv;
    const struct document_fields *fields;
    char **names;         /* [n]: of the columns; "" for one to be left out */
    unsigned char *types; /* [n]: enum column_type */
    size_t n;
};

void document_table_init(struct document_table *t, struct input *in, char separator,
                         const struct document_fields *fields);
void document_table_release(struct document_table *t);

/* The next row that isn't empty as an object: 1, 0 at the end, -1 with "name:line: what". *line is
 * where it begins. */
int document_table_next(struct document_table *t, struct buf *out, size_t *line, struct err *err);

#endif
