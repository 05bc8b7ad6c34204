#include "text/markdown.h"

#include <stdbool.h>
#include <string.h>

struct line {
    const char *p;
    size_t len; /* without the newline and the white space at its end */
    size_t indent;
};

static struct line line_at(const struct buf *text, size_t start, size_t *next)
{
    const char *p = text->p + start, *newline = memchr(p, '\n', text->len - start);
    size_t len = newline ? (size_t)(newline - p) : text->len - start;
    *next = start + len + (newline != NULL);
    while (len && (p[len - 1] == ' ' || p[len - 1] == '\t' || p[len - 1] == '\r'))
        len--;
    struct line line = {p, len, 0};
    while (line.indent < len && p[line.indent] == ' ')
        line.indent++;
    return line;
}

static size_t run_of(const struct line *line, size_t from, char c)
{
    size_t n = 0;
    while (from + n < line->len && line->p[from + n] == c)
        n++;
    return n;
}

/* "## Title ##" */
static bool hash_heading(const struct line *line, size_t start, struct prose_heading *h)
{
    size_t level = run_of(line, line->indent, '#'), title = line->indent + level, end = line->len;
    if (line->indent > 3 || level < 1 || level > 6)
        return false;
    if (title < end && line->p[title] != ' ' && line->p[title] != '\t')
        return false;
    while (title < end && (line->p[title] == ' ' || line->p[title] == '\t'))
        title++;
    size_t closing = end;
    while (closing > title && line->p[closing - 1] == '#')
        closing--;
    if (closing == title)
        end = title;
    else if (closing < end && line->p[closing - 1] == ' ')
        end = closing;
    while (end > title && line->p[end - 1] == ' ')
        end--;
    *h = (struct prose_heading){start, start + title, start + end, start + line->len, (int)level};
    return true;
}

/* Whether a line can be the text above an underline: a paragraph's, not a list's, quote's or
 * table's. */
static bool is_paragraph(const struct line *line)
{
    if (line->len == 0 || line->indent > 3)
        return false;
    char c = line->p[line->indent];
    if (strchr("#>|<", c))
        return false;
    if (strchr("-*+", c))
        return line->indent + 1 < line->len && line->p[line->indent + 1] != ' ' &&
               run_of(line, line->indent, c) + line->indent < line->len;
    size_t digits = line->indent;
    while (digits < line->len && line->p[digits] >= '0' && line->p[digits] <= '9')
        digits++;
    return !(digits > line->indent && digits + 1 < line->len && strchr(".)", line->p[digits]) &&
             line->p[digits + 1] == ' ');
}

/* 1 or 2 if the line underlines a heading, else 0. */
static int underline_level(const struct line *line)
{
    if (line->indent > 3 || line->indent == line->len)
        return 0;
    char c = line->p[line->indent];
    if ((c != '=' && c != '-') || run_of(line, line->indent, c) + line->indent != line->len)
        return 0;
    return c == '=' ? 1 : 2;
}

/* Length of the fence that the line begins with, and its character; 0 if none. */
static size_t fence_of(const struct line *line, char *c)
{
    if (line->indent > 3 || line->indent == line->len)
        return 0;
    *c = line->p[line->indent];
    size_t n = *c == '`' || *c == '~' ? run_of(line, line->indent, *c) : 0;
    return n >= 3 ? n : 0;
}

/* Where the text begins behind a front matter between "---" lines; 0 if there is none. */
static size_t behind_front_matter(const struct buf *text)
{
    size_t next;
    struct line line = line_at(text, 0, &next);
    if (line.len != 3 || memcmp(line.p, "---", 3) != 0)
        return 0;
    while (next < text->len) {
        line = line_at(text, next, &next);
        if (line.len == 3 && (!memcmp(line.p, "---", 3) || !memcmp(line.p, "...", 3)))
            return next;
    }
    return 0;
}

void markdown_find_headings(struct prose_text *t)
{
    size_t at = behind_front_matter(&t->text), next, above = 0;
    size_t fence = 0; /* of the code block that we are in */
    char fence_char = 0, c = 0;
    bool has_above = false; /* the line before, at `above`, is a whole paragraph */
    bool in_paragraph = false;
    struct line upper = {0};
    t->n_headings = 0;
    for (; at < t->text.len; at = next) {
        struct line line = line_at(&t->text, at, &next);
        struct prose_heading h;
        size_t n = fence_of(&line, &c);
        int level;
        bool alone = !in_paragraph;
        if (fence) {
            if (n >= fence && c == fence_char && line.indent + n == line.len)
                fence = 0;
            in_paragraph = has_above = false;
            continue;
        }
        if (n) {
            fence = n;
            fence_char = c;
            in_paragraph = has_above = false;
            continue;
        }
        if (hash_heading(&line, at, &h)) {
            prose_text_add_heading(t, h);
            in_paragraph = has_above = false;
            continue;
        }
        if (has_above && (level = underline_level(&line))) {
            prose_text_add_heading(t,
                                   (struct prose_heading){above, above + upper.indent,
                                                          above + upper.len, at + line.len, level});
            in_paragraph = has_above = false;
            continue;
        }
        in_paragraph = line.len != 0;
        has_above = alone && is_paragraph(&line);
        above = at;
        upper = line;
    }
}
