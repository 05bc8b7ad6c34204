#include "text/prose.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/prose_table.h"

enum {
    MAX_FRAMES = 32, /* cells, asides and notes inside each other; deeper ones are not set apart */
    MAX_INDENT = 40, /* columns */
    MAX_LIST = 16,   /* depth of a list */
};

enum block_kind { NO_BLOCK, PARAGRAPH, HEADING, ITEM, PREFORMATTED, TABLE };

/* What text is written to: the document, or a cell, an aside or a note. */
struct frame {
    struct prose_text own;
    struct prose_text aside; /* comes after the current block */
    struct buf block;
    enum block_kind kind; /* of the current block */
    enum block_kind last; /* of the one before */
    int level;
    bool space; /* white space waits to be written before the next word */
    bool pre;
    bool complex; /* has headings, tables or preformatted text */
    int depth;
    char marker[16]; /* not yet written */
    unsigned char width[MAX_LIST + 1];
    char list[MAX_LIST + 1];   /* what the last item of each depth had: '-', '1', or 0 for none */
    struct prose_table *table; /* the innermost */
    char *label;               /* of a note */
};

struct prose {
    struct prose_text *document;
    struct prose_text notes;
    struct frame *frames;
    size_t n_frames, frames_cap;
    struct buf open; /* T C A N: tables, cells, asides, notes that are open; small: only counted */
};

static struct frame *top(struct prose *w)
{
    return &w->frames[w->n_frames - 1];
}

static struct prose_text *top_text(struct prose *w)
{
    return w->n_frames == 1 ? w->document : &top(w)->own;
}

static void push_frame(struct prose *w)
{
    ARRAY_GROW(w->frames, w->n_frames, w->frames_cap);
    struct frame *f = &w->frames[w->n_frames++];
    *f = (struct frame){.block = BUF_INIT, .kind = PARAGRAPH};
    prose_text_init(&f->own);
    prose_text_init(&f->aside);
    memset(f->width, 2, sizeof f->width);
}

static void pop_frame(struct prose *w)
{
    struct frame *f = &w->frames[--w->n_frames];
    while (f->table) {
        struct prose_table *outer = f->table->outer;
        prose_table_free(f->table);
        f->table = outer;
    }
    prose_text_release(&f->own);
    prose_text_release(&f->aside);
    buf_release(&f->block);
    free(f->label);
}

struct prose *prose_new(struct prose_text *t)
{
    struct prose *w = xcalloc(1, sizeof *w);
    w->document = t;
    prose_text_init(&w->notes);
    buf_init(&w->open);
    push_frame(w);
    return w;
}

void prose_free(struct prose *w)
{
    if (!w)
        return;
    while (w->n_frames)
        pop_frame(w);
    prose_text_release(&w->notes);
    buf_release(&w->open);
    free(w->frames);
    free(w);
}

static void add_spaces(struct buf *b, size_t n)
{
    while (n--)
        buf_addch(b, ' ');
}

static size_t indent_of(const struct frame *f, int depth)
{
    size_t n = 0;
    for (int i = 1; i <= depth && i <= MAX_LIST; i++)
        n += f->width[i];
    return n < MAX_INDENT ? n : MAX_INDENT;
}

/* Whether an item goes on with the list before it; remembers the kinds of the lists. */
static bool continues_list(struct frame *f)
{
    char kind = *f->marker == '-' ? '-' : '1', before = f->list[f->depth];
    f->list[f->depth] = kind;
    for (int i = f->depth + 1; i <= MAX_LIST; i++)
        f->list[i] = 0;
    return f->last == ITEM && (!before || before == kind);
}

/* Separates a new block from those before it and writes its indentation and marker; returns the
 * indentation of its other lines. */
