/* stream_writer: ft-stream(5) out. */
#include "formats/stream_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "base/mem.h"

struct stream_writer {
    struct output *out;
    struct stream_header header;
    struct stream_segment segment;
    struct buf bytes; /* the object being written */
    msgpack_packer pack;
};

/* For the packer. Its own buffer would leave out what there is no memory for. */
static int add_bytes(void *bytes, const char *p, size_t len)
{
    buf_add(bytes, p, len);
    return 0;
}

static bool is_utf8(const char *p, size_t len)
{
    while (len) {
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)len, &codepoint);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* Text that is no UTF-8 (a file name may be anything) goes as bin, which readers take too. */
static void pack_string(msgpack_packer *pack, const char *s)
{
    size_t len = s ? strlen(s) : 0;
    if (!s)
        msgpack_pack_nil(pack);
    else if (is_utf8(s, len))
        msgpack_pack_str_with_body(pack, s, len);
    else
        msgpack_pack_bin_with_body(pack, s, len);
}

static void pack_key_string(msgpack_packer *pack, const char *key, const char *s)
{
    pack_string(pack, key);
    pack_string(pack, s);
}

static void pack_key_u64(msgpack_packer *pack, const char *key, uint64_t v)
{
    pack_string(pack, key);
    msgpack_pack_uint64(pack, v);
}

static void pack_key_id(msgpack_packer *pack, const char *key, int64_t id)
{
    pack_string(pack, key);
    if (id < 0)
        msgpack_pack_nil(pack);
    else
        msgpack_pack_uint64(pack, (uint64_t)id);
}

static void pack_header(msgpack_packer *pack, const struct stream_header *h)
{
    msgpack_pack_map(pack, 10);
    pack_key_string(pack, "format", STREAM_FORMAT_NAME);
    pack_key_u64(pack, "version", STREAM_FORMAT_VERSION);
    pack_key_string(pack, "kind", stream_kind_names[h->kind]);
    pack_key_string(pack, "tokenizer", h->tokenizer);
    pack_key_string(pack, "template", h->template_hash);
    pack_key_u64(pack, "vocab_size", h->vocab_size);
    pack_key_id(pack, "bos", h->bos);
    pack_key_id(pack, "eos", h->eos);
    pack_key_u64(pack, "length", h->length);
    pack_string(pack, "provenance");
    msgpack_pack_array(pack, h->n_provenance);
    for (size_t i = 0; i < h->n_provenance; i++)
        pack_string(pack, h->provenance[i]);
}

static void put_u16(uint8_t *p, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[2 * i] = (uint8_t)v[i];
        p[2 * i + 1] = (uint8_t)(v[i] >> 8);
    }
}

static void put_u32(uint8_t *p, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_u16(p + 4 * i, v + i, 1);
        p[4 * i + 2] = (uint8_t)(v[i] >> 16);
        p[4 * i + 3] = (uint8_t)(v[i] >> 24);
    }
}

/* n numbers as a typed array of the given width. */
static void pack_typed(msgpack_packer *pack, int width, const uint32_t *v, size_t n)
{
    msgpack_pack_ext(pack, n * (size_t)width, (int8_t)width);
    uint8_t chunk[4096];
    for (size_t i = 0; i < n;) {
        size_t some = n - i < sizeof chunk / 4 ? n - i : sizeof chunk / 4;
        if (width == STREAM_EXT_U16)
            put_u16(chunk, v + i, some);
        else
            put_u32(chunk, v + i, some);
        msgpack_pack_ext_body(pack, chunk, some * (size_t)width);
        i += some;
    }
}

/* Lengths of the runs of untrained, trained, untrained ... tokens: the first may be 0, no other. */
static void pack_trained(msgpack_packer *pack, const struct stream_record *r)
{
    uint32_t *runs = NULL, longest = 0;
    size_t n = 0, cap = 0;
    for (size_t at = 0, end; at < r->n; at = end) {
        const uint8_t *next = memchr(r->trained + at, n & 1 ? 0 : 1, r->n - at);
        end = next ? (size_t)(next - r->trained) : r->n;
        ARRAY_GROW(runs, n, cap);
        runs[n++] = (uint32_t)(end - at);
        if (end - at > longest)
            longest = (uint32_t)(end - at);
    }
    pack_string(pack, "trained");
    pack_typed(pack, longest <= UINT16_MAX ? STREAM_EXT_U16 : STREAM_EXT_U32, runs, n);
    free(runs);
}

static uint64_t document_number(const struct stream_document *d, enum stream_column c)
{
    switch (c) {
    case COLUMN_LENGTHS:
        return d->n_tokens;
    case COLUMN_INDEX:
        return d->index;
    case COLUMN_PART:
        return d->part;
    default:
        return d->text_bytes;
    }
}

static bool column_needed(const struct stream_header *h, const struct stream_record *r,
                          enum stream_column c)
{
    if (c == COLUMN_LENGTHS)
        return true;
    if (c == COLUMN_INDEX)
        return h->length > 0;
    if (c == COLUMN_LABEL)
        return h->kind == STREAM_LABEL;
    for (size_t i = 0; i < r->n_documents; i++) {
        const struct stream_document *d = &r->documents[i];
        if (c == COLUMN_WEIGHT    ? d->weight != 1
            : c == COLUMN_WEIGHTS ? d->weights != NULL
            : c == COLUMN_ID      ? d->id != NULL
            : c == COLUMN_SOURCE  ? d->source != NULL
                                  : document_number(d, c) != 0)
            return true;
    }
    return false;
}

