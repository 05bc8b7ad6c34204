/* stream_reader: ft-stream(5) in, one object at a time. */
#include "formats/stream_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct stream_reader {
    struct input *in;
    uint8_t *window; /* bytes read and not yet used: [start, end) */
    size_t start, end, cap;
    uint64_t offset;         /* of window[start] in the stream */
    bool at_end;             /* the input has no more */
    msgpack_unpacked object; /* views the window */

    struct stream_header header;
    bool in_segment;
    uint64_t n_segments;
    struct stream_segment segment;
    struct stream_totals totals;     /* over all segments */
    struct hash *records;            /* over the records of all segments */
    uint64_t index_base, index_next; /* documents' numbers go on from segment to segment */
};

/* Brings the window to `want` bytes or the input's end. It grows as bytes arrive, not by `want`. */
static int fill(struct stream_reader *r, uint64_t want, struct err *err)
{
    if (!r->window) {
        r->cap = 1 << 16;
        r->window = xmalloc(r->cap);
    }
    while (!r->at_end && r->end - r->start < want) {
        if (r->start == r->end || r->end == r->cap) {
            memmove(r->window, r->window + r->start, r->end - r->start);
            r->end -= r->start;
            r->start = 0;
        }
        if (r->end == r->cap) {
            r->cap *= 2;
            r->window = xrealloc(r->window, r->cap);
        }
        ssize_t n = input_read(r->in, r->window + r->end, r->cap - r->end, err);
        if (n < 0)
            return -1;
        r->at_end = n == 0;
        r->end += (size_t)n;
    }
    return 0;
}

static int cut_off(struct stream_reader *r, struct err *err)
{
    uint64_t at = r->offset + (r->end - r->start);
    if (!at)
        return err_set(err, "%s: is empty, not an ft-stream(5)", input_name(r->in));
    if (!r->in_segment)
        return err_set(err, "%s: cut off at byte %" PRIu64 ", in a header", input_name(r->in), at);
    if (r->end == r->start)
        return err_set(
            err, "%s: cut off at byte %" PRIu64 ", after %" PRIu64 " records without a trailer",
            input_name(r->in), at, r->totals.records);
    return err_set(err, "%s: cut off at byte %" PRIu64 ", in record %" PRIu64 " or in the trailer",
                   input_name(r->in), at, r->totals.records);
}

/* A fault of the object at hand, which is named. */
static int fault(struct stream_reader *r, const char *what, struct err *err)
{
    if (what)
        err_set(err, "%s", what);
    if (r->in_segment)
        return err_prefix(err, "%s: record %" PRIu64 " at byte %" PRIu64, input_name(r->in),
                          r->totals.records, r->offset);
    return err_prefix(err, "%s: header at byte %" PRIu64, input_name(r->in), r->offset);
}

static const char *no_stream(uint8_t first)
{
    return first == '{' ? "this is JSON, not an ft-stream(5); ft-pack reads JSON Lines of ids"
                        : "this is no ft-stream(5)";
}

/* Makes the next object whole and parses it: 1 and its bytes in *len, 0 at the input's end, -1. */
static int next_object(struct stream_reader *r, size_t *len, struct err *err)
{
    uint64_t size = 1, limit = r->in_segment ? STREAM_MAX_RECORD : STREAM_MAX_HEADER;
    for (;;) {
        if (fill(r, size, err))
            return -1;
        size_t have = r->end - r->start;
        if (!have)
            return 0;
        if (have < size)
            return cut_off(r, err);
        if (!r->in_segment && !stream_begins_with(r->window[r->start]))
            return fault(r, no_stream(r->window[r->start]), err);
        size = stream_object_size(r->window + r->start, have);
        if (!size)
            return fault(r, "damaged: no msgpack object of a stream", err);
        if (size > limit)
            return fault(r, "damaged: longer than any object of a stream", err);
        if (size <= have)
            break;
    }
    size_t off = 0;
    msgpack_unpacked_destroy(&r->object);
    if (msgpack_unpack_next(&r->object, (const char *)r->window + r->start, (size_t)size, &off) !=
            MSGPACK_UNPACK_SUCCESS ||
        off != size)
        return fault(r, "damaged: msgpack nested too deeply", err);
    *len = (size_t)size;
    return 1;
}

static void consume(struct stream_reader *r, size_t len)
{
    r->start += len;
    r->offset += len;
}

static int same_origin(const struct stream_header *a, const struct stream_header *b,
                       struct err *err)
{
    if (a->kind != b->kind)
        return err_set(err, "kind is %s, but %s in the segment before", stream_kind_names[b->kind],
                       stream_kind_names[a->kind]);
    if (strcmp(a->tokenizer, b->tokenizer) != 0)
        return err_set(err, "its tokens are of another tokenizer (%s) than the segment before (%s)",
                       *b->tokenizer ? b->tokenizer : "none",
                       *a->tokenizer ? a->tokenizer : "none");
    if (a->vocab_size != b->vocab_size || a->bos != b->bos || a->eos != b->eos)
        return err_set(err, "vocab_size, bos or eos is another than in the segment before");
    return 0;
}

