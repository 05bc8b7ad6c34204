/* stream_parse: ft-stream(5)'s headers, records and trailers out of msgpack objects. */
#include "formats/stream_format.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* How a msgpack object begins: its bytes without the objects inside it, and their number. */
struct lead {
    uint64_t bytes, inside;
};

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* Where its length field is not all in p[len], lead->bytes reaches beyond len. */
static bool read_lead(const uint8_t *p, size_t len, struct lead *lead)
{
    /* Tags 0xc0 to 0xdf: bytes of a length that follows the tag, else fixed bytes behind it. */
    static const uint8_t length_width[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 0, 0, 0, 0, 0, 0,
                                             0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
    static const uint8_t fixed[32] = {0, 0, 0, 0, 0, 0, 0, 1, 1,  1, 4, 8, 1, 2, 4, 8,
                                      1, 2, 4, 8, 2, 3, 5, 9, 17, 0, 0, 0, 0, 0, 0, 0};
    uint8_t tag = p[0];
    *lead = (struct lead){1, 0};
    if (tag >= 0x80 && tag < 0x90)
        lead->inside = 2 * (uint64_t)(tag & 15);
    else if (tag >= 0x90 && tag < 0xa0)
        lead->inside = tag & 15;
    else if (tag >= 0xa0 && tag < 0xc0)
        lead->bytes += tag & 31;
    if (tag < 0xc0 || tag >= 0xe0)
        return true;
    size_t width = length_width[tag - 0xc0];
    lead->bytes += width + fixed[tag - 0xc0];
    if (width > len - 1)
        return true;
    uint64_t n = big_endian(p + 1, width);
    if (tag >= 0xdc)
        lead->inside = tag >= 0xde ? 2 * n : n;
    else
        lead->bytes += n;
    return tag != 0xc1;
}

uint64_t stream_object_size(const uint8_t *p, size_t len)
{
    uint64_t at = 0, pending = 1, elements = 0;
    while (pending && at < len) {
        struct lead lead;
        if (!read_lead(p + at, len - (size_t)at, &lead))
            return 0;
        at += lead.bytes;
        pending += lead.inside - 1;
        elements += lead.inside;
        if (elements > STREAM_MAX_ELEMENTS)
            return 0;
    }
    return at + pending;
}

struct field {
    const char *name;
    const msgpack_object *value; /* NULL: absent */
};

static bool string_is(const msgpack_object *o, const char *s)
{
    return o->type == MSGPACK_OBJECT_STR && o->via.str.size == strlen(s) &&
           !memcmp(o->via.str.ptr, s, o->via.str.size);
}

static const msgpack_object *map_get(const msgpack_object *map, const char *key)
{
    if (map->type != MSGPACK_OBJECT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (string_is(&map->via.map.ptr[i].key, key))
            return &map->via.map.ptr[i].val;
    return NULL;
}

/* Finds every field of a map. An unknown key is an error unless it begins with "x-". */
static int map_fields(const msgpack_object *map, struct field *fields, size_t n, struct err *err)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *key = &map->via.map.ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR)
            return err_set(err, "a key that is no string");
        size_t j = 0;
        while (j < n && !string_is(key, fields[j].name))
            j++;
        if (j < n && fields[j].value)
            return err_set(err, "\"%s\" is there twice", fields[j].name);
        if (j < n)
            fields[j].value = &map->via.map.ptr[i].val;
        else if (key->via.str.size < 2 || memcmp(key->via.str.ptr, "x-", 2) != 0)
            return err_set(err, "unknown key \"%.*s\"",
                           (int)(key->via.str.size < 40 ? key->via.str.size : 40),
                           key->via.str.ptr);
    }
    return 0;
}

static int get_number(const struct field *f, uint64_t max, uint64_t *out, struct err *err)
{
    if (!f->value)
        return err_set(err, "\"%s\" is missing", f->name);
    if (f->value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || f->value->via.u64 > max)
        return err_set(err, "\"%s\" is no whole number up to %" PRIu64, f->name, max);
    *out = f->value->via.u64;
    return 0;
}

static int get_id(const struct field *f, int64_t *out, struct err *err)
{
    uint64_t v = 0;
    *out = -1;
    if (f->value && f->value->type == MSGPACK_OBJECT_NIL)
        return 0;
    if (get_number(f, UINT32_MAX, &v, err))
        return -1;
    *out = (int64_t)v;
    return 0;
}

