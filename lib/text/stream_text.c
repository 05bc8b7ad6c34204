#include "text/stream_text.h"

#include <inttypes.h>
#include <string.h>

#include "formats/json.h"

/*
 * Each run of tokens is what it adds to the text before it: decoded alone it could lose a space at
 * its beginning.
 */
static int add_text(struct buf *out, const struct tokenizer *t, const uint32_t *ids,
                    const uint8_t *trained, size_t n, struct err *err)
{
    struct buf whole = BUF_INIT;
    size_t shown = 0;
    int status = 0;
    for (size_t at = 0, end; at < n && !status; at = end) {
        for (end = at; end < n && trained[end] == trained[at]; end++)
            ;
        buf_clear(&whole);
        status = tokenizer_decode(t, ids, end, false, &whole, err);
        if (status || whole.len < shown)
            shown = whole.len;
        if (trained[at])
            buf_addstr(out, "\u27e6");
        buf_add(out, whole.p + shown, whole.len - shown);
        if (trained[at])
            buf_addstr(out, "\u27e7");
        shown = whole.len;
    }
    buf_addch(out, '\n');
    buf_release(&whole);
    return status;
}

static void add_name(struct buf *out, const char *what, const char *name)
{
    if (!name)
        return;
    buf_addstr(out, what);
    json_add_string(out, name, strlen(name));
}

int stream_text_add(struct buf *out, const struct tokenizer *t, const struct stream_record *r,
                    enum stream_kind kind, size_t i, size_t at, uint64_t row, struct err *err)
{
    const struct stream_document *d = &r->documents[i];
    size_t n_trained = 0;
    for (size_t k = at; k < at + d->n_tokens; k++)
        n_trained += r->trained[k];
    buf_addf(out, "---- row %" PRIu64 ", document %" PRIu64, row, d->index);
    if (kind == STREAM_PREFERENCE)
        buf_addstr(out, i ? ", rejected" : ", chosen");
    if (kind == STREAM_LABEL)
        buf_addstr(out, d->label ? ", labelled true" : ", labelled false");
    if (d->part)
        buf_addf(out, ", part %" PRIu64, d->part);
    add_name(out, ", id ", d->id);
    add_name(out, ", from ", d->source);
    buf_addf(out, ": %zu tokens, %zu trained\n", d->n_tokens, n_trained);
    return add_text(out, t, r->ids + at, r->trained + at, d->n_tokens, err);
}