static int read_header(struct stream_reader *r, size_t len, struct err *err)
{
    struct stream_header h;
    stream_header_init(&h);
    if (stream_parse_header(&r->object.data, &h, err) ||
        (r->n_segments && same_origin(&r->header, &h, err))) {
        stream_header_release(&h);
        return fault(r, NULL, err);
    }
    stream_header_release(&r->header);
    r->header = h;
    r->in_segment = true;
    r->n_segments++;
    r->index_base = r->index_next;
    r->segment.totals = (struct stream_totals){0};
    hash_free(r->segment.hash);
    r->segment.hash = hash_new();
    hash_add(r->segment.hash, r->window + r->start, len);
    consume(r, len);
    return 0;
}

/* Numbers the documents over all segments; a stream that doesn't number them has them in order. */
static void set_indices(struct stream_reader *r, struct stream_record *out, bool has_index)
{
    uint64_t first = r->index_next;
    size_t group = stream_kind_group(r->header.kind);
    for (size_t i = 0; i < out->n_documents; i++) {
        struct stream_document *d = &out->documents[i];
        d->index = has_index ? r->index_base + d->index : first + i / group;
        if (d->index >= r->index_next)
            r->index_next = d->index + 1;
    }
}

static int read_record(struct stream_reader *r, size_t len, struct stream_record *out,
                       struct err *err)
{
    bool has_index;
    if (stream_parse_record(&r->object.data, &r->header, out, &has_index, err))
        return fault(r, NULL, err);
    set_indices(r, out, has_index);
    stream_totals_add(&r->segment.totals, out);
    stream_totals_add(&r->totals, out);
    hash_add(r->segment.hash, r->window + r->start, len);
    hash_add(r->records, r->window + r->start, len);
    consume(r, len);
    return 1;
}

static int read_trailer(struct stream_reader *r, size_t len, struct err *err)
{
    if (stream_parse_trailer(&r->object.data, &r->segment, err))
        return err_prefix(err, "%s: segment that ends at byte %" PRIu64, input_name(r->in),
                          r->offset + len);
    r->in_segment = false;
    consume(r, len);
    return 0;
}

bool stream_begins_with(uint8_t byte)
{
    return (byte >= 0x80 && byte < 0x90) || byte == 0xde || byte == 0xdf;
}

/* The next header into r->header; 0 at the end of the stream. */
static int next_segment(struct stream_reader *r, struct err *err)
{
    size_t len = 0;
    int status = next_object(r, &len, err);
    if (status <= 0)
        return status;
    return read_header(r, len, err) ? -1 : 1;
}

int stream_reader_open_input(struct stream_reader **out, struct input *in, struct err *err)
{
    struct stream_reader *r = xcalloc(1, sizeof *r);
    r->in = in;
    r->records = hash_new();
    msgpack_unpacked_init(&r->object);
    stream_header_init(&r->header);
    int status = next_segment(r, err);
    if (status <= 0) {
        if (!status)
            cut_off(r, err);
        stream_reader_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

int stream_reader_open(struct stream_reader **out, const char *path, struct err *err)
{
    struct input *in;
    return input_open(&in, path, err) ? -1 : stream_reader_open_input(out, in, err);
}

const struct stream_header *stream_reader_header(const struct stream_reader *r)
{
    return &r->header;
}

uint64_t stream_reader_segment(const struct stream_reader *r)
{
    return r->n_segments - 1;
}

int stream_read(struct stream_reader *r, struct stream_record *record, struct err *err)
{
    for (;;) {
        size_t len = 0;
        int status = r->in_segment ? 1 : next_segment(r, err);
        if (status <= 0)
            return status;
        status = next_object(r, &len, err);
        if (status <= 0)
            return status ? status : cut_off(r, err);
        switch (stream_object_kind(&r->object.data)) {
        case STREAM_OBJECT_RECORD:
            return read_record(r, len, record, err);
        case STREAM_OBJECT_TRAILER:
            if (read_trailer(r, len, err))
                return -1;
            break;
        case STREAM_OBJECT_HEADER:
            return fault(r, "a header before the trailer: the segment was cut off", err);
        default:
            return fault(r, "damaged: neither a record nor a trailer", err);
        }
    }
}

struct stream_totals stream_reader_totals(const struct stream_reader *r)
{
    return r->totals;
}

void stream_reader_hash(const struct stream_reader *r, char hex[HASH_HEX])
{
    hash_hex(r->records, hex);
}

void stream_reader_close(struct stream_reader *r)
{
    if (!r)
        return;
    input_close(r->in);
    msgpack_unpacked_destroy(&r->object);
    hash_free(r->segment.hash);
    hash_free(r->records);
    stream_header_release(&r->header);
    free(r->window);
    free(r);
}
