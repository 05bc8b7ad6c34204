#include "text/pdf_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"

struct line {
    const char *p;
    size_t len;   /* without blanks at the ends; 0: a blank line */
    size_t width; /* in characters */
    size_t page;
    uint64_t furniture; /* hash of what it looks like but for numbers; 0: not near a page's edge */
    bool dropped;
};

struct lines {
    struct line *items;
    size_t n, cap, n_pages;
};

enum {
    EDGE = 2,      /* lines at the top and at the bottom of a page that may repeat */
    MIN_LINES = 5, /* fewer don't show how wide lines are */
};

static void add_line(struct lines *lines, const char *p, size_t len)
{
    while (len && (*p == ' ' || *p == '\t')) {
        p++;
        len--;
    }
    while (len && (p[len - 1] == ' ' || p[len - 1] == '\t' || p[len - 1] == '\r'))
        len--;
    ARRAY_GROW(lines->items, lines->n, lines->cap);
    lines->items[lines->n++] =
        (struct line){.p = p, .len = len, .width = utf8_count(p, len), .page = lines->n_pages};
}

static void split(struct lines *lines, const char *p, size_t len)
{
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '\n' && p[i] != '\f')
            continue;
        if (p[i] == '\n' || i > start)
            add_line(lines, p + start, i - start);
        lines->n_pages += p[i] == '\f';
        start = i + 1;
    }
    if (start < len) {
        add_line(lines, p + start, len - start);
        lines->n_pages++;
    }
}

/* "Page 12 of 30" and "Page 13 of 30" are the same; so are "xii" and "xiii". */
static uint64_t appearance(const struct line *line)
{
    struct buf b = BUF_INIT;
    bool roman = line->len <= 7;
    for (size_t i = 0; i < line->len; i++)
        roman &= strchr("ivxlcIVXLC", line->p[i]) != NULL;
    if (roman)
        buf_addch(&b, '#');
    for (size_t i = 0; i < line->len && !roman; i++) {
        bool digit = isdigit((unsigned char)line->p[i]);
        if (!digit)
            buf_addch(&b, line->p[i]);
        else if (!b.len || b.p[b.len - 1] != '#')
            buf_addch(&b, '#');
    }
    uint64_t hash = hash64(b.p, b.len, 0) | 1;
    buf_release(&b);
    return hash;
}

/* Marks the first and the last lines of the page that lies in [start, end). */
static void mark_edges(struct lines *lines, size_t start, size_t end)
{
    size_t n = 0;
    for (size_t i = start; i < end && n < EDGE; i++)
        if (lines->items[i].len) {
            lines->items[i].furniture = appearance(&lines->items[i]);
            n++;
        }
    n = 0;
    for (size_t i = end; i-- > start && n < EDGE;)
        if (lines->items[i].len) {
            lines->items[i].furniture = appearance(&lines->items[i]);
            n++;
        }
}

/* A line of a table of contents: dots that lead to a number. */
static bool has_leader(const struct line *line)
{
    size_t dots = 0;
    if (!line->len || !isdigit((unsigned char)line->p[line->len - 1]))
        return false;
    for (size_t i = 0; i < line->len && dots < 5; i++)
        if (line->p[i] != ' ')
            dots = line->p[i] == '.' ? dots + 1 : 0;
    return dots >= 5;
}

/* A line near an edge, as it looks, and its page. */
struct sighting {
    uint64_t furniture;
    size_t page;
    size_t n_pages; /* on which it's seen */
};

static int compare_sightings(const void *a, const void *b)
{
    const struct sighting *x = a, *y = b;
    if (x->furniture != y->furniture)
        return x->furniture < y->furniture ? -1 : 1;
    return x->page < y->page ? -1 : x->page > y->page;
}

static void count_pages(struct sighting *sorted, size_t n)
{
    for (size_t start = 0, end; start < n; start = end) {
        size_t pages = 1;
        for (end = start + 1; end < n && sorted[end].furniture == sorted[start].furniture; end++)
            pages += sorted[end].page != sorted[end - 1].page;
        for (size_t i = start; i < end; i++)
            sorted[i].n_pages = pages;
    }
}