static size_t begin_block(struct prose *w, enum block_kind kind)
{
    struct frame *f = top(w);
    struct buf *out = &top_text(w)->text;
    bool tight = kind == ITEM && *f->marker && continues_list(f);
    if (out->len)
        buf_addstr(out, tight ? "\n" : "\n\n");
    if (!f->depth)
        memset(f->list, 0, sizeof f->list);
    f->last = kind == PARAGRAPH && f->depth ? ITEM : kind;
    f->complex |= kind == HEADING || kind == PREFORMATTED || kind == TABLE;
    if (kind == HEADING)
        return 0;
    size_t indent = indent_of(f, f->depth - (*f->marker != 0));
    add_spaces(out, indent);
    if (!*f->marker)
        return indent;
    f->width[f->depth] = (unsigned char)(strlen(f->marker) + 1);
    buf_addstr(out, f->marker);
    buf_addch(out, ' ');
    *f->marker = 0;
    return indent_of(f, f->depth);
}

static void add_heading(struct prose *w, const char *text, size_t len, int level)
{
    begin_block(w, HEADING);
    struct prose_text *t = top_text(w);
    struct prose_heading h = {.start = t->text.len, .level = level};
    for (int i = 0; i < level; i++)
        buf_addch(&t->text, '#');
    buf_addch(&t->text, ' ');
    h.title = t->text.len;
    for (size_t i = 0; i < len; i++)
        buf_addch(&t->text, text[i] == '\n' ? ' ' : text[i]);
    h.title_end = h.end = t->text.len;
    prose_text_add_heading(t, h);
}

/* Fences are longer than any run of backquotes inside. */
static void add_preformatted(struct prose *w, const char *text, size_t len)
{
    size_t run = 0, fence = 3;
    for (size_t i = 0; i < len; i++) {
        run = text[i] == '`' ? run + 1 : 0;
        if (run >= fence)
            fence = run + 1;
    }
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < fence; i++)
        buf_addch(&b, '`');
    buf_addch(&b, '\n');
    buf_add(&b, text, len);
    buf_addch(&b, '\n');
    for (size_t i = 0; i < fence; i++)
        buf_addch(&b, '`');
    size_t indent = begin_block(w, PREFORMATTED);
    prose_add_lines(&top_text(w)->text, b.p, b.len, indent);
    buf_release(&b);
}

/* Adds the blocks of another text. Where it has headings it isn't indented: it ends the list. */
static void add_text(struct prose *w, const struct prose_text *from)
{
    if (!from->text.len)
        return;
    struct frame *f = top(w);
    size_t indent = begin_block(w, from->n_headings ? HEADING : f->depth ? ITEM : PARAGRAPH);
    if (from->n_headings)
        prose_text_append(top_text(w), from);
    else
        prose_add_lines(&top_text(w)->text, from->text.p, from->text.len, indent);
}

static void end_preformatted(struct prose *w)
{
    struct frame *f = top(w);
    const char *text = f->block.p;
    size_t len = f->block.len;
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    while (len && *text == '\n') {
        text++;
        len--;
    }
    if (len)
        add_preformatted(w, text, len);
    buf_clear(&f->block);
}

void prose_end(struct prose *w)
{
    struct frame *f = top(w);
    if (f->pre) {
        end_preformatted(w);
    } else {
        const char *text = f->block.p;
        size_t len = f->block.len;
        prose_trim(&text, &len);
        if (len && f->kind == HEADING) {
            add_heading(w, text, len, f->level);
        } else if (len) {
            size_t indent = begin_block(w, *f->marker ? ITEM : PARAGRAPH);
            prose_add_lines(&top_text(w)->text, text, len, indent);
        }
        buf_clear(&f->block);
    }
    f->kind = PARAGRAPH;
    f->space = false;
    if (f->aside.text.len) {
        add_text(w, &f->aside);
        prose_text_clear(&f->aside);
    }
}

/* Bytes of a character that only steers line breaks: U+00AD, U+200B, U+FEFF. */
static size_t invisible_len(const char *p, size_t len)
{
    if (len >= 2 && !memcmp(p, "\xc2\xad", 2))
        return 2;
    if (len >= 3 && (!memcmp(p, "\xe2\x80\x8b", 3) || !memcmp(p, "\xef\xbb\xbf", 3)))
        return 3;
    return 0;
}

