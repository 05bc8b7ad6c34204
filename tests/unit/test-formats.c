/* formats: number types, safetensors, GGUF and model folders, whole and damaged. */
#include "files.h"
#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "base/mapfile.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"

static char folder[64] = "/tmp/test-formats-XXXXXX";
static struct err err;

static const char *scratch(const char *name)
{
    return scratch_in(folder, name);
}

/* Without the fsync of file_write, nor the flush that truncating a file means to ext4: these tests
 * write thousands of files. */
static void write_scratch(const char *name, const void *p, size_t len)
{
    unlink(scratch(name));
    FILE *f = fopen(scratch(name), "w");
    if (!f || fwrite(p, 1, len, f) != len || fclose(f)) {
        printf("Bail out! can't write %s\n", scratch(name));
        exit(1);
    }
}

static void test_f16(void)
{
    size_t back = 0, nans = 0;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float f = f16_to_float((uint16_t)h);
        if (isnan(f))
            nans += isnan(f16_to_float(float_to_f16(f)));
        else
            back += float_to_f16(f) == h;
    }
    tap_ok(back == 0x10000 - 2 * 1023 && nans == 2 * 1023, "f16: every value comes back");
    tap_ok(float_to_f16(65519.0f) == 0x7bff && float_to_f16(65520.0f) == 0x7c00 &&
               float_to_f16(-INFINITY) == 0xfc00,
           "f16: overflow goes to infinity from 65520 on");
    tap_ok(float_to_f16(1 + 0x1p-11f) == 0x3c00 && float_to_f16(1 + 0x3p-11f) == 0x3c02 &&
               float_to_f16(1 + 0x1p-11f + 0x1p-20f) == 0x3c01,
           "f16: ties go to even");
    tap_ok(float_to_f16(0x1p-25f) == 0 && float_to_f16(0x3p-25f) == 2 &&
               float_to_f16(-0x1.8p-24f) == 0x8002,
           "f16: subnormals, ties to even");
    tap_ok(float_to_bf16(1 + 0x1p-8f) == 0x3f80 && float_to_bf16(1 + 0x3p-8f) == 0x3f82 &&
               isnan(bf16_to_float(float_to_bf16(NAN))),
           "bf16: ties go to even, NaN stays NaN");
}

/* Each tensor of types.gguf against gguf-py's values, and quantised anew against its bytes. */
static void test_types(void)
{
    struct gguf *g;
    struct safetensors *s;
    if (!tap_ok(!gguf_open(&g, data_file("formats/types.gguf"), &err), "gguf: opens %s", err.msg) ||
        !tap_ok(!safetensors_open(&s, data_file("formats/types.safetensors"), &err),
                "safetensors: opens %s", err.msg))
        return;
    const struct tensor *input = safetensors_find(s, "input");
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor(g, i), *want = safetensors_find(s, t->name);
        const struct dtype_info *type = &dtypes[t->dtype];
        char name[64];
        size_t n = (size_t)(t->shape[0] * t->shape[1]);
        float got[1024], x[512];
        uint8_t bytes[2048];
        tap_ok(want && want->shape[0] == t->shape[0] && want->shape[1] == t->shape[1],
               "%s: shape, slowest first", t->name);
        type->to_float(t->data, got, n);
        tap_ok(!memcmp(got, want->data, n * 4), "%s: to float", t->name);
        if (!type->from_float || type->block > 32) /* the K types have other numbers */
            continue;
        memcpy(x, input->data, n * 4);
        if (type->block > 1)
            memcpy(x + 7 * 64, x, 64 * 4);
        snprintf(name, sizeof name, "%s: from float", t->name);
        type->from_float(x, bytes, n);
        tap_ok(!memcmp(bytes, t->data, t->bytes), "%s", name);
    }
    gguf_close(g);
    safetensors_close(s);
}

/* The K types against llama.cpp's quantisers, value by value (a group whose scale is 0 may have any
 * levels), and IQ4_NL against gguf-py's values. */
