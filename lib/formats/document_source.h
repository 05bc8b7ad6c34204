/*
 * document_source: the documents of an input, each as a line of JSON: JSON Lines, a JSON array, CSV
 * and TSV, also inside archives; or as plain text.
 *
 * A row of a table becomes an object whose keys are the names in its first line; empty fields are
 * null. Fields that aren't text in a document (weight, label, messages ...) become what they
 * say. Of an archive, also inside another, the members whose names end in .jsonl, .ndjson, .json,
 * .csv, .tsv or .tab, also compressed, are read one after the other as they stand there.
 */
#ifndef FORMATS_DOCUMENT_SOURCE_H
#define FORMATS_DOCUMENT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/archive.h"
#include "formats/document.h"

enum document_format {
    DOCUMENT_AUTO,  /* by the first bytes and the name */
    DOCUMENT_JSON,  /* JSON Lines, or one array of documents */
    DOCUMENT_CSV,   /* RFC 4180, with names of columns in the first line */
    DOCUMENT_TSV,   /* the same with tabs */
    DOCUMENT_LINES, /* each line that isn't blank is a text */
    DOCUMENT_FILE,  /* all of it is one text */
};
extern const char *const document_format_choices[]; /* auto to tsv, NULL-terminated */

/* Whether it gives plain text, not JSON. */
bool document_format_is_text(enum document_format f);

struct document_source;

/* Takes over in. fields, which tell columns of other names, may be NULL. */
int document_source_open(struct document_source **s, struct input *in, enum document_format format,
                         const struct document_fields *fields, struct err *err);
void document_source_close(struct document_source *s); /* NULL is allowed */

/* Where a document is. `file` is valid until the source is closed, and the same pointer for all
 * documents of a file. */
struct document_place {
    const char *file; /* "chats.zip:train.jsonl" for a member */
    size_t line;      /* in which it begins; 0: the whole file */
};

/* The next document that isn't blank, as a line of JSON or as text: 1, 0 at the end, -1 with
 * "file:line: what". */
int document_source_next(struct document_source *s, struct buf *text, struct document_place *place,
                         struct err *err);
/* Members of the archive that were passed over so far. */
uint64_t document_source_passed_over(const struct document_source *s);

#endif
