#include "text/sheet.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_EMPTY = 16 }; /* times more places than cells, and 1000, that a table may have */

void sheet_init(struct sheet *s, size_t limit)
{
    *s = (struct sheet){.text = BUF_INIT, .limit = limit};
}

void sheet_release(struct sheet *s)
{
    buf_release(&s->text);
    free(s->cells);
    sheet_init(s, s->limit);
}

void sheet_clear(struct sheet *s)
{
    buf_clear(&s->text);
    s->n = 0;
}

int sheet_add(struct sheet *s, uint32_t row, uint32_t column, const char *p, size_t len,
              struct err *err)
{
    prose_trim(&p, &len);
    if (!len)
        return 0;
    size_t used = s->n * sizeof *s->cells + s->text.len;
    if (used > s->limit || len + sizeof *s->cells > s->limit - used)
        return err_set(err, "more than %zu bytes of cells; --max-size allows more", s->limit);
    ARRAY_GROW(s->cells, s->n, s->cap);
    s->cells[s->n++] = (struct sheet_cell){row, column, s->text.len, len};
    buf_add(&s->text, p, len);
    return 0;
}

static int compare_cells(const void *pa, const void *pb)
{
    const struct sheet_cell *a = pa, *b = pb;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static void put_in_order(struct sheet *s)
{
    bool sorted = true;
    for (size_t i = 1; i < s->n && sorted; i++)
        sorted = compare_cells(&s->cells[i - 1], &s->cells[i]) < 0;
    if (!sorted)
        qsort(s->cells, s->n, sizeof *s->cells, compare_cells);
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (!kept || s->cells[kept - 1].row != s->cells[i].row ||
            s->cells[kept - 1].column != s->cells[i].column)
            s->cells[kept++] = s->cells[i];
    s->n = kept;
}

/* A cell on one line; in a table what would end it is escaped. */
static void add_cell(struct buf *out, const struct sheet *s, const struct sheet_cell *c, bool table)
{
    const char *p = s->text.p + c->at;
    bool space = false;
    for (size_t i = 0; i < c->len; i++) {
        if (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')) {
            space = true;
            continue;
        }
        if (space)
            buf_addch(out, ' ');
        space = false;
        if (p[i] == '|' && table)
            buf_addch(out, '\\');
        buf_addch(out, p[i]);
    }
}

static int compare_columns(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* The columns that cells[n] use, in order. The caller frees them. */
static uint32_t *used_columns(const struct sheet_cell *cells, size_t n, size_t *n_used)
{
    uint32_t *columns = xreallocarray(NULL, n, sizeof *columns);
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        columns[i] = cells[i].column;
    qsort(columns, n, sizeof *columns, compare_columns);
    for (size_t i = 0; i < n; i++)
        if (!used || columns[used - 1] != columns[i])
            columns[used++] = columns[i];
    *n_used = used;
    return columns;
}

static size_t row_end(const struct sheet_cell *cells, size_t start, size_t n)
{
    size_t end = start;
    while (end < n && cells[end].row == cells[start].row)
        end++;
    return end;
}

static void add_row(struct buf *out, const struct sheet *s, const struct sheet_cell *cells,
                    size_t n, const uint32_t *columns, size_t n_columns)
{
    size_t i = 0;
    for (size_t column = 0; column < n_columns; column++) {
        buf_addstr(out, "| ");
        if (i < n && cells[i].column == columns[column]) {
            add_cell(out, s, &cells[i++], true);
            buf_addch(out, ' ');
        }
    }
    buf_addstr(out, "|\n");
}

/* Rows that are no table: the cells that are there. */
static void add_line(struct buf *out, const struct sheet *s, const struct sheet_cell *cells,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addstr(out, " | ");
        add_cell(out, s, &cells[i], false);
    }
    buf_addch(out, '\n');
}

static void add_block(struct buf *out, const struct sheet *s, const struct sheet_cell *cells,
                      size_t n)
{
    size_t n_columns, n_rows = (size_t)cells[n - 1].row - cells[0].row + 1, places, end;
    uint32_t *columns = used_columns(cells, n, &n_columns);
    bool table = n_columns > 1 && size_mul(n_columns, n_rows, &places) &&
                 places / MAX_EMPTY <= n + 1000 / MAX_EMPTY;
    if (out->len)
        buf_addch(out, '\n');
    for (size_t i = 0; i < n; i = end) {
        end = row_end(cells, i, n);
        if (!table) {
            add_line(out, s, cells + i, end - i);
            continue;
        }
        add_row(out, s, cells + i, end - i, columns, n_columns);
        for (size_t c = 0; c < n_columns && i == 0; c++)
            buf_addstr(out, c + 1 < n_columns ? "| --- " : "| --- |\n");
    }
    free(columns);
}

void sheet_write(struct sheet *s, struct prose_text *t)
{
    put_in_order(s);
    for (size_t start = 0, end; start < s->n; start = end) {
        for (end = start + 1; end < s->n && s->cells[end].row <= s->cells[end - 1].row + 1;)
            end++;
        add_block(&t->text, s, s->cells + start, end - start);
    }
}
