/*
 * prose_table: a table on its way from cells to rows of "| cell | cell |".
 */
#ifndef TEXT_PROSE_TABLE_H
#define TEXT_PROSE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "text/prose_text.h"

struct prose_cell {
    struct prose_text text;
    size_t column; /* where it begins; known when the table ends */
    size_t columns, rows;
    bool complex; /* has headings, tables or listings */
};

struct prose_table {
    struct prose_cell *cells;
    size_t n_cells, cells_cap;
    size_t *rows; /* index of the first cell of each row */
    size_t n_rows, rows_cap;
    struct prose_table *outer; /* for who keeps a stack of them */
};

struct prose_table *prose_table_new(void);
void prose_table_free(struct prose_table *t);
void prose_table_add_row(struct prose_table *t); /* nothing if the last row is still empty */
/* A cell of one column and row, valid until the next is added; in a first row if there is none. */
struct prose_cell *prose_table_add_cell(struct prose_table *t);

/*
 * Appends the rows to out, without columns and rows that are empty throughout and without a last
 * newline. Returns false, having added nothing, for what is no table but layout: fewer than two
 * columns with text, or a cell that is complex or long.
 */
bool prose_table_write(struct prose_table *t, struct buf *out);

#endif
