/*
 * blocks: the blocks of a text in the manner of Markdown: what blank lines and headings separate.
 */
#ifndef TEXT_BLOCKS_H
#define TEXT_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "text/prose_text.h"

enum block_type {
    BLOCK_HEADING,
    BLOCK_PARAGRAPH,
    BLOCK_LIST,  /* an item, or what lies in one */
    BLOCK_TABLE, /* "| a | b |" rows */
    BLOCK_CODE,  /* from one fence to the other, blank lines and all */
};

struct block {
    enum block_type type;
    size_t start, end; /* in the text; without the newline at the end */
    int level;         /* of a heading */
};

/* Where blocks are read from; all zeros at first. */
struct block_cursor {
    size_t at, heading;
};

/* The next block from the cursor on; false at the end. */
bool block_next(const struct prose_text *t, struct block_cursor *cursor, struct block *block);

#endif