void prose_add(struct prose *w, const char *p, size_t len)
{
    struct frame *f = top(w);
    while (len) {
        size_t n = invisible_len(p, len);
        if (n) {
            p += n;
            len -= n;
            continue;
        }
        bool blank = *p == ' ' || (*p >= '\t' && *p <= '\r');
        if (blank && !f->pre) {
            f->space = true;
            p++;
            len--;
            continue;
        }
        for (n = 1; n < len && (f->pre || !(p[n] == ' ' || (p[n] >= '\t' && p[n] <= '\r'))); n++)
            if (invisible_len(p + n, len - n))
                break;
        if (f->space && f->block.len && f->block.p[f->block.len - 1] != '\n')
            buf_addch(&f->block, ' ');
        f->space = false;
        buf_add(&f->block, p, n);
        p += n;
        len -= n;
    }
}

void prose_break(struct prose *w)
{
    struct frame *f = top(w);
    size_t len = f->block.len;
    if (f->pre || (len && !(len >= 2 && !memcmp(f->block.p + len - 2, "\n\n", 2))))
        buf_addch(&f->block, '\n');
    f->space = false;
}

bool prose_block_is_empty(const struct prose *w)
{
    return w->frames[w->n_frames - 1].block.len == 0;
}

void prose_append(struct prose *w, const struct prose_text *t)
{
    prose_end(w);
    struct prose_text text = *t;
    while (text.text.len && text.text.p[text.text.len - 1] == '\n')
        text.text.len--;
    add_text(w, &text);
}

void prose_heading(struct prose *w, int level)
{
    prose_end(w);
    struct frame *f = top(w);
    f->kind = HEADING;
    *f->marker = 0;
    f->level = level < 1 ? 1 : level > 6 ? 6 : level;
}

void prose_item(struct prose *w, int depth, const char *marker)
{
    prose_end(w);
    struct frame *f = top(w);
    f->depth = depth < 1 ? 1 : depth > MAX_LIST ? MAX_LIST : depth;
    size_t len = strlen(marker);
    if (len >= sizeof f->marker)
        len = sizeof f->marker - 1;
    memcpy(f->marker, marker, len);
    f->marker[len] = 0;
}

void prose_indent(struct prose *w, int depth)
{
    prose_end(w);
    struct frame *f = top(w);
    f->depth = depth < 0 ? 0 : depth > MAX_LIST ? MAX_LIST : depth;
    *f->marker = 0;
}

void prose_preformatted(struct prose *w, bool on)
{
    prose_end(w);
    top(w)->pre = on;
}

/* Whether what is open innermost is of that kind; if so it's closed, and *counted_only says if it
 * was only counted. */
static bool close_open(struct prose *w, char kind, bool *counted_only)
{
    if (!w->open.len)
        return false;
    char c = w->open.p[w->open.len - 1];
    *counted_only = c == (kind | 0x20);
    if (c != kind && !*counted_only)
        return false;
    w->open.len--;
    return true;
}

static bool is_open(const struct prose *w, char kind)
{
    return w->open.len && w->open.p[w->open.len - 1] == kind;
}

void prose_table(struct prose *w)
{
    prose_end(w);
    if (w->n_frames >= MAX_FRAMES) {
        buf_addch(&w->open, 't');
        return;
    }
    struct frame *f = top(w);
    struct prose_table *t = prose_table_new();
    t->outer = f->table;
    f->table = t;
    buf_addch(&w->open, 'T');
}

void prose_row(struct prose *w)
{
    prose_end(w);
    if (is_open(w, 'T'))
        prose_table_add_row(top(w)->table);
}

void prose_cell(struct prose *w)
{
    prose_end(w);
    if (!is_open(w, 'T') || w->n_frames >= MAX_FRAMES) {
        buf_addch(&w->open, 'c');
        return;
    }
    prose_table_add_cell(top(w)->table);
    buf_addch(&w->open, 'C');
    push_frame(w);
}