static void test_quantisers(void)
{
    struct gguf *g;
    if (!tap_ok(!gguf_open(&g, data_file("formats/quants.gguf"), &err), "gguf: opens %s", err.msg))
        return;
    const float *input = NULL, *values = NULL;
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor(g, i);
        if (!strcmp(t->name, "input"))
            input = t->data;
        else if (!strcmp(t->name, "IQ4_NL.values"))
            values = t->data;
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor(g, i);
        const struct dtype_info *type = &dtypes[t->dtype];
        size_t n = (size_t)(t->shape[0] * t->shape[1]), same = 0;
        float got[7 * 256], theirs[7 * 256];
        uint8_t bytes[7 * 256];
        if (t->dtype == DTYPE_F32)
            continue;
        if (t->dtype == DTYPE_IQ4_NL) {
            type->to_float(t->data, got, n);
            tap_ok(!memcmp(got, values, n * 4), "IQ4_NL: to float");
            continue;
        }
        type->from_float(input, bytes, n);
        type->to_float(bytes, got, n);
        type->to_float(t->data, theirs, n);
        for (size_t k = 0; k < n; k++)
            same += got[k] == theirs[k];
        tap_ok(same == n, "%s: %zu of %zu values are llama.cpp's", t->name, same, n);
        type->from_float(input, bytes, 256); /* an odd number of blocks */
        tap_ok(!memcmp(bytes, t->data, type->block_bytes), "%s: a block alone is the same",
               t->name);
    }
    gguf_close(g);
}

/* What would be undefined in C: infinities and NaN, and scales whose inverse overflows. */
static void test_odd_numbers(void)
{
    float x[256] = {INFINITY, -INFINITY, NAN}, back[256];
    uint8_t bytes[512];
    for (int i = DTYPE_Q8_0; i < DTYPE_COUNT; i++)
        if (dtypes[i].from_float)
            dtypes[i].from_float(x, bytes, 256);
    for (int i = 0; i < 256; i++)
        x[i] = 1e-41f * (float)(i % 32 - 16);
    for (int i = DTYPE_Q8_0; i < DTYPE_COUNT; i++) {
        bool zero = true;
        if (!dtypes[i].from_float)
            continue;
        dtypes[i].from_float(x, bytes, 256);
        dtypes[i].to_float(bytes, back, 256);
        for (int j = 0; j < 256; j++)
            zero &= back[j] == 0;
        tap_ok(zero, "%s: numbers too small for its scale become 0", dtypes[i].name);
    }
}

static void test_gguf_values(void)
{
    struct gguf *g;
    uint64_t u = 0;
    double f = 0;
    bool b = false;
    struct gguf_string s;
    if (!tap_ok(!gguf_open(&g, data_file("formats/types.gguf"), &err), "gguf: opens"))
        return;
    tap_ok(gguf_get_u64(g, "test.u8", &u) && u == 200, "gguf: u8");
    tap_ok(gguf_get_u64(g, "test.u64", &u) && u == (uint64_t)1 << 63, "gguf: u64");
    tap_ok(!gguf_get_f64(g, "test.u64", &f), "gguf: a u64 that a double can't hold is refused");
    tap_ok(!gguf_get_u64(g, "test.i8", &u), "gguf: a negative number is no u64");
    tap_ok(gguf_get_f64(g, "test.i64", &f) && f == -(double)(1LL << 40), "gguf: i64 as a double");
    tap_ok(gguf_get_f64(g, "test.f32", &f) && f == (double)0.1f, "gguf: f32");
    tap_ok(gguf_get_f64(g, "test.f64", &f) && f == 0.1, "gguf: f64");
    tap_ok(gguf_get_bool(g, "test.bool", &b) && b, "gguf: bool");
    tap_ok(gguf_get_string(g, "general.architecture", &s) && s.len == 5 && !memcmp(s.p, "llama", 5),
           "gguf: string");
    tap_ok(!gguf_find(g, "test") && !gguf_find(g, "test.u8x"), "gguf: absent keys");
    const struct gguf_value *v = gguf_find(g, "test.strings");
    tap_ok(v && v->n == 3 && v->element == GGUF_STRING && v->strings[1].len == 0 &&
               v->strings[2].len == 5,
           "gguf: strings");
    v = gguf_find(g, "test.numbers");
    tap_ok(v && v->n == 3 && gguf_array_number(v, 1) == -2 && gguf_array_number(v, 2) == 300000,
           "gguf: whole numbers");
    v = gguf_find(g, "test.reals");
    tap_ok(v && v->n == 2 && gguf_array_number(v, 1) == -1.25, "gguf: reals");
    gguf_close(g);
}

