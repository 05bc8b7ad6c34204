/*
 * extract: the text of one document file, with its headings, lists and tables kept as in prose.h.
 */
#ifndef TEXT_EXTRACT_H
#define TEXT_EXTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/encoding.h"
#include "text/package.h"
#include "text/prose.h"

enum file_kind {
    FILE_PLAIN,    /* text, kept as it is; also the source of programs */
    FILE_MARKDOWN, /* the same, with headings */
    FILE_HTML,
    FILE_FLAT_ODT, /* also .fodp */
    FILE_FLAT_ODS,
    FILE_RTF,
    FILE_PDF,
    FILE_JSONL,
    FILE_MAIL,        /* a message */
    FILE_MBOX,        /* many */
    FILE_ARCHIVE,     /* by archive_sniff */
    FILE_ZIP,         /* an office document or an archive: package_kind_of says which */
    FILE_UNSUPPORTED, /* a document or data of a kind that isn't read: `type` says which */
    FILE_BINARY,      /* an image, a program ... */
};

enum { FILE_SNIFF = 4096 }; /* bytes at the beginning that file_kind_of can use */

struct file_type {
    enum file_kind kind;
    const char *name; /* a word for people: "pdf" */
    bool is_data;     /* text but no prose: a style sheet, a table, what programs write */
    const char *hint; /* what to do with such data instead; NULL: nothing special */
};

/* What a file is, by its first bytes and then by the suffix of its name. */
struct file_type file_type_of(const char *name, const void *head, size_t len);

/* `otherwise` is what encoding_decode takes for it where nothing is declared, else NULL. */
void extract_plain(struct prose_text *t, const char *p, size_t len, const char *otherwise,
                   struct encoding *how);

struct html_source {
    const char *charset;   /* declared outside of the page; NULL or "": it isn't */
    const char *otherwise; /* as for extract_plain */
    bool no_title;         /* its title is no heading, even where there is none of level 1 */
};
int extract_html(struct prose_text *t, const char *p, size_t len, const struct html_source *source,
                 struct encoding *how, struct err *err);

/*
 * Through the program pdftotext, if it's there; at most `limit` bytes. A PDF says where letters
 * stand, not what is a heading or a table: there is only running text.
 */
int extract_pdf(struct prose_text *t, const char *p, size_t len, size_t limit, struct err *err);

/* What Word writes as text: paragraphs, headings, lists, tables, notes; what looks like nothing it
 * knows is passed over. */
int extract_rtf(struct prose_text *t, const char *p, size_t len, struct err *err);

/* Of a package's parts, or for ODF a flat XML file. Deleted and hidden text, comments, running
 * titles, indexes and what a slide repeats from its master are left out. */
int extract_docx(struct prose_text *t, const struct package *package, struct err *err);
int extract_pptx(struct prose_text *t, const struct package *package, struct err *err);
int extract_odf(struct prose_text *t, const struct package *package, struct err *err);
int extract_flat_odf(struct prose_text *t, const char *p, size_t len, struct err *err);

/* Each sheet that isn't hidden is a heading of level 1 and its tables, as sheet_write makes them;
 * cells are what they show, of formulas the result. At most `limit` bytes of cells in a sheet. */
int extract_xlsx(struct prose_text *t, const struct package *package, size_t limit,
                 struct err *err);
int extract_ods(struct prose_text *t, const struct package *package, size_t limit, struct err *err);
int extract_flat_ods(struct prose_text *t, const char *p, size_t len, size_t limit,
                     struct err *err);

/* The pages in the order of the book's spine, below its title if none has a heading of level 1.
 * `otherwise` and `how` are as for encoding_decode. */
int extract_epub(struct prose_text *t, const struct package *package, const char *otherwise,
                 struct encoding *how, struct err *err);

#endif