static struct prose_cell *last_cell(struct prose_table *t)
{
    return &t->cells[t->n_cells - 1];
}

void prose_span(struct prose *w, size_t columns, size_t rows)
{
    if (!is_open(w, 'C'))
        return;
    struct prose_cell *c = last_cell(w->frames[w->n_frames - 2].table);
    c->columns = columns;
    c->rows = rows;
}

void prose_cell_end(struct prose *w)
{
    bool counted_only;
    prose_end(w);
    if (!close_open(w, 'C', &counted_only) || counted_only)
        return;
    struct prose_text text = top(w)->own;
    bool complex = top(w)->complex;
    prose_text_init(&top(w)->own);
    pop_frame(w);
    struct prose_cell *c = last_cell(top(w)->table);
    c->text = text;
    c->complex = complex;
}

void prose_table_end(struct prose *w)
{
    bool counted_only;
    struct buf rows = BUF_INIT;
    prose_end(w);
    if (!close_open(w, 'T', &counted_only) || counted_only)
        return;
    struct prose_table *t = top(w)->table;
    top(w)->table = t->outer;
    if (prose_table_write(t, &rows)) {
        size_t indent = begin_block(w, TABLE);
        prose_add_lines(&top_text(w)->text, rows.p, rows.len, indent);
    } else {
        for (size_t i = 0; i < t->n_cells; i++)
            add_text(w, &t->cells[i].text);
    }
    prose_table_free(t);
    buf_release(&rows);
}

/* Opens a frame for text that doesn't belong to the current block. */
static void set_aside(struct prose *w, char kind)
{
    if (w->n_frames >= MAX_FRAMES) {
        buf_addch(&w->open, (char)(kind | 0x20));
        return;
    }
    buf_addch(&w->open, kind);
    push_frame(w);
}

void prose_aside(struct prose *w)
{
    set_aside(w, 'A');
}

void prose_aside_end(struct prose *w)
{
    bool counted_only;
    if (!is_open(w, 'A') && !is_open(w, 'a'))
        return;
    close_open(w, 'A', &counted_only);
    if (counted_only)
        return;
    prose_end(w);
    struct prose_text text = top(w)->own;
    prose_text_init(&top(w)->own);
    pop_frame(w);
    struct prose_text *aside = &top(w)->aside;
    if (aside->text.len)
        buf_addstr(&aside->text, "\n\n");
    prose_text_append(aside, &text);
    prose_text_release(&text);
}

void prose_note(struct prose *w, const char *label)
{
    struct frame *f = top(w);
    f->space = false;
    buf_addf(&f->block, "[^%s]", label);
    set_aside(w, 'N');
    if (is_open(w, 'N'))
        top(w)->label = xstrdup(label);
}

void prose_note_end(struct prose *w)
{
    bool counted_only;
    if (!is_open(w, 'N') && !is_open(w, 'n'))
        return;
    close_open(w, 'N', &counted_only);
    if (counted_only)
        return;
    prose_end(w);
    struct frame *f = top(w);
    struct buf *notes = &w->notes.text;
    if (f->own.text.len) {
        if (notes->len)
            buf_addstr(notes, "\n\n");
        buf_addf(notes, "[^%s]: ", f->label);
        prose_add_lines(notes, f->own.text.p, f->own.text.len, 4);
    }
    pop_frame(w);
}

void prose_finish(struct prose *w)
{
    for (;;) {
        prose_end(w);
        if (!w->open.len)
            break;
        switch (w->open.p[w->open.len - 1] & ~0x20) {
        case 'T':
            prose_table_end(w);
            break;
        case 'C':
            prose_cell_end(w);
            break;
        case 'A':
            prose_aside_end(w);
            break;
        default:
            prose_note_end(w);
        }
    }
    prose_indent(w, 0);
    add_text(w, &w->notes);
    if (w->document->text.len)
        buf_addch(&w->document->text, '\n');
}
