#include "text/document_lines.h"

#include <string.h>

#include "formats/json.h"
#include "text/markdown.h"
#include "text/sections.h"

void document_lines_init(struct document_lines *w, const struct lines_options *options,
                         int (*line)(void *arg, const struct buf *line, size_t text_bytes,
                                     struct err *err),
                         void *arg)
{
    *w = (struct document_lines){
        .options = *options, .line = line, .arg = arg, .buf = BUF_INIT, .numbered = BUF_INIT};
}

void document_lines_release(struct document_lines *w)
{
    buf_release(&w->buf);
    buf_release(&w->numbered);
    chunks_release(&w->chunks);
}

/* What a line is of: its document, and which part of it (from 1; 0: the whole). */
struct origin_of_line {
    const char *id, *source;
    size_t part;
};

static void begin_line(struct document_lines *w, const struct origin_of_line *of)
{
    buf_clear(&w->numbered);
    buf_addstr(&w->numbered, of->id);
    if (of->part)
        buf_addf(&w->numbered, ":%zu", of->part);
    buf_clear(&w->buf);
    buf_addstr(&w->buf, "{\"id\":");
    json_add_string(&w->buf, w->numbered.p, w->numbered.len);
    buf_addstr(&w->buf, ",\"source\":");
    json_add_string(&w->buf, of->source, strlen(of->source));
}

static int end_line(struct document_lines *w, size_t text_bytes, struct err *err)
{
    buf_addstr(&w->buf, "}\n");
    return w->line(w->arg, &w->buf, text_bytes, err);
}

static ssize_t write_pairs(struct document_lines *w, struct origin_of_line of,
                           const struct prose_text *text, struct err *err)
{
    struct section section = {.prompt = BUF_INIT};
    size_t at = 0;
    int status = 0;
    while (!status && section_next(text, &at, w->options.parents, &section)) {
        of.part++;
        begin_line(w, &of);
        buf_addstr(&w->buf, ",\"prompt\":");
        json_add_string(&w->buf, section.prompt.p, section.prompt.len);
        buf_addstr(&w->buf, ",\"completion\":");
        json_add_string(&w->buf, section.completion, section.completion_len);
        status = end_line(w, section.prompt.len + section.completion_len, err);
    }
    buf_release(&section.prompt);
    return status ? -1 : (ssize_t)of.part;
}

static int write_text(struct document_lines *w, const struct origin_of_line *of, size_t parts,
                      const char *p, size_t len, bool newline, struct err *err)
{
    begin_line(w, of);
    if (of->part)
        buf_addf(&w->buf, ",\"part\":%zu,\"parts\":%zu", of->part, parts);
    buf_addstr(&w->buf, ",\"text\":");
    json_add_string(&w->buf, p, len);
    if (newline) { /* into the string that has just been closed */
        w->buf.len--;
        buf_addstr(&w->buf, "\\n\"");
    }
    return end_line(w, len + newline, err);
}

static ssize_t write_chunks(struct document_lines *w, struct origin_of_line of,
                            const struct prose_text *text, struct err *err)
{
    const char *p = text->text.p;
    chunks_find(&w->chunks, text, w->options.chunk);
    if (w->chunks.n < 2)
        return write_text(w, &of, 1, p, text->text.len, false, err) ? -1 : 1;
    for (size_t i = 0; i < w->chunks.n; i++) {
        struct chunk c = w->chunks.items[i];
        of.part++;
        if (write_text(w, &of, w->chunks.n, p + c.start, c.end - c.start, true, err))
            return -1;
    }
    return (ssize_t)w->chunks.n;
}

static ssize_t write_prose(struct document_lines *w, const struct origin_of_line *of,
                           const struct prose_text *text, struct err *err)
{
    if (w->options.pairs)
        return write_pairs(w, *of, text, err);
    if (w->options.chunk)
        return write_chunks(w, *of, text, err);
    return write_text(w, of, 1, text->text.p, text->text.len, false, err) ? -1 : 1;
}

static ssize_t write_record(struct document_lines *w, const struct harvest_document *document,
                            struct err *err)
{
    const json_t *text = json_object_get(document->record, "text");
    const char *id = json_string_value(json_object_get(document->record, "id"));
    const char *source = json_string_value(json_object_get(document->record, "source"));
    if ((w->options.pairs || w->options.chunk) && json_is_string(text)) {
        struct origin_of_line of = {id ? id : "", source ? source : document->source, 0};
        struct prose_text prose;
        prose_text_init(&prose);
        buf_add(&prose.text, json_string_value(text), json_string_length(text));
        markdown_find_headings(&prose);
        ssize_t n = write_prose(w, &of, &prose, err);
        prose_text_release(&prose);
        return n;
    }
    buf_clear(&w->buf);
    json_add(&w->buf, document->record);
    buf_addch(&w->buf, '\n');
    return w->line(w->arg, &w->buf, json_is_string(text) ? json_string_length(text) : 0, err) ? -1
                                                                                              : 1;
}

ssize_t document_lines_write(struct document_lines *w, const struct harvest_document *document,
                             struct err *err)
{
    if (document->record)
        return write_record(w, document, err);
    struct origin_of_line of = {document->id, document->source, 0};
    return write_prose(w, &of, document->text, err);
}