/* Read, written, read: the same metadata and tensors; and twice the same bytes. */
static void test_gguf_writer(void)
{
    struct gguf *g, *again;
    char *bytes[2] = {0};
    size_t len[2] = {0};
    gguf_open(&g, data_file("formats/types.gguf"), &err);
    for (int round = 0; round < 2; round++) {
        struct gguf_writer *w = gguf_writer_new();
        for (size_t i = 0; i < gguf_count(g); i++)
            gguf_writer_copy(w, gguf_at(g, i));
        gguf_writer_string(w, "test.more", "x\0y", 3);
        for (size_t i = 0; i < gguf_tensor_count(g); i++) {
            const struct tensor *t = gguf_tensor(g, i);
            gguf_writer_declare(w, t->name, t->dtype, t->n_dims, t->shape);
        }
        int status = gguf_writer_open(w, scratch("out.gguf"), &err);
        for (size_t i = 0; i < gguf_tensor_count(g) && !status; i++) {
            const struct tensor *t = gguf_tensor(g, i);
            status = gguf_writer_write(w, t->data, t->bytes / 2, &err);
            if (!status)
                status = gguf_writer_write(w, (const char *)t->data + t->bytes / 2,
                                           t->bytes - t->bytes / 2, &err);
        }
        tap_ok(!status && !gguf_writer_finish(w, &err), "gguf writer: written");
        bytes[round] = file_read(scratch("out.gguf"), 1 << 20, &len[round], &err);
    }
    tap_ok(len[0] == len[1] && !memcmp(bytes[0], bytes[1], len[0]), "gguf writer: the same bytes");
    free(bytes[0]);
    free(bytes[1]);
    if (!tap_ok(!gguf_open(&again, scratch("out.gguf"), &err), "gguf writer: reads back"))
        return;
    bool same = gguf_count(again) == gguf_count(g) + 1;
    for (size_t i = 0; i < gguf_count(g) && same; i++) {
        const struct gguf_value *a = gguf_at(g, i), *b = gguf_at(again, i);
        same = a->type == b->type && a->data_bytes == b->data_bytes &&
               !memcmp(a->data, b->data, a->data_bytes) && a->n == b->n;
    }
    for (size_t i = 0; i < gguf_tensor_count(g) && same; i++) {
        const struct tensor *a = gguf_tensor(g, i), *b = gguf_tensor(again, i);
        same = !strcmp(a->name, b->name) && a->bytes == b->bytes && a->n_dims == b->n_dims &&
               !memcmp(a->shape, b->shape, sizeof a->shape) && !memcmp(a->data, b->data, a->bytes);
    }
    tap_ok(same, "gguf writer: metadata and tensors come back");
    gguf_close(again);

    struct gguf_writer *w = gguf_writer_new();
    const uint64_t shape[] = {2, 32};
    gguf_writer_declare(w, "t", DTYPE_Q8_0, 2, shape);
    gguf_writer_open(w, scratch("short.gguf"), &err);
    gguf_writer_write(w, "abc", 3, &err);
    tap_ok(gguf_writer_finish(w, &err) && access(scratch("short.gguf"), F_OK) != 0,
           "gguf writer: a tensor that is not whole leaves no file");
    w = gguf_writer_new();
    gguf_writer_u32(w, "k", 1);
    gguf_writer_u32(w, "k", 2);
    tap_ok(gguf_writer_open(w, scratch("twice.gguf"), &err) && strstr(err.msg, "k: set twice"),
           "gguf writer: a key set twice is an error");
    gguf_writer_abandon(w);
    gguf_close(g);
}

