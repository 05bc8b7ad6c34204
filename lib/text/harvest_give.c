#include "text/harvest_internal.h"

#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

static bool is_blank(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && (p[i] < '\t' || p[i] > '\r'))
            return false;
    return true;
}

static int give(struct harvest *c, const struct harvest_document *document, struct err *err)
{
    c->result.documents++;
    return c->sink.document(c->sink.arg, document, err);
}

static int give_lines(struct harvest *c, const char *id, const struct prose_text *text,
                      struct err *err)
{
    struct prose_text line;
    struct buf line_id = BUF_INIT;
    size_t number = 0;
    int status = 0;
    prose_text_init(&line);
    for (size_t at = 0, n; at < text->text.len && !status; at += n + 1) {
        const char *p = text->text.p + at, *newline = memchr(p, '\n', text->text.len - at);
        n = newline ? (size_t)(newline - p) : text->text.len - at;
        number++;
        if (is_blank(p, n))
            continue;
        buf_clear(&line.text);
        buf_add(&line.text, p, n);
        buf_clear(&line_id);
        buf_addf(&line_id, "%s:%zu", id, number);
        struct harvest_document document = {line_id.p, c->source.p, &line, NULL};
        status = give(c, &document, err);
    }
    prose_text_release(&line);
    buf_release(&line_id);
    return status;
}

int harvest_text(struct harvest *c, const struct harvest_item *item, const struct prose_text *text,
                 bool lines, struct err *err)
{
    if (is_blank(text->text.p, text->text.len)) {
        harvest_skip(c, item->id, "empty");
        return 0;
    }
    struct buf id = BUF_INIT;
    buf_addstr(&id, item->id);
    id_set_claim(&c->ids, &id);
    struct harvest_document document = {id.p, c->source.p, text, NULL};
    int status = lines ? give_lines(c, id.p, text, err) : give(c, &document, err);
    buf_release(&id);
    return status;
}

/* Whether the first line is a document, for what comes without a name. */
bool harvest_looks_like_jsonl(struct harvest *c, const char *p, size_t len)
{
    const char *newline = memchr(p, '\n', len);
    struct err ignored;
    if (*p != '{')
        return false;
    json_t *record = json_parse(p, newline ? (size_t)(newline - p) : len, &ignored);
    bool is = record && !document_from_json(&c->document, record, NULL, &ignored);
    document_clear(&c->document);
    json_decref(record);
    return is;
}

static bool is_missing(const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);
    return !value || json_is_null(value);
}

static int give_record(struct harvest *c, const struct harvest_item *item, size_t line,
                       json_t *record, struct err *err)
{
    struct buf id = BUF_INIT;
    buf_addf(&id, "%s:%zu", item->id, line);
    int bad = document_from_json(&c->document, record, NULL, err);
    document_clear(&c->document);
    if (bad) {
        struct harvest_item at = {id.p, item->operand, item->nesting};
        int status = harvest_fail(c, &at, "unreadable", err);
        buf_release(&id);
        return status;
    }
    if (is_missing(record, "id"))
        json_object_set_new(record, "id", json_stringn(id.p, id.len));
    if (is_missing(record, "source"))
        json_object_set_new(record, "source", json_stringn(c->source.p, c->source.len));
    buf_release(&id);
    struct harvest_document document = {NULL, c->source.p, NULL, record};
    return give(c, &document, err);
}

int harvest_jsonl(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                  struct err *err)
{
    struct input *in;
    struct buf line = BUF_INIT;
    json_t *record;
    int got, status = 0;
    if (input_open_memory(&in, item->id, p, len, err))
        return -1;
    while (!status && (got = json_next_line(in, &line, &record, err)) != 0) {
        if (got > 0) {
            status = give_record(c, item, input_line_number(in), record, err);
            json_decref(record);
            continue;
        }
        struct err why = *err; /* names file and line already */
        c->result.unreadable++;
        harvest_count(c, "unreadable");
        if (item->operand)
            c->result.operand_failed = true;
        if (c->options.strict)
            status = -1;
        else
            c->sink.report(c->sink.arg, why.msg);
    }
    buf_release(&line);
    input_close(in);
    return status;
}