/* A str or bin without NULs as a new string; NULL for nil where that is allowed. */
static int copy_string(const msgpack_object *o, bool may_be_nil, char **out, struct err *err)
{
    *out = NULL;
    if (may_be_nil && o->type == MSGPACK_OBJECT_NIL)
        return 0;
    const char *p = o->type == MSGPACK_OBJECT_STR ? o->via.str.ptr : o->via.bin.ptr;
    size_t len = o->type == MSGPACK_OBJECT_STR ? o->via.str.size : o->via.bin.size;
    if ((o->type != MSGPACK_OBJECT_STR && o->type != MSGPACK_OBJECT_BIN) ||
        len > STREAM_MAX_STRING || memchr(p, 0, len))
        return err_set(err, "no string of at most %d bytes without NUL", STREAM_MAX_STRING);
    *out = xmemdup0(p, len);
    return 0;
}

static int get_hash(const struct field *f, char out[HASH_HEX], struct err *err)
{
    if (!f->value)
        return err_set(err, "\"%s\" is missing", f->name);
    if (f->value->type != MSGPACK_OBJECT_STR || f->value->via.str.size >= HASH_HEX)
        return err_set(err, "\"%s\" is no hash", f->name);
    memcpy(out, f->value->via.str.ptr, f->value->via.str.size);
    out[f->value->via.str.size] = 0;
    return 0;
}

/* A typed array: element i by typed_at. */
struct typed {
    const uint8_t *p;
    size_t width, n;
};

static int get_typed(const struct field *f, struct typed *out, struct err *err)
{
    if (!f->value)
        return err_set(err, "\"%s\" is missing", f->name);
    if (f->value->type != MSGPACK_OBJECT_EXT ||
        (f->value->via.ext.type != STREAM_EXT_U16 && f->value->via.ext.type != STREAM_EXT_U32) ||
        f->value->via.ext.size % (uint32_t)f->value->via.ext.type)
        return err_set(err, "\"%s\" is no typed array (ext of type 2 or 4)", f->name);
    out->p = (const uint8_t *)f->value->via.ext.ptr;
    out->width = (size_t)f->value->via.ext.type;
    out->n = f->value->via.ext.size / out->width;
    return 0;
}