/* Lengths of runs of tokens, and behind each the weight of its tokens. */
static void pack_weights(msgpack_packer *pack, const struct stream_document *d)
{
    size_t runs = 0;
    if (!d->weights) {
        msgpack_pack_nil(pack);
        return;
    }
    for (size_t at = 0; at < d->n_tokens; at = stream_weights_run(d, at))
        runs++;
    msgpack_pack_array(pack, 2 * runs);
    for (size_t at = 0, end; at < d->n_tokens; at = end) {
        end = stream_weights_run(d, at);
        msgpack_pack_uint64(pack, end - at);
        msgpack_pack_double(pack, d->weights[at]);
    }
}

static void pack_column(msgpack_packer *pack, const struct stream_record *r, enum stream_column c)
{
    pack_string(pack, stream_column_names[c]);
    msgpack_pack_array(pack, r->n_documents);
    for (size_t i = 0; i < r->n_documents; i++) {
        const struct stream_document *d = &r->documents[i];
        if (c == COLUMN_WEIGHT)
            msgpack_pack_double(pack, d->weight);
        else if (c == COLUMN_WEIGHTS)
            pack_weights(pack, d);
        else if (c == COLUMN_LABEL && d->label)
            msgpack_pack_true(pack);
        else if (c == COLUMN_LABEL)
            msgpack_pack_false(pack);
        else if (c == COLUMN_ID || c == COLUMN_SOURCE)
            pack_string(pack, c == COLUMN_ID ? d->id : d->source);
        else
            msgpack_pack_uint64(pack, document_number(d, c));
    }
}

static void pack_record(msgpack_packer *pack, const struct stream_header *h,
                        const struct stream_record *r)
{
    size_t keys = 2;
    for (enum stream_column c = 0; c < N_COLUMNS; c++)
        keys += column_needed(h, r, c);
    msgpack_pack_map(pack, keys);
    pack_string(pack, "ids");
    pack_typed(pack, h->vocab_size <= UINT16_MAX + 1 ? STREAM_EXT_U16 : STREAM_EXT_U32, r->ids,
               r->n);
    pack_trained(pack, r);
    for (enum stream_column c = 0; c < N_COLUMNS; c++)
        if (column_needed(h, r, c))
            pack_column(pack, r, c);
}

static void pack_trailer(msgpack_packer *pack, const struct stream_segment *s)
{
    char hex[HASH_HEX];
    hash_hex(s->hash, hex);
    msgpack_pack_map(pack, 6);
    pack_key_u64(pack, "records", s->totals.records);
    pack_key_u64(pack, "documents", s->totals.documents);
    pack_key_u64(pack, "tokens", s->totals.tokens);
    pack_key_u64(pack, "trained", s->totals.trained);
    pack_key_u64(pack, "bytes", s->totals.text_bytes);
    pack_key_string(pack, "checksum", hex);
}

static int put_object(struct stream_writer *w, uint64_t limit, struct err *err)
{
    if (w->bytes.len > limit)
        return err_set(err, "an object of %zu bytes, ft-stream(5) allows %" PRIu64, w->bytes.len,
                       limit);
    int status = output_write(w->out, w->bytes.p, w->bytes.len, err);
    hash_add(w->segment.hash, w->bytes.p, w->bytes.len);
    buf_clear(&w->bytes);
    return status;
}

int stream_writer_open(struct stream_writer **out, const char *path, const struct stream_header *h,
                       struct err *err)
{
    if (stream_header_check(h, err))
        return err_prefix(err, "%s", path ? path : "stdout");
    struct output *output;
    if (output_open(&output, path, err))
        return -1;
    struct stream_writer *w = xcalloc(1, sizeof *w);
    w->out = output;
    w->segment.hash = hash_new();
    stream_header_copy(&w->header, h);
    buf_init(&w->bytes);
    msgpack_packer_init(&w->pack, &w->bytes, add_bytes);
    pack_header(&w->pack, h);
    if (put_object(w, STREAM_MAX_HEADER, err)) {
        stream_writer_abandon(w);
        return -1;
    }
    *out = w;
    return 0;
}

int stream_write(struct stream_writer *w, const struct stream_record *r, struct err *err)
{
    if (stream_record_check(r, &w->header, err))
        return err_prefix(err, "writing record %" PRIu64, w->segment.totals.records);
    pack_record(&w->pack, &w->header, r);
    stream_totals_add(&w->segment.totals, r);
    return put_object(w, STREAM_MAX_RECORD, err);
}

struct stream_totals stream_writer_totals(const struct stream_writer *w)
{
    return w->segment.totals;
}

static void writer_free(struct stream_writer *w)
{
    buf_release(&w->bytes);
    hash_free(w->segment.hash);
    stream_header_release(&w->header);
    free(w);
}

int stream_writer_finish(struct stream_writer *w, struct err *err)
{
    pack_trailer(&w->pack, &w->segment);
    int status = output_end(w->out, put_object(w, STREAM_MAX_HEADER, err), err);
    writer_free(w);
    return status;
}

void stream_writer_abandon(struct stream_writer *w)
{
    if (!w)
        return;
    output_abandon(w->out);
    writer_free(w);
}
