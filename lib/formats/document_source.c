#include "formats/document_source.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "formats/document_table.h"
#include "formats/json_items.h"
#include "formats/member_walk.h"

#define MAX_LINE ((size_t)1 << 30)
enum { READ_BYTES = 64 * 1024 };

const char *const document_format_choices[] = {"auto", "json", "csv", "tsv", NULL};

bool document_format_is_text(enum document_format f)
{
    return f == DOCUMENT_LINES || f == DOCUMENT_FILE;
}

/* How the documents of one file stand in it. */
enum layout { LAYOUT_LINES, LAYOUT_ITEMS, LAYOUT_TABLE, LAYOUT_WHOLE };

struct document_source {
    enum document_format format;
    const struct document_fields *fields;
    struct input *in; /* what was handed over */

    struct member_walk *walk; /* NULL: it is no archive */
    uint64_t taken, passed_over;

    struct input *file; /* what documents are read from: in or a member; NULL: nothing is open */
    enum layout layout;
    struct document_table table;
    struct json_items items;
    bool whole_read;
    char **names; /* of all files, for places */
    size_t n_names, names_cap;
};

/* ---- what a file is ---- */

static bool ends_with(const char *name, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len > n && !strncasecmp(name + len - n, end, n);
}

/* Its format by its name, also of one that is compressed; DOCUMENT_AUTO for none. */
static enum document_format format_by_name(const char *name)
{
    static const char *const compressions[] = {".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma"};
    static const struct {
        const char *end;
        enum document_format format;
    } ends[] = {{".jsonl", DOCUMENT_JSON}, {".ndjson", DOCUMENT_JSON}, {".json", DOCUMENT_JSON},
                {".csv", DOCUMENT_CSV},    {".tsv", DOCUMENT_TSV},     {".tab", DOCUMENT_TSV}};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(compressions); i++)
        if (ends_with(name, len, compressions[i])) {
            len -= strlen(compressions[i]);
            break;
        }
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (ends_with(name, len, ends[i].end))
            return ends[i].format;
    return DOCUMENT_AUTO;
}

/* Whether the first character behind blanks is a bracket. A pipe isn't waited for longer than it
 * takes to see that its first byte is none. */
