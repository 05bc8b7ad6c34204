#include "text/tokenised.h"

#include <inttypes.h>
#include <string.h>

#include "formats/json.h"

size_t tokenised_count(const struct tokenised *t)
{
    return t->document.shape == DOCUMENT_PREFERENCE ? 2 : 1;
}

enum stream_kind tokenised_kind(const struct tokenised *t)
{
    return t->document.shape == DOCUMENT_PREFERENCE ? STREAM_PREFERENCE
           : t->document.shape == DOCUMENT_LABEL    ? STREAM_LABEL
                                                    : STREAM_TOKENS;
}

size_t tokenised_trained(const struct tokenised *t)
{
    size_t n = 0;
    for (size_t i = 0; i < tokenised_count(t); i++)
        n += t->results[i].n_trained;
    return n;
}

bool tokenised_is_usable(const struct tokenised *t)
{
    bool answers = tokenised_kind(t) != STREAM_TOKENS;
    for (size_t i = 0; i < tokenised_count(t); i++)
        if (!(answers ? t->results[i].n_trained : t->results[i].tokens.n))
            return false;
    return true;
}

void tokenised_id(const struct tokenised *t, struct buf *out)
{
    if (t->document.id)
        json_add(out, t->document.id);
    else
        buf_addu(out, t->number);
}

/* ---- a record ---- */

int tokenised_record(const struct tokenised *t, struct stream_record *r, struct err *err)
{
    struct stream_document d;
    struct buf id = BUF_INIT;
    int status = 0;
    if (json_is_string(t->document.id))
        buf_addstr(&id, json_string_value(t->document.id));
    else
        tokenised_id(t, &id);
    stream_document_init(&d);
    d.id = id.p;
    d.source = (char *)(uintptr_t)t->document.source; /* copied */
    d.weight = t->document.weight;
    d.label = t->document.label;
    stream_record_clear(r);
    for (size_t i = 0; i < tokenised_count(t) && !status; i++) {
        const struct chat_result *c = &t->results[i];
        if (c->tokens.n > STREAM_MAX_TOKENS)
            status = err_set(err, "document %" PRIu64 " has %zu tokens, more than %d", t->number,
                             c->tokens.n, STREAM_MAX_TOKENS);
        d.text_bytes = c->text_bytes;
        d.weights = c->weighted ? c->weights : NULL;
        if (!status)
            stream_record_add(r, c->tokens.ids, c->trained, c->tokens.n, &d);
    }
    buf_release(&id);
    return status;
}

/* ---- a line ---- */

static void add_tokens(struct buf *out, const struct chat_result *c)
{
    buf_addstr(out, "\"ids\":[");
    for (size_t i = 0; i < c->tokens.n; i++) {
        if (i)
            buf_addch(out, ',');
        buf_addu(out, c->tokens.ids[i]);
    }
    buf_addstr(out, "],\"trained\":[");
    for (size_t i = 0; i < c->tokens.n; i++)
        buf_addstr(out, c->trained[i] ? i ? ",1" : "1" : i ? ",0" : "0");
    buf_addch(out, ']');
    if (c->weighted) {
        buf_addstr(out, ",\"weights\":");
        json_add_reals(out, c->weights, c->tokens.n);
    }
}

static void add_labels(struct buf *out, const struct document *d)
{
    if (d->source) {
        buf_addstr(out, ",\"source\":");
        json_add_string(out, d->source, strlen(d->source));
    }
    if (d->weight != 1) {
        buf_addstr(out, ",\"weight\":");
        json_add_real(out, d->weight);
    }
    if (d->shape == DOCUMENT_LABEL)
        buf_addf(out, ",\"label\":%s", d->label ? "true" : "false");
}

static void add_bytes(struct buf *out, const struct chat_result *c)
{
    if (c->text_bytes)
        buf_addf(out, ",\"bytes\":%" PRIu64, c->text_bytes);
}

void tokenised_json(const struct tokenised *t, struct buf *out)
{
    buf_addstr(out, "{\"id\":");
    tokenised_id(t, out);
    for (size_t i = 0; i < tokenised_count(t); i++) {
        bool pair = tokenised_count(t) > 1;
        buf_addstr(out, !pair ? "," : i ? ",\"rejected\":{" : ",\"chosen\":{");
        add_tokens(out, &t->results[i]);
        if (!pair)
            add_labels(out, &t->document);
        add_bytes(out, &t->results[i]);
        if (pair)
            buf_addch(out, '}');
    }
    if (tokenised_count(t) > 1)
        add_labels(out, &t->document);
    buf_addstr(out, "}\n");
}
