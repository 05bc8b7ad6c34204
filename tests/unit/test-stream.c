/* stream: round trips, the bytes themselves, and every way in which a stream can be wrong. */
#include "tap.h"

#include <jansson.h>
#include <msgpack.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/stream.h"

static char directory[] = "/tmp/test-stream-XXXXXX";

static char *in_directory(const char *name)
{
    static char path[4][256];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof *path, "%s/%s", directory, name);
    return p;
}

static void header_for(struct stream_header *h, enum stream_kind kind, uint32_t vocab_size)
{
    stream_header_init(h);
    h->kind = kind;
    strcpy(h->tokenizer, "0123456789abcdef0123456789abcdef");
    h->vocab_size = vocab_size;
    h->bos = 1;
    h->length = kind == STREAM_SHARD ? 16 : 0;
    stream_header_add_provenance(h, "ft-tok 0.1.0 -m model");
}

static struct stream_document document(const char *id, const char *source, double weight)
{
    struct stream_document d;
    stream_document_init(&d);
    d.id = (char *)(uintptr_t)id;
    d.source = (char *)(uintptr_t)source;
    d.weight = weight;
    return d;
}

/* A shard of two rows; every column is there. */
static int write_sample(const char *path, uint32_t vocab_size, struct err *err)
{
    struct stream_header h;
    struct stream_writer *w;
    struct stream_record r;
    uint32_t ids[] = {1, 5, 9, vocab_size - 1, 7, 2};
    uint8_t trained[] = {0, 0, 1, 1, 0, 1};
    header_for(&h, STREAM_SHARD, vocab_size);
    if (stream_writer_open(&w, path, &h, err))
        return -1;
    stream_record_init(&r);
    struct stream_document d = document("first", "a.txt", 1);
    d.text_bytes = 300;
    stream_record_add(&r, ids, trained, 6, &d);
    d = document(NULL, "b\xff.txt", 0.5);
    d.index = 1;
    d.part = 2;
    stream_record_add(&r, ids + 1, NULL, 3, &d);
    int status = stream_write(w, &r, err);
    stream_record_clear(&r);
    d = document("last", NULL, 1);
    d.index = 2;
    stream_record_add(&r, ids, NULL, 1, &d);
    if (!status)
        status = stream_write(w, &r, err);
    stream_record_release(&r);
    stream_header_release(&h);
    if (status) {
        stream_writer_abandon(w);
        return -1;
    }
    return stream_writer_finish(w, err);
}

/* Reads it all; 0 or -1. *totals may be NULL. */
static int read_all(struct stream_reader *r, struct stream_totals *totals, struct err *err)
{
    struct stream_record record;
    int status;
    stream_record_init(&record);
    while ((status = stream_read(r, &record, err)) > 0)
        ;
    stream_record_release(&record);
    if (totals)
        *totals = stream_reader_totals(r);
    return status;
}

static int read_bytes(const void *p, size_t len, struct err *err)
{
    struct input *in;
    struct stream_reader *r;
    if (input_open_memory(&in, "mem", p, len, err) || stream_reader_open_input(&r, in, err))
        return -1;
    int status = read_all(r, NULL, err);
    stream_reader_close(r);
    return status;
}

static char *slurp(const char *path, size_t *len)
{
    struct err err;
    char *p = file_read(path, 1 << 20, len, &err);
    if (!p) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    return p;
}