static void test_safetensors_writer(void)
{
    struct safetensors_writer *w = safetensors_writer_new();
    struct safetensors *s;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    const uint16_t h[3] = {0x3c00, 0x4000, 0x4200};
    const uint64_t matrix[] = {2, 3}, vector[] = {3};
    safetensors_writer_metadata(w, "format", "pt");
    safetensors_writer_declare(w, "b", DTYPE_F16, 1, vector);
    safetensors_writer_declare(w, "a", DTYPE_F32, 2, matrix);
    safetensors_writer_declare(w, "scalar", DTYPE_F32, 0, NULL);
    int status = safetensors_writer_open(w, scratch("out.safetensors"), &err);
    status |= safetensors_writer_write(w, h, sizeof h, &err);
    status |= safetensors_writer_write(w, x, sizeof x, &err);
    status |= safetensors_writer_write(w, x, 4, &err);
    tap_ok(!status && !safetensors_writer_finish(w, &err), "safetensors writer: written");
    if (!tap_ok(!safetensors_open(&s, scratch("out.safetensors"), &err), "and read: %s", err.msg))
        return;
    const struct tensor *a = safetensors_find(s, "a"), *b = safetensors_find(s, "b");
    tap_ok(a && b && a->shape[1] == 3 && !memcmp(a->data, x, sizeof x) &&
               !memcmp(b->data, h, sizeof h) && safetensors_find(s, "scalar")->bytes == 4,
           "safetensors writer: the tensors come back");
    tap_ok(!safetensors_find(s, "c") && safetensors_at(s, 0) == b,
           "safetensors: order of the data");
    tap_is_str("safetensors: metadata",
               json_string_value(json_object_get(safetensors_metadata(s), "format")), "pt");
    safetensors_close(s);
}

/* Every truncation must fail, and none may read outside (the sanitizers watch). */
static void test_truncated(const char *name, const char *copy, bool is_gguf)
{
    size_t len, opened = 0;
    char *bytes = file_read(data_file(name), 1 << 20, &len, &err);
    for (size_t n = 0; n < len; n += 1 + len / 400) {
        struct gguf *g = NULL;
        struct safetensors *s = NULL;
        struct err why = {""};
        write_scratch(copy, bytes, n);
        int status = is_gguf ? gguf_open(&g, scratch(copy), &why)
                             : safetensors_open(&s, scratch(copy), &why);
        /* Only the padding behind the last tensor may be missing. */
        opened += !status ? n + 32 < len : !why.msg[0];
        gguf_close(g);
        safetensors_close(s);
    }
    tap_ok(opened == 0, "%s: no truncation opens", name);
    free(bytes);
}

/* A safetensors file with that header and that many bytes of data: what open says of it. */
static const char *header_says(const char *header, size_t data)
{
    struct buf b = BUF_INIT;
    struct safetensors *s = NULL;
    uint64_t len = strlen(header);
    buf_add(&b, &len, 8);
    buf_addstr(&b, header);
    for (size_t i = 0; i < data; i++)
        buf_addch(&b, 0);
    write_scratch("header.safetensors", b.p, b.len);
    buf_release(&b);
    err.msg[0] = 0;
    safetensors_open(&s, scratch("header.safetensors"), &err);
    safetensors_close(s);
    const char *colon = strstr(err.msg, ".safetensors: ");
    return colon ? colon + 14 : err.msg;
}

