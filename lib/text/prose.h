/*
 * prose: the text of a document, built block by block.
 *
 * Blocks are separated by a blank line. Headings are lines that begin with '#' signs, list items
 * with "- " or "1. " (indented by what they lie in), preformatted text stands between fences,
 * tables are rows of "| cell | cell |". White space inside a block is collapsed as a browser does;
 * soft hyphens and zero-width spaces, which only steer line breaks, are left out.
 */
#ifndef TEXT_PROSE_H
#define TEXT_PROSE_H

#include <stdbool.h>
#include <stddef.h>

#include "text/prose_text.h"

struct prose;

/* Writes to the end of t, which must outlive it. Text that is finished ends in a newline. */
struct prose *prose_new(struct prose_text *t);
void prose_finish(struct prose *w); /* ends what is open */
void prose_free(struct prose *w);   /* NULL is allowed */

/* Inline. */
void prose_add(struct prose *w, const char *p, size_t len);
void prose_break(struct prose *w); /* a new line in the same block */
bool prose_block_is_empty(const struct prose *w);

/* Blocks. prose_end ends the current one, if any; the others call it first. */
void prose_end(struct prose *w);
void prose_append(struct prose *w, const struct prose_text *t); /* all the blocks of t */
void prose_heading(struct prose *w, int level); /* the text that follows is a heading */
/* The text that follows is an item in a list at the given depth (from 1). */
void prose_item(struct prose *w, int depth, const char *marker);
/* What follows lies in an item of that depth; 0: in none. */
void prose_indent(struct prose *w, int depth);
void prose_preformatted(struct prose *w, bool on); /* white space stays until it's off again */

/* Tables may be nested; calls must be balanced. */
void prose_table(struct prose *w);
void prose_row(struct prose *w);
void prose_cell(struct prose *w);
void prose_span(struct prose *w, size_t columns, size_t rows); /* of the cell just begun */
void prose_cell_end(struct prose *w);
void prose_table_end(struct prose *w);

/* What follows, until prose_aside_end, is set aside and comes after the current block. */
void prose_aside(struct prose *w);
void prose_aside_end(struct prose *w);

/* "[^label]" here, and its text, until prose_note_end, at the document's end. */
void prose_note(struct prose *w, const char *label);
void prose_note_end(struct prose *w);

#endif