static size_t pages_with(const struct sighting *sorted, size_t n, uint64_t furniture)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle].furniture < furniture)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n ? sorted[low].n_pages : 0;
}

/* Drops what comes back at the edges of three pages and of a tenth of them, and tables of contents.
 */
static void drop_furniture(struct lines *lines)
{
    size_t least = lines->n_pages / 10 < 3 ? 3 : lines->n_pages / 10, n = 0;
    struct sighting *seen = xcalloc(lines->n + 1, sizeof *seen);
    for (size_t start = 0, end; start < lines->n; start = end) {
        for (end = start; end < lines->n && lines->items[end].page == lines->items[start].page;)
            end++;
        mark_edges(lines, start, end);
    }
    for (size_t i = 0; i < lines->n; i++)
        if (lines->items[i].furniture)
            seen[n++] = (struct sighting){lines->items[i].furniture, lines->items[i].page, 0};
    qsort(seen, n, sizeof *seen, compare_sightings);
    count_pages(seen, n);
    for (size_t i = 0; i < lines->n; i++)
        if (lines->items[i].furniture)
            lines->items[i].dropped = pages_with(seen, n, lines->items[i].furniture) >= least;
    for (size_t i = 0; i < lines->n; i++)
        lines->items[i].dropped |= has_leader(&lines->items[i]);
    free(seen);
}

static int compare_widths(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* What nine in ten lines stay below; SIZE_MAX if there are too few. */
static size_t usual_width(const struct lines *lines)
{
    size_t n = 0, *widths = xcalloc(lines->n + 1, sizeof *widths), width = SIZE_MAX;
    for (size_t i = 0; i < lines->n; i++)
        if (lines->items[i].len && !lines->items[i].dropped)
            widths[n++] = lines->items[i].width;
    qsort(widths, n, sizeof *widths, compare_widths);
    if (n >= MIN_LINES)
        width = widths[n - 1 - n / 10];
    free(widths);
    return width;
}

/* U+FB00 to U+FB06 as letters; other characters as they are. */
static void add_letters(struct buf *out, const char *p, size_t len)
{
    static const char *const ligatures[] = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};
    for (size_t i = 0; i < len; i++) {
        if (len - i >= 3 && !memcmp(p + i, "\xef\xac", 2) && (unsigned char)p[i + 2] >= 0x80 &&
            (unsigned char)p[i + 2] <= 0x86) {
            buf_addstr(out, ligatures[(unsigned char)p[i + 2] - 0x80]);
            i += 2;
        } else {
            buf_addch(out, p[i]);
        }
    }
}

/* A lower-case letter of ASCII, or any other than ASCII. */
static bool is_inner_letter(char c)
{
    return islower((unsigned char)c) || (c & 0x80);
}

/* Joins a line to the one before it, which reached the usual width. */
static void join(struct buf *out, const struct line *line)
{
    bool soft = out->len >= 2 && !memcmp(out->p + out->len - 2, "\xc2\xad", 2);
    bool hard = out->len >= 2 && out->p[out->len - 1] == '-' &&
                is_inner_letter(out->p[out->len - 2]) && is_inner_letter(line->p[0]);
    if (soft || hard) {
        out->len -= soft ? 2 : 1;
        out->p[out->len] = 0;
    } else {
        buf_addch(out, ' ');
    }
}

void pdf_text_flow(struct buf *out, const char *pages, size_t len)
{
    struct lines lines = {0};
    const struct line *before = NULL;
    bool blank = false;
    split(&lines, pages, len);
    drop_furniture(&lines);
    size_t width = usual_width(&lines), start = out->len;
    for (size_t i = 0; i < lines.n; i++) {
        const struct line *line = &lines.items[i];
        if (line->dropped)
            continue;
        if (!line->len) {
            blank = true;
            continue;
        }
        /* What parts a page's last line from the next one's first is no paragraph's end. */
        bool full = before && before->width >= width - width / 5 && width != SIZE_MAX;
        if (full && (!blank || before->page != line->page))
            join(out, line);
        else if (out->len > start)
            buf_addstr(out, blank ? "\n\n" : "\n");
        add_letters(out, line->p, line->len);
        before = line;
        blank = false;
    }
    if (out->len > start)
        buf_addch(out, '\n');
    free(lines.items);
}