static uint32_t typed_at(const struct typed *t, size_t i)
{
    const uint8_t *p = t->p + i * t->width;
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    return t->width == STREAM_EXT_U16 ? v : v | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int parse_kind(const struct field *f, enum stream_kind *out, struct err *err)
{
    for (int i = 0; stream_kind_names[i]; i++)
        if (f->value && string_is(f->value, stream_kind_names[i])) {
            *out = (enum stream_kind)i;
            return 0;
        }
    return err_set(err, "\"kind\" is not tokens, shard, preference or label");
}

static int parse_provenance(const struct field *f, struct stream_header *h, struct err *err)
{
    if (!f->value || f->value->type != MSGPACK_OBJECT_ARRAY)
        return err_set(err, "\"provenance\" is no array of strings");
    for (uint32_t i = 0; i < f->value->via.array.size; i++) {
        char *line;
        if (copy_string(&f->value->via.array.ptr[i], false, &line, err))
            return err_prefix(err, "\"provenance\"");
        stream_header_add_provenance(h, line);
        free(line);
    }
    return 0;
}

int stream_parse_header(const msgpack_object *o, struct stream_header *h, struct err *err)
{
    enum {
        FORMAT,
        VERSION,
        KIND,
        TOKENIZER,
        TEMPLATE,
        VOCAB_SIZE,
        BOS,
        EOS,
        LENGTH,
        PROVENANCE,
        N
    };
    struct field f[N] = {{"format", NULL},    {"version", NULL},  {"kind", NULL},
                         {"tokenizer", NULL}, {"template", NULL}, {"vocab_size", NULL},
                         {"bos", NULL},       {"eos", NULL},      {"length", NULL},
                         {"provenance", NULL}};
    const msgpack_object *format = map_get(o, "format"), *version = map_get(o, "version");
    uint64_t vocab_size = 0, length = 0;
    if (!format || !string_is(format, STREAM_FORMAT_NAME))
        return err_set(err, "this is no ft-stream(5)");
    if (!version || version->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return err_set(err, "\"version\" is no whole number");
    if (version->via.u64 != STREAM_FORMAT_VERSION)
        return err_set(err, "version %" PRIu64 " of ft-stream(5), this program reads %d",
                       version->via.u64, STREAM_FORMAT_VERSION);
    if (map_fields(o, f, N, err) || parse_kind(&f[KIND], &h->kind, err) ||
        get_hash(&f[TOKENIZER], h->tokenizer, err) ||
        get_hash(&f[TEMPLATE], h->template_hash, err) ||
        get_number(&f[VOCAB_SIZE], UINT32_MAX, &vocab_size, err) || get_id(&f[BOS], &h->bos, err) ||
        get_id(&f[EOS], &h->eos, err) || get_number(&f[LENGTH], STREAM_MAX_TOKENS, &length, err) ||
        parse_provenance(&f[PROVENANCE], h, err))
        return -1;
    h->vocab_size = (uint32_t)vocab_size;
    h->length = (uint32_t)length;
    return stream_header_check(h, err);
}

static int parse_tokens(const struct typed *ids, const struct typed *runs,
                        struct stream_record *out, struct err *err)
{
    if (ids->n > STREAM_MAX_TOKENS)
        return err_set(err, "%zu tokens, a record holds %d at most", ids->n, STREAM_MAX_TOKENS);
    if (ids->n > out->cap) {
        out->ids = xreallocarray(out->ids, ids->n, sizeof *out->ids);
        out->trained = xreallocarray(out->trained, ids->n, sizeof *out->trained);
        out->cap = ids->n;
    }
    for (size_t i = 0; i < ids->n; i++)
        out->ids[i] = typed_at(ids, i);
    size_t at = 0;
    for (size_t i = 0; i < runs->n; i++) {
        size_t run = typed_at(runs, i);
        if (run > ids->n - at || (!run && i))
            return err_set(err, "\"trained\": run %zu is %zu, of %zu tokens %zu are left", i, run,
                           ids->n, ids->n - at);
        memset(out->trained + at, i & 1, run);
        at += run;
    }
    if (at != ids->n)
        return err_set(err, "\"trained\" covers %zu of %zu tokens", at, ids->n);
    out->n = ids->n;
    return 0;
}

static bool get_weight(const msgpack_object *o, double *out)
{
    bool real = o->type == MSGPACK_OBJECT_FLOAT32 || o->type == MSGPACK_OBJECT_FLOAT64;
    bool whole = o->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    if (real || whole)
        *out = real ? o->via.f64 : (double)o->via.u64;
    return real || whole;
}

/* The lengths come before, and are at most what the record has tokens. */
static int parse_weights(const msgpack_object *o, struct stream_document *d, size_t most,
                         struct err *err)
{
    if (o->type == MSGPACK_OBJECT_NIL)
        return 0;
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size % 2 || d->n_tokens > most)
        return err_set(err, "no array of lengths and weights in turn");
    d->weights = xreallocarray(NULL, d->n_tokens + 1, sizeof *d->weights);
    size_t at = 0;
    for (uint32_t i = 0; i < o->via.array.size; i += 2) {
        const msgpack_object *run = &o->via.array.ptr[i];
        double weight;
        if (run->type != MSGPACK_OBJECT_POSITIVE_INTEGER || !run->via.u64 ||
            run->via.u64 > d->n_tokens - at || !get_weight(run + 1, &weight))
            return err_set(err, "run %" PRIu32 " is no length and weight of the %zu tokens left",
                           i / 2, d->n_tokens - at);
        for (uint64_t k = 0; k < run->via.u64; k++)
            d->weights[at++] = weight;
    }
    if (at != d->n_tokens)
        return err_set(err, "covers %zu of %zu tokens", at, d->n_tokens);
    return 0;
}

static int parse_cell(const msgpack_object *o, enum stream_column c, struct stream_document *d,
                      size_t most, struct err *err)
{
    if (c == COLUMN_WEIGHTS)
        return parse_weights(o, d, most, err);
    if (c == COLUMN_ID || c == COLUMN_SOURCE)
        return copy_string(o, true, c == COLUMN_ID ? &d->id : &d->source, err);
    if (c == COLUMN_WEIGHT && get_weight(o, &d->weight))
        return 0;
    if (c == COLUMN_LABEL && o->type == MSGPACK_OBJECT_BOOLEAN) {
        d->label = o->via.boolean;
        return 0;
    }
    /* 2^48 bytes or documents are no one's; sums and segments' bases stay far from overflow. */
    if (c == COLUMN_WEIGHT || c == COLUMN_LABEL || o->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        o->via.u64 >> 48)
        return err_set(err, "no number of the right kind");
    uint64_t v = o->via.u64;
    switch (c) {
    case COLUMN_LENGTHS:
        d->n_tokens = (size_t)v;
        break;
    case COLUMN_INDEX:
        d->index = v;
        break;
    case COLUMN_PART:
        d->part = v;
        break;
    default:
        d->text_bytes = v;
    }
    return 0;
}

static int parse_column(const struct field *f, enum stream_column c, struct stream_record *out,
                        struct err *err)
{
    if (!f->value)
        return 0;
    if (f->value->type != MSGPACK_OBJECT_ARRAY || f->value->via.array.size != out->n_documents)
        return err_set(err, "\"%s\" is no array of %zu values", f->name, out->n_documents);
    for (size_t i = 0; i < out->n_documents; i++)
        if (parse_cell(&f->value->via.array.ptr[i], c, &out->documents[i], out->n, err))
            return err_prefix(err, "\"%s\"[%zu]", f->name, i);
    return 0;
}

static int parse_documents(const struct field columns[N_COLUMNS], struct stream_record *out,
                           struct err *err)
{
    const msgpack_object *lengths = columns[COLUMN_LENGTHS].value;
    if (!lengths || lengths->type != MSGPACK_OBJECT_ARRAY)
        return err_set(err, "\"lengths\" is no array");
    size_t n = lengths->via.array.size;
    if (n > out->documents_cap) {
        out->documents = xreallocarray(out->documents, n, sizeof *out->documents);
        out->documents_cap = n;
    }
    for (size_t i = 0; i < n; i++)
        stream_document_init(&out->documents[i]);
    out->n_documents = n;
    for (enum stream_column c = 0; c < N_COLUMNS; c++)
        if (parse_column(&columns[c], c, out, err))
            return -1;
    for (size_t i = 0, at = 0; i < n && out->documents[i].n_tokens <= out->n - at; i++) {
        stream_weights_reduce(&out->documents[i], out->trained + at);
        at += out->documents[i].n_tokens;
    }
    return 0;
}

int stream_parse_record(const msgpack_object *o, const struct stream_header *h,
                        struct stream_record *out, bool *has_index, struct err *err)
{
    enum { IDS = N_COLUMNS, TRAINED, N };
    struct field f[N] = {[IDS] = {"ids", NULL}, [TRAINED] = {"trained", NULL}};
    struct typed ids, runs;
    for (enum stream_column c = 0; c < N_COLUMNS; c++)
        f[c].name = stream_column_names[c];
    stream_record_clear(out);
    if (map_fields(o, f, N, err) || get_typed(&f[IDS], &ids, err) ||
        get_typed(&f[TRAINED], &runs, err) || parse_tokens(&ids, &runs, out, err) ||
        parse_documents(f, out, err))
        return -1;
    if ((h->kind == STREAM_LABEL) != (f[COLUMN_LABEL].value != NULL))
        return err_set(err, "\"label\" is %s in a stream of kind %s",
                       f[COLUMN_LABEL].value ? "there" : "missing", stream_kind_names[h->kind]);
    *has_index = f[COLUMN_INDEX].value != NULL;
    if (h->kind == STREAM_PREFERENCE && out->n_documents == 2 &&
        out->documents[0].index != out->documents[1].index)
        return err_set(err, "\"index\" of the chosen is another than of the rejected");
    return stream_record_check(out, h, err);
}

int stream_parse_trailer(const msgpack_object *o, const struct stream_segment *s, struct err *err)
{
    enum { CHECKSUM = 5, N };
    struct field f[N] = {{"records", NULL}, {"documents", NULL}, {"tokens", NULL},
                         {"trained", NULL}, {"bytes", NULL},     {"checksum", NULL}};
    const uint64_t want[] = {s->totals.records, s->totals.documents, s->totals.tokens,
                             s->totals.trained, s->totals.text_bytes};
    char want_hex[HASH_HEX], hex[HASH_HEX];
    if (map_fields(o, f, N, err) || get_hash(&f[CHECKSUM], hex, err))
        return -1;
    hash_hex(s->hash, want_hex);
    if (strcmp(hex, want_hex) != 0)
        return err_set(err, "damaged: the checksum is %s, the trailer says %s", want_hex, hex);
    for (size_t i = 0; i < CHECKSUM; i++) {
        uint64_t v = 0;
        if (get_number(&f[i], UINT64_MAX, &v, err))
            return -1;
        if (v != want[i])
            return err_set(err, "the trailer says %" PRIu64 " %s, but there were %" PRIu64, v,
                           f[i].name, want[i]);
    }
    return 0;
}

enum stream_object stream_object_kind(const msgpack_object *o)
{
    if (map_get(o, "ids"))
        return STREAM_OBJECT_RECORD;
    if (map_get(o, "format"))
        return STREAM_OBJECT_HEADER;
    return map_get(o, "checksum") ? STREAM_OBJECT_TRAILER : STREAM_OBJECT_OTHER;
}