static void test_round_trip(uint32_t vocab_size)
{
    struct err err = {""};
    struct stream_reader *r;
    struct stream_record record;
    const char *path = in_directory("sample.ft");
    tap_ok(!write_sample(path, vocab_size, &err), "vocabulary of %" PRIu32 ": written %s",
           vocab_size, err.msg);
    tap_ok(!stream_reader_open(&r, path, &err), "opened %s", err.msg);
    const struct stream_header *h = stream_reader_header(r);
    tap_ok(h->kind == STREAM_SHARD && h->vocab_size == vocab_size && h->bos == 1 && h->eos == -1 &&
               h->length == 16 && !*h->template_hash,
           "header's numbers");
    tap_is_str("header's tokenizer", h->tokenizer, "0123456789abcdef0123456789abcdef");
    tap_is_str("header's provenance", h->provenance[0], "ft-tok 0.1.0 -m model");
    stream_record_init(&record);
    tap_ok(stream_read(r, &record, &err) == 1, "first record");
    tap_is_u64("tokens", record.n, 9);
    tap_is_u64("documents", record.n_documents, 2);
    tap_ok(record.ids[3] == vocab_size - 1 && record.ids[8] == vocab_size - 1, "ids");
    const uint8_t trained[] = {0, 0, 1, 1, 0, 1, 0, 1, 1};
    tap_ok(!memcmp(record.trained, trained, 9), "trained mask");
    const struct stream_document *d = record.documents;
    tap_ok(!strcmp(d[0].id, "first") && !strcmp(d[0].source, "a.txt") && d[0].text_bytes == 300 &&
               d[0].weight == 1 && d[0].n_tokens == 6,
           "first document");
    tap_ok(!d[1].id && !strcmp(d[1].source, "b\xff.txt") && d[1].weight == 0.5 && d[1].part == 2 &&
               d[1].index == 1 && d[1].n_tokens == 3,
           "second document, with a source that is no UTF-8");
    tap_ok(stream_read(r, &record, &err) == 1 && record.n == 1 &&
               !strcmp(record.documents[0].id, "last") && record.documents[0].index == 2,
           "second record");
    tap_ok(stream_read(r, &record, &err) == 0, "a clean end");
    struct stream_totals t = stream_reader_totals(r);
    tap_ok(t.records == 2 && t.documents == 3 && t.tokens == 10 && t.trained == 5 &&
               t.text_bytes == 300,
           "totals");
    stream_record_release(&record);
    stream_reader_close(r);
}

/* The format is a promise: these bytes don't change while the version is 1. */
static void test_bytes(void)
{
    struct err err;
    struct stream_header h;
    struct stream_writer *w;
    struct stream_record r;
    uint32_t ids[] = {1, 258, 3};
    const char *path = in_directory("bytes.ft");
    stream_header_init(&h);
    h.vocab_size = 300;
    h.eos = 2;
    stream_record_init(&r);
    struct stream_document d = document("x", NULL, 1);
    stream_record_add(&r, ids, NULL, 3, &d);
    tap_ok(!stream_writer_open(&w, path, &h, &err) && !stream_write(w, &r, &err) &&
               !stream_writer_finish(w, &err),
           "bytes: written");
    static const char want[] =
        "\x8a\xa6"
        "format\xa9"
        "ft-stream\xa7version\x01\xa4kind\xa6tokens\xa9tokenizer\xa0\xa8template\xa0\xaavocab_"
        "size\xcd\x01\x2c"
        "\xa3"
        "bos\xc0\xa3"
        "eos\x02\xa6length\x00\xaaprovenance\x90"
        "\x84\xa3ids\xc7\x06\x02\x01\x00\x02\x01\x03\x00\xa7trained\xd6\x02\x01\x00\x02\x00"
        "\xa7lengths\x91\x03\xa2id\x91\xa1x"
        "\x86\xa7records\x01\xa9"
        "documents\x01\xa6tokens\x03\xa7trained\x02\xa5"
        "bytes\x00\xa8"
        "checksum\xd9\x20";
    size_t len, n = sizeof want - 1;
    char *got = slurp(path, &len);
    tap_is_u64("bytes: length", len, n + 32);
    tap_ok(len >= n && !memcmp(got, want, n), "bytes: as the manual says");
    free(got);
    stream_record_release(&r);
}

