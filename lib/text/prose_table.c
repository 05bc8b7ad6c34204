#include "text/prose_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    MAX_COLUMNS = 256,
    LONG_CELL = 1000, /* bytes: a table with such a cell is layout */
    MAX_EMPTY = 16,   /* as is one with so many times more places than cells, and 1000 */
};

struct prose_table *prose_table_new(void)
{
    return xcalloc(1, sizeof(struct prose_table));
}

void prose_table_free(struct prose_table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        prose_text_release(&t->cells[i].text);
    free(t->cells);
    free(t->rows);
    free(t);
}

void prose_table_add_row(struct prose_table *t)
{
    if (t->n_rows && t->rows[t->n_rows - 1] == t->n_cells)
        return;
    ARRAY_GROW(t->rows, t->n_rows, t->rows_cap);
    t->rows[t->n_rows++] = t->n_cells;
}

struct prose_cell *prose_table_add_cell(struct prose_table *t)
{
    if (!t->n_rows)
        prose_table_add_row(t);
    ARRAY_GROW(t->cells, t->n_cells, t->cells_cap);
    struct prose_cell *c = &t->cells[t->n_cells++];
    *c = (struct prose_cell){.columns = 1, .rows = 1};
    prose_text_init(&c->text);
    return c;
}

static size_t bounded(size_t n, size_t most)
{
    return n < 1 ? 1 : n > most ? most : n;
}

static size_t row_end(const struct prose_table *t, size_t row)
{
    return row + 1 < t->n_rows ? t->rows[row + 1] : t->n_cells;
}

/* Gives each cell its column: behind the one before and behind what reaches down from above. False
 * if the table is wider than MAX_COLUMNS. */
static bool place_cells(struct prose_table *t)
{
    uint16_t covered[MAX_COLUMNS] = {0}; /* rows that a cell above still covers */
    for (size_t row = 0; row < t->n_rows; row++) {
        size_t column = 0, end = row_end(t, row);
        for (size_t i = t->rows[row]; i < end; i++) {
            struct prose_cell *c = &t->cells[i];
            while (column < MAX_COLUMNS && covered[column])
                column++;
            size_t columns = bounded(c->columns, MAX_COLUMNS);
            if (columns > MAX_COLUMNS - column)
                return false;
            c->column = column;
            for (; column < c->column + columns; column++)
                covered[column] = (uint16_t)bounded(c->rows, UINT16_MAX);
        }
        for (column = 0; column < MAX_COLUMNS; column++)
            covered[column] -= covered[column] > 0;
    }
    return true;
}

/* Marks the columns that have text and returns how many there are. */
static size_t used_columns(const struct prose_table *t, bool used[MAX_COLUMNS])
{
    size_t n = 0;
    memset(used, 0, MAX_COLUMNS);
    for (size_t i = 0; i < t->n_cells; i++) {
        const struct prose_cell *c = &t->cells[i];
        if (c->text.text.len && !used[c->column]) {
            used[c->column] = true;
            n++;
        }
    }
    return n;
}

/* A cell on one line; what would end it is escaped. */
static void add_cell(struct buf *b, const struct buf *text)
{
    bool space = false;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->p[i];
        if (c == '\n' || c == ' ') {
            space = true;
            continue;
        }
        if (space)
            buf_addch(b, ' ');
        space = false;
        if (c == '|')
            buf_addch(b, '\\');
        buf_addch(b, c);
    }
}

static bool add_row(struct buf *b, const struct prose_table *t, size_t row,
                    const bool used[MAX_COLUMNS])
{
    size_t end = row_end(t, row), i = t->rows[row], start = b->len;
    bool any = false;
    for (size_t column = 0; column < MAX_COLUMNS; column++) {
        while (i < end && t->cells[i].column < column)
            i++;
        if (!used[column])
            continue;
        buf_addstr(b, "| ");
        if (i < end && t->cells[i].column == column && t->cells[i].text.text.len) {
            add_cell(b, &t->cells[i].text.text);
            buf_addch(b, ' ');
            any = true;
        }
    }
    buf_addch(b, '|');
    if (!any) {
        b->len = start;
        b->p[start] = 0;
    }
    return any;
}

static bool is_layout(const struct prose_table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        if (t->cells[i].complex || t->cells[i].text.text.len > LONG_CELL)
            return true;
    return false;
}

bool prose_table_write(struct prose_table *t, struct buf *out)
{
    bool used[MAX_COLUMNS], header = true;
    size_t n_columns = !is_layout(t) && place_cells(t) ? used_columns(t, used) : 0,
           start = out->len;
    if (n_columns < 2 || n_columns * t->n_rows / MAX_EMPTY > t->n_cells + 1000 / MAX_EMPTY)
        return false;
    for (size_t row = 0; row < t->n_rows; row++) {
        size_t before = out->len;
        if (before > start)
            buf_addch(out, '\n');
        if (!add_row(out, t, row, used)) {
            out->len = before;
            out->p[before] = 0;
            continue;
        }
        if (header) {
            buf_addstr(out, "\n|");
            for (size_t i = 0; i < n_columns; i++)
                buf_addstr(out, " --- |");
            header = false;
        }
    }
    return true;
}
