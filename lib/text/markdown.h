/*
 * markdown: where the headings of a Markdown text are.
 */
#ifndef TEXT_MARKDOWN_H
#define TEXT_MARKDOWN_H

#include "text/prose_text.h"

/*
 * Fills t->headings from t->text: '#' lines and underlined ones as CommonMark 0.31.2 (sections 4.2
 * and 4.3) has them, but outside fenced code and the front matter that some tools put first.
 * Headings inside quotes and lists aren't looked for.
 */
void markdown_find_headings(struct prose_text *t);

#endif