static void test_every_cut(void)
{
    size_t len, wrong = 0, unclear = 0;
    struct err err;
    char *p = slurp(in_directory("sample.ft"), &len);
    for (size_t n = 0; n < len; n++) {
        err.msg[0] = 0;
        char *exact = xmemdup0(p, n); /* so that a read beyond is seen by ASan */
        wrong += read_bytes(exact, n, &err) == 0;
        unclear += strncmp(err.msg, "mem: ", 5) != 0 || (n && !strstr(err.msg, "byte"));
        free(exact);
    }
    tap_is_u64("cut at every byte: each is an error", wrong, 0);
    tap_is_u64("cut at every byte: each names file and byte", unclear, 0);
    tap_ok(!read_bytes(p, len, &err), "whole: read");
    free(p);
}

static void test_every_flip(void)
{
    size_t len, wrong = 0;
    struct err err;
    char *p = slurp(in_directory("sample.ft"), &len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        p[bit / 8] ^= (char)(1 << bit % 8);
        wrong += read_bytes(p, len, &err) == 0;
        p[bit / 8] ^= (char)(1 << bit % 8);
    }
    tap_is_u64("every bit flipped in turn: each is an error", wrong, 0);
    free(p);
}

/* JSON to msgpack, so that wrong streams can be written down: {"u16": [..]} and {"u32": [..]} are
 * typed arrays. */
static void pack_json(msgpack_packer *pk, const json_t *v)
{
    const char *key;
    json_t *item;
    if (json_is_object(v)) {
        bool u16 = json_object_get(v, "u16") != NULL;
        const json_t *typed = json_object_get(v, u16 ? "u16" : "u32");
        size_t width = u16 ? 2 : 4, i;
        if (typed) {
            msgpack_pack_ext(pk, width * json_array_size(typed), (int8_t)width);
            json_array_foreach((json_t *)(uintptr_t)typed, i, item)
            {
                uint32_t x = (uint32_t)json_integer_value(item);
                msgpack_pack_ext_body(pk, &x, width);
            }
            return;
        }
        msgpack_pack_map(pk, json_object_size(v));
        json_object_foreach((json_t *)(uintptr_t)v, key, item)
        {
            msgpack_pack_str_with_body(pk, key, strlen(key));
            pack_json(pk, item);
        }
    } else if (json_is_array(v)) {
        msgpack_pack_array(pk, json_array_size(v));
        for (size_t i = 0; i < json_array_size(v); i++)
            pack_json(pk, json_array_get(v, i));
    } else if (json_is_string(v)) {
        msgpack_pack_str_with_body(pk, json_string_value(v), json_string_length(v));
    } else if (json_is_integer(v)) {
        msgpack_pack_int64(pk, json_integer_value(v));
    } else if (json_is_real(v)) {
        msgpack_pack_double(pk, json_real_value(v));
    } else if (json_is_boolean(v)) {
        if (json_is_true(v))
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
    } else {
        msgpack_pack_nil(pk);
    }
}

static void add_object(msgpack_sbuffer *b, const char *text)
{
    msgpack_packer pk;
    json_error_t e;
    json_t *v = json_loads(text, JSON_ALLOW_NUL, &e);
    if (!v) {
        printf("Bail out! %s: %s\n", text, e.text);
        exit(1);
    }
    msgpack_packer_init(&pk, b, msgpack_sbuffer_write);
    pack_json(&pk, v);
    json_decref(v);
}

static const char good_header[] =
    "{'format':'ft-stream','version':1,'kind':'shard','tokenizer':'','template':'','vocab_size':10,"
    "'bos':null,'eos':null,'length':4,'provenance':[]";
static const char good_record[] =
    "{'ids':{'u16':[1,2,3]},'trained':{'u16':[1,2]},'lengths':[3],'index':[0]";
static const char good_trailer[] = "'records':1,'documents':1,'tokens':3,'trained':2,'bytes':0";

static void double_quotes(struct buf *b, const char *text)
{
    buf_addstr(b, text);
    for (char *p = b->p; *p; p++)
        if (*p == '\'')
            *p = '"';
}

