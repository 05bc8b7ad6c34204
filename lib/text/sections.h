/*
 * sections: a document as pairs of a heading and the text under it.
 */
#ifndef TEXT_SECTIONS_H
#define TEXT_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "text/prose_text.h"

struct section {
    struct buf prompt; /* the heading, or with the headings above it: "Manual > Safety > Gloves" */
    const char *completion; /* in the text, without blank lines around */
    size_t completion_len;
};

/*
 * Finds the section of the next heading, from index *at on, that has a title and text of its own up
 * to the heading after it. Returns false when there is none. *at is raised; prompt is reused.
 */
bool section_next(const struct prose_text *t, size_t *at, bool with_parents,
                  struct section *section);

#endif
