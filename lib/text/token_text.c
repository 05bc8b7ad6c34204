#include "text/token_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/document.h"
#include "formats/json.h"
#include "formats/stream.h"

/* ---- marked ---- */

static void add_mark(struct buf *out, bool begin, bool colour)
{
    if (colour)
        buf_addstr(out, begin ? "\033[1;32m" : "\033[0m");
    else
        buf_addstr(out, begin ? "[[" : "]]");
}

/* Text of token i: of the document, or by name if the document has none of it. */
static int add_token(const struct tokenizer *t, const struct chat_result *r, size_t i,
                     struct buf *out, struct err *err)
{
    size_t start = r->tokens.offsets[i];
    size_t end = i + 1 < r->tokens.n ? r->tokens.offsets[i + 1] : r->text.len;
    if (end > start) {
        buf_add(out, r->text.p + start, end - start);
        return 0;
    }
    /* One of several tokens of a character, whose bytes come with the last of them. */
    if (r->text.len && !tokenizer_is_special(t, r->tokens.ids[i]))
        return 0;
    return tokenizer_decode(t, &r->tokens.ids[i], 1, false, out, err);
}

/* Documents of ids have no text to cut: runs of tokens are decoded together. */
static int add_run(const struct tokenizer *t, const struct chat_result *r, size_t from, size_t to,
                   struct buf *out, struct err *err)
{
    if (!r->text.len)
        return tokenizer_decode(t, r->tokens.ids + from, to - from, false, out, err);
    for (size_t i = from; i < to; i++)
        if (add_token(t, r, i, out, err))
            return -1;
    return 0;
}

/* Behind `from`, control characters that would steer a terminal become U+FFFD. */
static void disarm(struct buf *out, size_t from)
{
    char *rest = xmemdup0(out->p + from, out->len - from);
    size_t len = out->len - from;
    out->len = from;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)rest[i];
        bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)rest[i + 1] < 0xa0;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c1)
            buf_addutf8(out, 0xfffd);
        else
            buf_addch(out, rest[i]);
        i += c1;
    }
    free(rest);
}

int token_text_marked(const struct tokenizer *t, const struct chat_result *r, bool colour,
                      struct buf *out, struct err *err)
{
    for (size_t from = 0, to; from < r->tokens.n; from = to) {
        bool trained = r->trained[from];
        for (to = from; to < r->tokens.n && r->trained[to] == trained;)
            to++;
        if (trained)
            add_mark(out, true, colour);
        size_t text = out->len;
        if (add_run(t, r, from, to, out, err))
            return -1;
        if (colour)
            disarm(out, text);
        if (trained)
            add_mark(out, false, colour);
    }
    return 0;
}

/* ---- decoded ---- */

struct decoding {
    const struct tokenizer *tokenizer;
    bool skip_special;
    int (*take)(void *arg, const char *id, const char *text, size_t len, struct err *err);
    void *arg;
    struct buf text, id;
};

static int decode(struct decoding *d, const uint32_t *ids, size_t n, struct err *err)
{
    size_t size = tokenizer_vocab_size(d->tokenizer);
    buf_clear(&d->text);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= size)
            return err_set(err, "ids[%zu] is %" PRIu32 ", the vocabulary has %zu tokens", i, ids[i],
                           size);
    if (tokenizer_decode(d->tokenizer, ids, n, d->skip_special, &d->text, err))
        return -1;
    return d->take(d->arg, d->id.p, d->text.p, d->text.len, err);
}

static int decode_record(struct decoding *d, const struct stream_record *record, uint64_t *number,
                         struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < record->n_documents; i++) {
        const struct stream_document *document = &record->documents[i];
        buf_clear(&d->id);
        if (document->id)
            json_add_string(&d->id, document->id, strlen(document->id));
        else
            buf_addu(&d->id, *number);
        ++*number;
        if (decode(d, record->ids + at, document->n_tokens, err))
            return -1;
        at += document->n_tokens;
    }
    return 0;
}

static int decode_stream(struct decoding *d, struct input *in, struct err *err)
{
    struct stream_reader *reader;
    struct stream_record record;
    char hash[HASH_HEX];
    uint64_t number = 0;
    int rc;
    if (stream_reader_open_input(&reader, in, err))
        return -1;
    tokenizer_hash(d->tokenizer, hash);
    stream_record_init(&record);
    while ((rc = stream_read(reader, &record, err)) > 0) {
        const char *made = stream_reader_header(reader)->tokenizer;
        if (*made && strcmp(made, hash))
            rc = err_set(err, "the stream was made with another tokenizer");
        else if (decode_record(d, &record, &number, err))
            rc = -1;
        if (rc < 0)
            break;
    }
    stream_record_release(&record);
    stream_reader_close(reader);
    return rc;
}

static int decode_value(struct decoding *d, json_t *value, uint64_t number, struct err *err)
{
    struct document document;
    document_init(&document);
    int rc = document_from_json(&document, value, NULL, err);
    if (!rc && document.shape != DOCUMENT_IDS)
        rc = err_set(err, "found %s, expected ids", document_shape_names[document.shape]);
    if (!rc) {
        buf_clear(&d->id);
        if (document.id)
            json_add(&d->id, document.id);
        else
            buf_addu(&d->id, number);
        rc = decode(d, document.ids, document.n_ids, err);
    }
    document_release(&document);
    return rc;
}

static int decode_lines(struct decoding *d, struct input *in, struct err *err)
{
    struct buf line = BUF_INIT;
    json_t *value;
    uint64_t number = 0;
    int rc;
    while ((rc = json_next_line(in, &line, &value, err)) > 0) {
        if (decode_value(d, value, number++, err))
            rc = err_prefix(err, "%s:%zu", input_name(in), input_line_number(in));
        json_decref(value);
        if (rc < 0)
            break;
    }
    buf_release(&line);
    input_close(in);
    return rc;
}

int token_text_decode(const struct tokenizer *t, struct input *in, bool skip_special,
                      int (*take)(void *arg, const char *id, const char *text, size_t len,
                                  struct err *err),
                      void *arg, struct err *err)
{
    struct decoding d = {t, skip_special, take, arg, BUF_INIT, BUF_INIT};
    uint8_t first;
    int rc = input_peek(in, &first, err);
    if (rc < 0)
        input_close(in);
    else if (rc > 0 && stream_begins_with(first))
        rc = decode_stream(&d, in, err);
    else
        rc = decode_lines(&d, in, err);
    buf_release(&d.text);
    buf_release(&d.id);
    return rc < 0 ? -1 : 0;
}