/* Reads a segment of these objects (single quotes for double ones) with a right checksum. */
static int read_segment(const char *header, const char *record, const char *trailer,
                        struct err *err)
{
    msgpack_sbuffer b;
    struct buf text = BUF_INIT;
    char hex[HASH_HEX];
    msgpack_sbuffer_init(&b);
    double_quotes(&text, header);
    add_object(&b, text.p);
    buf_clear(&text);
    double_quotes(&text, record);
    add_object(&b, text.p);
    buf_clear(&text);
    hash_bytes_hex(b.data, b.size, hex);
    buf_addf(&text, "{%s,'checksum':'%s'}", trailer, hex);
    double_quotes(&text, "");
    add_object(&b, text.p);
    int status = read_bytes(b.data, b.size, err);
    msgpack_sbuffer_destroy(&b);
    buf_release(&text);
    return status;
}

static void test_contents(void)
{
    /* What goes instead of which part, or behind it; "" for nothing. The error has `want`; "":
     * none. */
    static const struct {
        const char *name, *old, *new, *want;
    } cases[] = {
        {"as it is", "", "", ""},
        {"typed arrays of 4 bytes", "'u16'", "'u32'", ""},
        {"optional key in the header", "'version'", "'x-note':'hello','version'", ""},
        {"optional key in a record", "'lengths'", "'x-note':[1,2],'lengths'", ""},
        {"unknown key in the header", "'version'", "'note':1,'version'", "unknown key \"note\""},
        {"unknown key in a record", "'lengths'", "'labels':[1],'lengths'",
         "unknown key \"labels\""},
        {"unknown key in the trailer", "'records'", "'lines':1,'records'", "unknown key \"lines\""},
        {"version 2", "'version':1", "'version':2", "version 2"},
        {"another format", "'ft-stream'", "'ft-streak'", "no ft-stream"},
        {"kind", "'shard'", "'sharp'", "\"kind\""},
        {"tokenizer no hash", "'tokenizer':''", "'tokenizer':'zz'", "32 hexadecimal digits"},
        {"no vocabulary", "'vocab_size':10", "'vocab_size':0", "vocab_size is 0"},
        {"negative vocabulary", "'vocab_size':10", "'vocab_size':-1", "\"vocab_size\" is no whole"},
        {"vocabulary beyond 32 bits", "'vocab_size':10", "'vocab_size':4294967296", "vocab_size"},
        {"bos outside", "'bos':null", "'bos':10", "outside the vocabulary"},
        {"bos text", "'bos':null", "'bos':'<s>'", "\"bos\""},
        {"shard without length", "'length':4", "'length':0", "length 0"},
        {"missing length", "'length':4,", "", "\"length\" is missing"},
        {"provenance text", "'provenance':[]", "'provenance':'x'", "\"provenance\""},
        {"row longer than length", "'length':4", "'length':2", "rows of at most 2"},
        {"id outside the vocabulary", "[1,2,3]", "[1,10,3]", "token 1 is 10"},
        {"ids a plain array", "{'u16':[1,2,3]}", "[1,2,3]", "typed array"},
        {"no ids", "[1,2,3]", "[]", "run 0"},
        {"runs too short", "[1,2]}", "[1,1]}", "covers 2 of 3"},
        {"runs too long", "[1,2]}", "[1,3]}", "run 1 is 3"},
        {"a run of 0", "[1,2]}", "[1,0,2]}", "run 1 is 0"},
        {"first token trained", "[1,2]}", "[0,3]}", "first token is marked"},
        {"lengths too short", "'lengths':[3]", "'lengths':[2]", "add up to 2"},
        {"lengths too long", "'lengths':[3]", "'lengths':[4]", "4 tokens, 3 are left"},
        {"a document of no tokens", "'lengths':[3]", "'lengths':[0]", "0 tokens"},
        {"lengths that wrap around", "'lengths':[3]", "'lengths':[281474976710655]", "are left"},
        {"negative length", "'lengths':[3]", "'lengths':[-3]", "\"lengths\"[0]"},
        {"no documents", "'lengths':[3],'index':[0]", "'lengths':[]", "0 documents"},
        {"no lengths", "'lengths':[3],", "", "\"lengths\""},
        {"a column of another size", "'index':[0]", "'index':[0,1]", "\"index\" is no array of 1"},
        {"weight text", "'index':[0]", "'weight':['x']", "\"weight\"[0]"},
        {"weight negative", "'index':[0]", "'weight':[-0.5]", "weight is -0.5"},
        {"weight whole", "'index':[0]", "'weight':[2]", ""},
        {"id a number", "'index':[0]", "'id':[7]", "\"id\"[0]"},
        {"id with NUL", "'index':[0]", "'id':['a\\u0000b']", "without NUL"},
        {"no index", ",'index':[0]", "", ""},
        {"records", "'records':1", "'records':2", "2 records, but there were 1"},
        {"documents", "'documents':1", "'documents':2", "2 documents"},
        {"tokens", "'tokens':3", "'tokens':4", "4 tokens"},
        {"trained", "'trained':2,'bytes'", "'trained':1,'bytes'", "1 trained"},
        {"bytes", "'bytes':0", "'bytes':1", "1 bytes"},
        {"neither record nor trailer", "'ids'", "'idx'", "neither a record nor a trailer"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf part[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
        const char *const good[3] = {good_header, good_record, good_trailer};
        struct err err = {""};
        bool found = false;
        for (int j = 0; j < 3; j++) {
            const char *rest = good[j], *at;
            while (*cases[i].old && (at = strstr(rest, cases[i].old))) {
                buf_add(&part[j], rest, (size_t)(at - rest));
                buf_addstr(&part[j], cases[i].new);
                rest = at + strlen(cases[i].old);
                found = true;
            }
            buf_addstr(&part[j], rest);
            if (j < 2)
                buf_addch(&part[j], '}');
        }
        int status = read_segment(part[0].p, part[1].p, part[2].p, &err);
        bool ok = *cases[i].want ? status < 0 && strstr(err.msg, cases[i].want) : !status;
        tap_ok(ok && (found || !*cases[i].old), "%s%s%s", cases[i].name, *err.msg ? ": " : "",
               err.msg);
        for (int j = 0; j < 3; j++)
            buf_release(&part[j]);
    }
}

/* What preferences are learnt from: header and record of their own. */
static void test_completions(void)
{
    static const char header[] = "{'format':'ft-stream','version':1,'kind':'%s','tokenizer':'',"
                                 "'template':'','vocab_size':10,'bos':null,'eos':null,"
                                 "'length':%d,'provenance':[]}";
    static const char pair[] = "{'ids':{'u16':[1,2,3,1,2,4,5]},'trained':{'u16':[2,1,2,2]},";
    static const char one[] = "{'ids':{'u16':[1,2,3]},'trained':{'u16':[2,1]},'lengths':[3],";
    static const struct {
        const char *name, *kind;
        int length;
        const char *record, *rest, *want; /* want "": no error */
    } cases[] = {
        {"a preference", "preference", 0, pair, "'lengths':[3,4]}", ""},
        {"packed", "preference", 4, pair, "'lengths':[3,4],'index':[5,5]}", ""},
        {"one side too long", "preference", 3, pair, "'lengths':[3,4]}", "document 1: 4 tokens"},
        {"two places", "preference", 4, pair, "'lengths':[3,4],'index':[5,6]}", "\"index\""},
        {"one side", "preference", 0, pair, "'lengths':[7]}", "1 documents"},
        {"three sides", "preference", 0, pair, "'lengths':[3,2,2]}", "3 documents"},
        {"one without a completion", "preference", 0,
         "{'ids':{'u16':[1,2,3,4]},'trained':{'u16':[1,1,2]},", "'lengths':[2,2]}",
         "document 1: none of its tokens is trained"},
        {"with labels", "preference", 0, pair, "'lengths':[3,4],'label':[true,true]}",
         "\"label\" is there"},
        {"a label", "label", 0, one, "'label':[true]}", ""},
        {"no label", "label", 0, one, "'id':['x']}", "\"label\" is missing"},
        {"a label that is none", "label", 0, one, "'label':[1]}", "\"label\"[0]"},
        {"two of a label", "label", 0, pair, "'lengths':[3,4],'label':[true,false]}",
         "2 documents"},
        {"a token stream with labels", "tokens", 0, one, "'label':[true]}", "\"label\" is there"},
        {"a token stream with a length", "tokens", 4, one, "'id':['x']}", "length 4"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf h = BUF_INIT, r = BUF_INIT, t = BUF_INIT;
        struct err err = {""};
        bool two = cases[i].record == pair;
        buf_addf(&h, header, cases[i].kind, cases[i].length);
        buf_addf(&r, "%s%s", cases[i].record, cases[i].rest);
        buf_addf(&t, "'records':1,'documents':%d,'tokens':%d,'trained':%d,'bytes':0", two ? 2 : 1,
                 two ? 7 : 3, two ? 3 : 1);
        int status = read_segment(h.p, r.p, t.p, &err);
        tap_ok(*cases[i].want ? status < 0 && strstr(err.msg, cases[i].want) : !status,
               "completions: %s%s%s", cases[i].name, *err.msg ? ": " : "", err.msg);
        buf_release(&h);
        buf_release(&r);
        buf_release(&t);
    }
    const uint8_t trained[] = {0, 0, 1, 0, 1};
    tap_ok(stream_prompt_tokens(trained, 5) == 2 && stream_prompt_tokens(trained, 2) == 2 &&
               stream_prompt_tokens(trained, 0) == 0,
           "completions: where they begin");
}

static void test_absurd(void)
{
    /* After a good header: each promises more than there is. */
    static const struct {
        const char *name, *bytes;
        size_t len;
    } cases[] = {
        {"array of 2^32-1", "\x81\xa3ids\xdd\xff\xff\xff\xff", 10},
        {"map of 2^32-1", "\xdf\xff\xff\xff\xff", 5},
        {"ext of 2^32-1", "\x81\xa3ids\xc9\xff\xff\xff\xff\x02", 11},
        {"str of 2^32-1", "\x81\xdb\xff\xff\xff\xff", 6},
        {"bin of 2^30", "\x81\xc6\x40\x00\x00\x00", 6},
        {"ext of 2^29", "\x81\xa3ids\xc9\x20\x00\x00\x00\x02", 11},
        {"the unused tag", "\xc1", 1},
        {"nested arrays",
         "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
         "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
         "\x91\x91\x91\x91\x01",
         41},
    };
    size_t before = mem_peak_rss();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        msgpack_sbuffer b;
        struct buf text = BUF_INIT;
        struct err err = {""};
        msgpack_sbuffer_init(&b);
        double_quotes(&text, good_header);
        buf_addch(&text, '}');
        add_object(&b, text.p);
        msgpack_sbuffer_write(&b, cases[i].bytes, cases[i].len);
        int status = read_bytes(b.data, b.size, &err);
        tap_ok(status < 0, "%s: %s", cases[i].name, err.msg);
        msgpack_sbuffer_destroy(&b);
        buf_release(&text);
    }
    tap_ok(mem_peak_rss() < before + (16 << 20), "absurd lengths take no memory");
}

static void test_other_bytes(void)
{
    struct err err;
    tap_ok(read_bytes("{\"ids\": [1]}\n", 13, &err) < 0 && strstr(err.msg, "ft-pack"), "%s",
           err.msg);
    tap_ok(read_bytes("GGUF", 4, &err) < 0 && strstr(err.msg, "no ft-stream"), "%s", err.msg);
    tap_ok(read_bytes("", 0, &err) < 0 && strstr(err.msg, "empty"), "%s", err.msg);
    struct stream_reader *r;
    tap_ok(stream_reader_open(&r, "/", &err) < 0, "%s", err.msg);
    tap_ok(stream_reader_open(&r, in_directory("none"), &err) < 0, "%s", err.msg);
}

static void test_concatenation(void)
{
    size_t len;
    struct err err;
    struct stream_reader *r;
    struct stream_record record;
    struct input *in;
    char *p = slurp(in_directory("sample.ft"), &len), hex[HASH_HEX];
    struct buf twice = BUF_INIT;
    buf_add(&twice, p, len);
    buf_add(&twice, p, len);
    uint64_t indices[6];
    size_t n = 0;
    stream_record_init(&record);
    input_open_memory(&in, "mem", twice.p, twice.len, &err);
    tap_ok(!stream_reader_open_input(&r, in, &err), "two streams in one: opened");
    while (stream_read(r, &record, &err) > 0)
        for (size_t i = 0; i < record.n_documents && n < 6; i++)
            indices[n++] = record.documents[i].index;
    tap_is_u64("two streams in one: records", stream_reader_totals(r).records, 4);
    tap_ok(n == 6 && indices[2] == 2 && indices[3] == 3 && indices[5] == 5,
           "two streams in one: documents are numbered on");
    stream_reader_hash(r, hex);
    tap_is_u64("two streams in one: a hash", strlen(hex), 32);
    stream_reader_close(r);

    twice.p[strstr(twice.p + len, "tokenizer") - twice.p + 12] = 'f';
    tap_ok(read_bytes(twice.p, twice.len, &err) < 0 && strstr(err.msg, "another tokenizer"), "%s",
           err.msg);
    buf_clear(&twice);
    buf_add(&twice, p, len - 80); /* into the trailer */
    buf_add(&twice, p, len);
    tap_ok(read_bytes(twice.p, twice.len, &err) < 0, "a cut one before a whole one: %s", err.msg);
    buf_release(&twice);
    stream_record_release(&record);
    free(p);
}

/* The same records whatever the compression and the size of reads. */
static void test_same_however_it_comes(void)
{
    static const char *const names[] = {"s.ft.gz", "s.ft.xz", "s.ft.zst"};
    struct err err;
    struct stream_reader *r;
    char want[HASH_HEX], got[HASH_HEX];
    stream_reader_open(&r, in_directory("sample.ft"), &err);
    read_all(r, NULL, &err);
    stream_reader_hash(r, want);
    stream_reader_close(r);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *path = in_directory(names[i]);
        tap_ok(!write_sample(path, 300, &err) && !stream_reader_open(&r, path, &err) &&
                   !read_all(r, NULL, &err),
               "%s", names[i]);
        stream_reader_hash(r, got);
        tap_is_str(names[i], got, want);
        stream_reader_close(r);
    }
    int fd[2];
    size_t len;
    char *p = slurp(in_directory("sample.ft"), &len);
    if (pipe(fd))
        return;
    pid_t child = fork();
    if (!child) {
        close(fd[0]);
        for (size_t i = 0; i < len; i++)
            if (write(fd[1], p + i, 1) != 1)
                _exit(1);
        _exit(0);
    }
    close(fd[1]);
    dup2(fd[0], 0);
    tap_ok(!stream_reader_open(&r, "-", &err) && !read_all(r, NULL, &err), "a byte at a time");
    stream_reader_hash(r, got);
    tap_is_str("a byte at a time", got, want);
    stream_reader_close(r);
    waitpid(child, NULL, 0);
    free(p);
}

/* Larger than any buffer: a long document whose mask changes at every token, and many short ones.
 */
static void test_large(void)
{
    enum { LONG = 1000000, MANY = 100000 };
    struct err err = {""};
    struct stream_header h;
    struct stream_writer *w;
    struct stream_reader *r;
    struct stream_record record, back;
    const char *path = in_directory("large.ft");
    uint32_t *ids = xreallocarray(NULL, LONG, sizeof *ids);
    uint8_t *trained = xmalloc(LONG);
    for (size_t i = 0; i < LONG; i++) {
        ids[i] = (uint32_t)(i * 2654435761 % 70000);
        trained[i] = i % 2;
    }
    header_for(&h, STREAM_SHARD, 70000);
    h.length = LONG;
    stream_record_init(&record);
    stream_record_init(&back);
    bool ok = !stream_writer_open(&w, path, &h, &err);
    struct stream_document d = document("long", NULL, 1);
    stream_record_add(&record, ids, trained, LONG, &d);
    ok = ok && !stream_write(w, &record, &err);
    stream_record_clear(&record);
    for (uint64_t i = 0; i < MANY; i++) {
        char id[24];
        snprintf(id, sizeof id, "document %" PRIu64, i);
        d = document(id, NULL, 1);
        d.index = i;
        stream_record_add(&record, ids + i, NULL, 1 + i % 5, &d);
    }
    ok = ok && !stream_write(w, &record, &err) && !stream_writer_finish(w, &err);
    tap_ok(ok, "large: written %s", err.msg);
    tap_ok(!stream_reader_open(&r, path, &err) && stream_read(r, &back, &err) == 1 &&
               back.n == LONG && !memcmp(back.ids, ids, LONG * sizeof *ids) &&
               !memcmp(back.trained, trained, LONG),
           "large: a million tokens");
    tap_ok(stream_read(r, &back, &err) == 1 && back.n == record.n && back.n_documents == MANY &&
               !memcmp(back.ids, record.ids, record.n * sizeof *ids) &&
               !strcmp(back.documents[MANY - 1].id, "document 99999"),
           "large: a hundred thousand documents in a row");
    tap_ok(stream_read(r, &back, &err) == 0, "large: a clean end");
    stream_reader_close(r);
    stream_record_release(&record);
    stream_record_release(&back);
    stream_header_release(&h);
    free(ids);
    free(trained);
}

static void refuse(const char *name, struct stream_writer *w, const struct stream_record *r,
                   const char *want)
{
    struct err err = {""};
    tap_ok(stream_write(w, r, &err) < 0 && strstr(err.msg, want), "writer: %s: %s", name, err.msg);
}

static void test_writer_refuses(void)
{
    struct err err;
    struct stream_header h;
    struct stream_writer *w;
    struct stream_record r;
    uint32_t ids[20] = {0, 1, 2, 300};
    struct stream_document d = document("x", NULL, 1);
    const char *path = in_directory("refused.ft");
    header_for(&h, STREAM_SHARD, 300);
    h.vocab_size = 0;
    tap_ok(stream_writer_open(&w, path, &h, &err) < 0, "writer: %s", err.msg);
    h.vocab_size = 300;
    tap_ok(!stream_writer_open(&w, path, &h, &err), "writer: opened");
    stream_record_init(&r);
    refuse("no documents", w, &r, "0 documents");
    stream_record_add(&r, ids, NULL, 0, &d);
    refuse("an empty document", w, &r, "0 tokens");
    stream_record_clear(&r);
    stream_record_add(&r, ids, NULL, 4, &d);
    refuse("an id outside", w, &r, "token 3 is 300");
    stream_record_clear(&r);
    ids[3] = 0;
    stream_record_add(&r, ids, NULL, 17, &d);
    refuse("a row too long", w, &r, "at most 16");
    stream_record_clear(&r);
    stream_record_add(&r, ids, NULL, 4, &d);
    r.trained[0] = 1;
    refuse("a trained first token", w, &r, "first token");
    stream_record_clear(&r);
    d.weight = NAN;
    stream_record_add(&r, ids, NULL, 4, &d);
    refuse("a weight that is no number", w, &r, "weight");
    stream_writer_abandon(w);
    tap_ok(access(path, F_OK) != 0, "writer: an abandoned output leaves nothing");

    h.kind = STREAM_TOKENS;
    h.length = 0;
    d.weight = 1;
    stream_record_clear(&r);
    stream_record_add(&r, ids, NULL, 1, &d);
    stream_record_add(&r, ids, NULL, 1, &d);
    stream_writer_open(&w, path, &h, &err);
    refuse("two documents in a record of tokens", w, &r, "kind tokens has 1");
    stream_writer_abandon(w);
    stream_record_release(&r);
    stream_header_release(&h);
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    test_round_trip(70000);
    test_round_trip(300);
    test_bytes();
    test_every_cut();
    test_every_flip();
    test_contents();
    test_completions();
    test_absurd();
    test_other_bytes();
    test_concatenation();
    test_same_however_it_comes();
    test_large();
    test_writer_refuses();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) ? 1 : tap_done();
}