static void test_safetensors_headers(void)
{
#define ONE(fields) "{\"x\":{" fields "}}"
    tap_is_str("safetensors: no tensors", header_says("{}", 0), "");
    tap_is_str("safetensors: unknown dtype",
               header_says(ONE("\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]"), 8),
               "tensor x: dtype I64 is none of F32, F16, BF16");
    tap_is_str("safetensors: shape and bytes",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8),
               "tensor x: shape and dtype F32 don't fit its 8 bytes of data");
    tap_is_str("safetensors: offsets outside",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]"), 8),
               "tensor x: data at 4 to 12 is not inside the file's 8 bytes of data");
    tap_is_str("safetensors: a hole",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8),
               "tensor x: data begins at 4, but what comes before it ends at 0");
    tap_is_str("safetensors: more data than tensors",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 8),
               "4 bytes follow the last tensor");
    tap_is_str("safetensors: overlap",
               header_says("{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                           "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                           8),
               "tensor y: data begins at 4, but what comes before it ends at 8");
    tap_is_str("safetensors: a shape that overflows",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],"
                               "\"data_offsets\":[0,0]"),
                           0),
               "tensor x: shape has more numbers than can be addressed");
    tap_is_str("safetensors: a negative dimension",
               header_says(ONE("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4),
               "tensor x: dimension 0 is not a whole number");
    tap_ok(strstr(header_says("{\"x\":1,\"x\":2}", 0), "duplicate"), "safetensors: a name twice");
    tap_ok(strstr(header_says("{\"__metadata__\":{\"a\":1}}", 0), "not a string"),
           "safetensors: metadata is strings");
}

/* types.gguf with eight bytes changed at an offset. */
static const char *gguf_says(size_t offset, uint64_t value)
{
    size_t len;
    struct gguf *g = NULL;
    char *bytes = file_read(data_file("formats/types.gguf"), 1 << 20, &len, &err);
    memcpy(bytes + offset, &value, 8);
    write_scratch("patched.gguf", bytes, len);
    free(bytes);
    err.msg[0] = 0;
    gguf_open(&g, scratch("patched.gguf"), &err);
    gguf_close(g);
    const char *colon = strstr(err.msg, ".gguf: ");
    return colon ? colon + 7 : err.msg;
}

static void test_gguf_damage(void)
{
    tap_is_str("gguf: absurd number of tensors", gguf_says(8, UINT64_MAX),
               "header says 18446744073709551615 tensors, more than the file can hold");
    tap_is_str("gguf: absurd number of entries", gguf_says(16, (uint64_t)1 << 40),
               "header says 1099511627776 metadata entries, more than the file can hold");
    tap_ok(strstr(gguf_says(24, UINT64_MAX - 8), "is cut off or damaged"),
           "gguf: absurd key length");
    tap_is_str("gguf: a version", gguf_says(0, 0x0100000046554747),
               "GGUF version 16777216 (big-endian); versions 2 and 3 are read");

    /* Every bit of the first kilobyte in turn: whatever happens, no reading outside. */
    size_t len;
    char *bytes = file_read(data_file("formats/types.gguf"), 1 << 20, &len, &err);
    for (size_t bit = 0; bit < 8 * 1400; bit += 3) {
        struct gguf *g = NULL;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        write_scratch("bits.gguf", bytes, len);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (!gguf_open(&g, scratch("bits.gguf"), &err))
            gguf_close(g);
    }
    free(bytes);
    tap_ok(true, "gguf: survives any bit turned over");
}

static void write_text(const char *name, const char *text)
{
    write_scratch(name, text, strlen(text));
}

/* Writes a file of F32 tensors of one number, named by the characters of `names`. */
static void write_tensors(const char *file, const char *names)
{
    struct safetensors_writer *w = safetensors_writer_new();
    const uint64_t one = 1;
    for (const char *p = names; *p; p++)
        safetensors_writer_declare(w, (char[]){*p, 0}, DTYPE_F32, 1, &one);
    safetensors_writer_open(w, scratch(file), &err);
    for (const char *p = names; *p; p++)
        safetensors_writer_write(w, &(float){(float)*p}, 4, &err);
    safetensors_writer_finish(w, &err);
}

static const char *open_says(const char *name)
{
    struct checkpoint *c = NULL;
    err.msg[0] = 0;
    checkpoint_open(&c, scratch(name), &err);
    checkpoint_close(c);
    return strncmp(err.msg, folder, strlen(folder)) ? err.msg : err.msg + strlen(folder) + 1;
}

static void test_checkpoint(void)
{
    struct checkpoint *c;
    char one[33], many[33], other[33];
    struct pool *pool = pool_new(2, &err);
    mkdir(scratch("whole"), 0777);
    mkdir(scratch("sharded"), 0777);
    tap_is_str("folder: no config.json", open_says("whole"),
               "whole: has no config.json: a model is a folder with config.json and "
               "model.safetensors, or a GGUF file");
    write_text("whole/config.json", "{\"model_type\":\"llama\"}");
    write_text("sharded/config.json", "{\"model_type\":\"llama\"}");
    tap_is_str("folder: no weights", open_says("whole"),
               "whole: has neither model.safetensors nor model.safetensors.index.json");
    write_tensors("whole/model.safetensors", "cab");
    write_tensors("sharded/1.safetensors", "b");
    write_tensors("sharded/2.safetensors", "ac");
    write_text("sharded/model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\",\"c\":\"2."
               "safetensors\"}}");
    if (!tap_ok(!checkpoint_open(&c, scratch("whole"), &err), "folder: opens %s", err.msg))
        return;
    tap_ok(checkpoint_count(c) == 3 && checkpoint_find(c, "b") && !checkpoint_find(c, "d") &&
               !strcmp(checkpoint_at(c, 0)->name, "c") &&
               json_object_get(checkpoint_config(c), "model_type"),
           "folder: tensors in the file's order, and by name");
    checkpoint_hash(c, pool, one);
    checkpoint_close(c);
    if (!tap_ok(!checkpoint_open(&c, scratch("sharded"), &err), "shards: open %s", err.msg))
        return;
    checkpoint_hash(c, pool, many);
    checkpoint_close(c);
    tap_is_str("hash: the same however the tensors are spread", many, one);
    write_tensors("whole/model.safetensors", "cad");
    checkpoint_open(&c, scratch("whole"), &err);
    checkpoint_hash(c, pool, other);
    checkpoint_close(c);
    tap_ok(strcmp(one, other) != 0, "hash: another for other tensors");
    pool_free(pool);

    write_text("sharded/model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}");
    tap_is_str("shards: a tensor left over", open_says("sharded"),
               "sharded/2.safetensors: tensor c is not in model.safetensors.index.json");
    write_text(
        "sharded/model.safetensors.index.json",
        "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\",\"c\":\"2.safetensors\","
        "\"d\":\"1.safetensors\"}}");
    tap_ok(strstr(open_says("sharded"), "tensor d is not in 1.safetensors"),
           "shards: a tensor missing");
    write_text("sharded/model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"../2.safetensors\"}}");
    tap_ok(strstr(open_says("sharded"), "a is in no file beside it"),
           "shards: no way out of the folder");
    write_tensors("sharded/1.safetensors", "ba");
    write_text("sharded/model.safetensors.index.json",
               "{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\",\"c\":\"2."
               "safetensors\"}}");
    tap_ok(strstr(open_says("sharded"), "tensor a is in"), "shards: a tensor twice");
    write_text("text.gguf", "hello");
    tap_is_str("file: not GGUF", open_says("text.gguf"), "text.gguf: is not a GGUF file");
    write_text("empty.gguf", "");
    tap_is_str("file: empty", open_says("empty.gguf"), "empty.gguf: is not a GGUF file");
    tap_ok(strstr(open_says("nowhere"), "No such file"), "nothing there");
}

static void remove_scratch(void)
{
    struct buf command = BUF_INIT;
    buf_addf(&command, "rm -rf '%s'", folder);
    if (system(command.p))
        printf("# could not remove %s\n", folder);
    buf_release(&command);
}

/* A stack of experts' matrices in GGUF is as many tensors; another 3-dimensional one is what it is.
 */
static void test_stacks(void)
{
    struct checkpoint *c = NULL;
    static const uint64_t shape[] = {3, 2, 2};
    float values[12];
    for (size_t i = 0; i < 12; i++)
        values[i] = (float)i;
    struct gguf_writer *w = gguf_writer_new();
    gguf_writer_string(w, "general.architecture", "llama", 5);
    gguf_writer_declare(w, "blk.0.ffn_up_exps.weight", DTYPE_F32, 3, shape);
    gguf_writer_declare(w, "blk.0.other.weight", DTYPE_F32, 3, shape);
    tap_ok(!gguf_writer_open(w, scratch("stack.gguf"), &err) &&
               !gguf_writer_write(w, values, sizeof values, &err) &&
               !gguf_writer_write(w, values, sizeof values, &err) && !gguf_writer_finish(w, &err) &&
               !checkpoint_open(&c, scratch("stack.gguf"), &err),
           "stack: opened");
    tap_is_u64("stack: three matrices and the other tensor", checkpoint_count(c), 4);
    const struct tensor *t = checkpoint_find(c, "blk.0.ffn_up.2.weight");
    tap_ok(t && t->n_dims == 2 && t->shape[0] == 2 && t->shape[1] == 2 && t->bytes == 16 &&
               !memcmp(t->data, values + 8, 16),
           "stack: the last one");
    tap_ok(!checkpoint_find(c, "blk.0.ffn_up.3.weight") &&
               !checkpoint_find(c, "blk.0.ffn_up_exps.weight"),
           "stack: no more, and not the whole");
    t = checkpoint_find(c, "blk.0.other.weight");
    tap_ok(t && t->n_dims == 3 && t->bytes == sizeof values, "stack: another tensor is whole");
    checkpoint_close(c);
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    test_f16();
    test_types();
    test_quantisers();
    test_odd_numbers();
    test_gguf_values();
    test_gguf_writer();
    test_safetensors_writer();
    test_truncated("formats/types.gguf", "cut.gguf", true);
    test_truncated("formats/types.safetensors", "cut.safetensors", false);
    test_safetensors_headers();
    test_gguf_damage();
    test_checkpoint();
    test_stacks();
    remove_scratch();
    return tap_done();
}