static int begins_with_bracket(struct input *in, bool *bracket, struct err *err)
{
    enum { LOOK = 64 };
    const uint8_t *p;
    size_t len, i = 0;
    uint8_t first;
    int status = input_peek(in, &first, err);
    *bracket = status > 0 && first == '[';
    if (status <= 0 || !strchr(" \t\r\n\xef", first))
        return status < 0 ? -1 : 0;
    if (input_head(in, LOOK, &p, &len, err))
        return -1;
    if (len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        i = 3;
    while (i < len && strchr(" \t\r\n", p[i]) && p[i])
        i++;
    *bracket = i < len && p[i] == '[';
    return 0;
}

static const char *add_name(struct document_source *s, const char *name)
{
    ARRAY_GROW(s->names, s->n_names, s->names_cap);
    return s->names[s->n_names++] = xstrdup(name);
}

/* Begins to read documents from an open file. */
static int begin(struct document_source *s, struct input *file, enum document_format format,
                 struct err *err)
{
    bool bracket = false;
    if (format == DOCUMENT_AUTO)
        format = DOCUMENT_JSON;
    if (format == DOCUMENT_JSON && begins_with_bracket(file, &bracket, err))
        return -1;
    s->file = file;
    s->whole_read = false;
    s->layout = format == DOCUMENT_FILE                            ? LAYOUT_WHOLE
                : format == DOCUMENT_CSV || format == DOCUMENT_TSV ? LAYOUT_TABLE
                : bracket                                          ? LAYOUT_ITEMS
                                                                   : LAYOUT_LINES;
    if (s->layout == LAYOUT_TABLE)
        document_table_init(&s->table, file, format == DOCUMENT_TSV ? '\t' : ',', s->fields);
    if (s->layout == LAYOUT_ITEMS)
        json_items_init(&s->items, file);
    add_name(s, input_name(file));
    return 0;
}

static void end(struct document_source *s)
{
    if (s->file && s->layout == LAYOUT_TABLE)
        document_table_release(&s->table);
    if (s->file && s->layout == LAYOUT_ITEMS)
        json_items_release(&s->items);
    s->file = NULL;
}

/* ---- archives ---- */

static int read_all(struct input *in, struct buf *out, size_t limit, struct err *err)
{
    ssize_t n;
    buf_clear(out);
    do {
        if (out->len > limit)
            return err_set(err, "%s: over %zu bytes, too much for one document", input_name(in),
                           limit);
        buf_reserve(out, READ_BYTES);
        n = input_read(in, out->p + out->len, READ_BYTES, err);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0);
    out->p[out->len] = 0;
    return n < 0 ? -1 : 0;
}

/* Opens the next member with documents: 1, 0 at the archive's end, -1. */
static int next_member(struct document_source *s, struct err *err)
{
    int status;
    while ((status = member_walk_next(s->walk, err)) > 0) {
        const char *name = member_walk_name(s->walk);
        enum document_format format = s->format;
        struct input *member;
        if (format == DOCUMENT_AUTO)
            format = format_by_name(name);
        if (member_is_hidden(name))
            continue;
        if (format == DOCUMENT_AUTO) {
            s->passed_over++;
            continue;
        }
        s->taken++;
        if (member_walk_input(s->walk, &member, err))
            return -1;
        return begin(s, member, format, err) ? -1 : 1;
    }
    if (status < 0)
        return -1;
    if (!s->taken)
        return err_set(err,
                       "%s: no member is called .jsonl, .json, .csv or .tsv; ft-text makes "
                       "documents of texts",
                       input_name(s->in));
    return 0;
}

/* ---- documents ---- */

int document_source_open(struct document_source **out, struct input *in,
                         enum document_format format, const struct document_fields *fields,
                         struct err *err)
{
    struct document_source *s = xcalloc(1, sizeof *s);
    s->in = in;
    s->format = format;
    s->fields = fields;
    int status = document_format_is_text(format) ? 0 : member_walk_open(&s->walk, in, err);
    if (!status)
        status =
            begin(s, in, format == DOCUMENT_AUTO ? format_by_name(input_name(in)) : format, err);
    if (status < 0) {
        document_source_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

void document_source_close(struct document_source *s)
{
    if (!s)
        return;
    end(s);
    member_walk_close(s->walk);
    input_close(s->in);
    for (size_t i = 0; i < s->n_names; i++)
        free(s->names[i]);
    free(s->names);
    free(s);
}

static bool is_blank(const struct buf *line)
{
    return strspn(line->p, " \t\r\f\v") == line->len;
}

/* A byte order mark, as Windows' tools write it. */
static void drop_mark(struct buf *line)
{
    if (line->len < 3 || memcmp(line->p, "\xef\xbb\xbf", 3))
        return;
    line->len -= 3;
    memmove(line->p, line->p + 3, line->len + 1);
}

static int next_line(struct document_source *s, struct buf *text, size_t *line, struct err *err)
{
    int status;
    do {
        status = input_line(s->file, text, MAX_LINE, err);
        if (status > 0 && input_line_number(s->file) == 1)
            drop_mark(text);
    } while (status > 0 && is_blank(text));
    if (s->format == DOCUMENT_LINES && text->len && text->p[text->len - 1] == '\r')
        text->p[--text->len] = 0;
    *line = input_line_number(s->file);
    return status;
}

static int next_whole(struct document_source *s, struct buf *text, size_t *line, struct err *err)
{
    *line = 0;
    if (s->whole_read)
        return 0;
    s->whole_read = true;
    return read_all(s->file, text, MAX_LINE, err) < 0 ? -1 : 1;
}

int document_source_next(struct document_source *s, struct buf *text, struct document_place *place,
                         struct err *err)
{
    for (;;) {
        int status = 0;
        if (s->file) {
            place->file = s->names[s->n_names - 1];
            status =
                s->layout == LAYOUT_TABLE ? document_table_next(&s->table, text, &place->line, err)
                : s->layout == LAYOUT_ITEMS ? json_items_next(&s->items, text, &place->line, err)
                : s->layout == LAYOUT_WHOLE ? next_whole(s, text, &place->line, err)
                                            : next_line(s, text, &place->line, err);
        }
        if (status || !s->walk)
            return status;
        end(s);
        status = next_member(s, err);
        if (status <= 0)
            return status;
    }
}

uint64_t document_source_passed_over(const struct document_source *s)
{
    return s->passed_over;
}
