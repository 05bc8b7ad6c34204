/*
 * document_lines: a document that was found as the lines of JSON that are written of it: whole, in
 * parts, or as pairs of a heading and its text.
 */
#ifndef TEXT_DOCUMENT_LINES_H
#define TEXT_DOCUMENT_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/chunks.h"
#include "text/harvest.h"

struct lines_options {
    bool pairs, parents; /* prompt and completion for each section; the prompt with those above */
    size_t chunk;        /* at most so many characters in a part; 0: whole documents */
};

struct document_lines {
    struct lines_options options;
    /* A line with its newline, and the bytes of text in it. */
    int (*line)(void *arg, const struct buf *line, size_t text_bytes, struct err *err);
    void *arg;
    struct buf buf, numbered;
    struct chunks chunks;
};

void document_lines_init(struct document_lines *w, const struct lines_options *options,
                         int (*line)(void *arg, const struct buf *line, size_t text_bytes,
                                     struct err *err),
                         void *arg);
void document_lines_release(struct document_lines *w);

/*
 * Writes a document. One that was JSON before passes through, unless it has text, which is
 * Markdown, that is to be cut. Returns how many lines, or -1.
 */
ssize_t document_lines_write(struct document_lines *w, const struct harvest_document *document,
                             struct err *err);

#endif
