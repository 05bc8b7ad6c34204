/*
 * extract: the text of one document file, with its headings, lists and tables kept as in prose.h.
 */
#ifndef TEXT_EXTRACT_H
#define TEXT_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/package.h"
#include "text/prose.h"

enum file_kind {
    FILE_PLAIN,    /* text, kept as it is */
    FILE_MARKDOWN, /* the same, with headings */
    FILE_HTML,
    FILE_DOCX,
    FILE_PPTX,
    FILE_ODT, /* also .odp, and flat XML (.fodt, .fodp) */
    FILE_PDF,
    FILE_JSONL,
    FILE_ARCHIVE,     /* by archive_sniff */
    FILE_ZIP,         /* an office document or an archive: package_kind_of says which */
    FILE_UNSUPPORTED, /* a document or data of a kind that isn't read: `type` says which */
    FILE_BINARY,      /* an image, a program ... */
};

enum { FILE_SNIFF = 4096 }; /* bytes at the beginning that file_kind_of can use */

/*
 * What a file is, by its first bytes and then by the suffix of its name. *type is a word for people
 * ("pdf"), *data says that the file is text but no prose (a style sheet, a table, source for
 * machines).
 */
enum file_kind file_kind_of(const char *name, const void *head, size_t len, const char **type,
                            bool *data);

/* *encoding: the name of an encoding other than UTF-8 that was guessed, else NULL. */
int extract_plain(struct prose_text *t, const char *p, size_t len, const char **encoding,
                  struct err *err);
int extract_html(struct prose_text *t, const char *p, size_t len, const char **encoding,
                 struct err *err);

/*
 * Through the program pdftotext, if it's there; at most `limit` bytes. A PDF says where letters
 * stand, not what is a heading or a table: there is only running text.
 */
int extract_pdf(struct prose_text *t, const char *p, size_t len, size_t limit, struct err *err);

/* Of a package's parts, or for ODF a flat XML file. Deleted and hidden text, comments, running
 * titles, indexes and what a slide repeats from its master are left out. */
int extract_docx(struct prose_text *t, const struct package *package, struct err *err);
int extract_pptx(struct prose_text *t, const struct package *package, struct err *err);
int extract_odf(struct prose_text *t, const struct package *package, struct err *err);
int extract_flat_odf(struct prose_text *t, const char *p, size_t len, struct err *err);

#endif
