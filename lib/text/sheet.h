/*
 * sheet: the cells of a spreadsheet's page on their way to tables.
 *
 * Kept small, since such pages have millions: a cell is 24 bytes and its text.
 */
#ifndef TEXT_SHEET_H
#define TEXT_SHEET_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/prose_text.h"

struct sheet_cell {
    uint32_t row, column;
    size_t at, len; /* in the sheet's text */
};

struct sheet {
    struct buf text;
    struct sheet_cell *cells;
    size_t n, cap;
    size_t limit; /* bytes that cells and text may take together */
};

void sheet_init(struct sheet *s, size_t limit);
void sheet_release(struct sheet *s);
void sheet_clear(struct sheet *s);

/* Cells may come in any order; of two in one place the first counts. Blank ones are passed over. */
int sheet_add(struct sheet *s, uint32_t row, uint32_t column, const char *p, size_t len,
              struct err *err);

/*
 * Appends the cells to t. Rows with an empty one between them are different blocks: a block is a
 * table of "| cell | cell |" rows without the columns that are empty in it, or lines if it has one
 * column only. A block with far more places than cells is no table: its rows are the cells they
 * have, joined by " | ".
 */
void sheet_write(struct sheet *s, struct prose_text *t);

#endif
