/*
 * csv: tables as text, in the form of RFC 4180: fields between separators, a field in quotes may
 * hold separators, newlines and doubled quotes. A carriage return at the end of a line is none of
 * the data. The separator is a comma or a tab; a first line without a comma but with semicolons,
 * as spreadsheets write it in some countries, has semicolons for separators.
 *
 * Blank lines are passed over. Every record has as many fields as the first.
 */
#ifndef FORMATS_CSV_H
#define FORMATS_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/archive.h"

struct csv {
    struct input *in; /* not owned */
    char separator;
    struct buf line;
    struct buf text; /* the fields of a record, one after the other, without anything between */
    size_t *ends;    /* [n]: where each ends in text */
    size_t n, cap;
    size_t width;       /* fields of the first record; 0 before */
    size_t line_number; /* where the record begins */
};

/* separator: '\t', or ',' also for semicolons. */
void csv_init(struct csv *c, struct input *in, char separator);
void csv_release(struct csv *c);

/* The next record: 1, 0 at the end, -1 with "name:line: what". */
int csv_next(struct csv *c, struct err *err);
const char *csv_field(const struct csv *c, size_t i, size_t *len);
/* Whether all fields are empty, as at the end of what spreadsheets write. */
bool csv_is_empty(const struct csv *c);

#endif
