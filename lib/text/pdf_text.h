/*
 * pdf_text: running text out of the lines that stand on a PDF's pages.
 */
#ifndef TEXT_PDF_TEXT_H
#define TEXT_PDF_TEXT_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Appends the text of pages (as pdftotext gives them in reading order: lines, each page ended by a
 * form feed) to out. Lines that reach the usual width go on in the next one, a word divided at its
 * end is whole again, lines that return at the top or bottom of pages (running titles, page
 * numbers) and those of tables of contents are left out, and ligatures become letters.
 */
void pdf_text_flow(struct buf *out, const char *pages, size_t len);

#endif
