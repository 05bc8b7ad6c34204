/* rows: what is kept of streams, what is left out, and in which order it is taken. */
#include "tap.h"

#include <unistd.h>

#include "base/mem.h"
#include "model/rows.h"

static char directory[] = "/tmp/test-rows-XXXXXX";

static char *in_directory(const char *name)
{
    static char path[4][256];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof *path, "%s/%s", directory, name);
    return p;
}

static const char other[] = "ffffffffffffffffffffffffffffffff";
static const struct vocabulary vocabulary = {100, "0123456789abcdef0123456789abcdef"};

static struct stream_writer *writer_of(const char *path, enum stream_kind kind,
                                       const char *tokenizer)
{
    struct stream_header h;
    struct stream_writer *w;
    struct err err;
    stream_header_init(&h);
    h.kind = kind;
    strcpy(h.tokenizer, tokenizer);
    h.vocab_size = 100;
    h.length = 16;
    stream_header_add_provenance(&h, "ft-pack 0.1.0 --length=16");
    if (stream_writer_open(&w, path, &h, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    stream_header_release(&h);
    return w;
}

static struct stream_writer *writer(const char *path, const char *tokenizer)
{
    return writer_of(path, STREAM_SHARD, tokenizer);
}

static void add(struct stream_record *r, const char *id, uint32_t first, size_t n, size_t trained,
                double weight)
{
    uint32_t ids[16];
    uint8_t mask[16] = {0};
    struct stream_document d;
    stream_document_init(&d);
    d.id = (char *)(uintptr_t)id;
    d.weight = weight;
    for (size_t i = 0; i < n; i++) {
        ids[i] = first + (uint32_t)i;
        mask[i] = i >= n - trained;
    }
    stream_record_add(r, ids, mask, n, &d);
}

static void put(struct stream_writer *w, struct stream_record *r)
{
    struct err err;
    if (stream_write(w, r, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    stream_record_clear(r);
}

/* Three rows: a and an untrained one, b alone, nothing but an untrained one. */
static void write_rows(struct stream_writer *w, int from, int to)
{
    struct stream_record r;
    stream_record_init(&r);
    for (int row = from; row < to; row++) {
        if (row == 0) {
            add(&r, "untrained", 40, 3, 0, 1);
            add(&r, "a", 10, 5, 2, 1);
            add(&r, NULL, 20, 4, 3, 1);
        } else if (row == 1) {
            add(&r, "b", 30, 6, 1, 1);
        } else {
            add(&r, "untrained too", 50, 2, 0, 1);
        }
        put(w, &r);
    }
    stream_record_release(&r);
}

static void write_file(const char *path, int from, int to)
{
    struct stream_writer *w = writer(path, vocabulary.tokenizer);
    struct err err;
    write_rows(w, from, to);
    if (stream_writer_finish(w, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
}

static struct rows *read_files(const char *const *paths, size_t n)
{
    struct rows *r = rows_new();
    struct err err;
    for (size_t i = 0; i < n; i++)
        if (rows_read(r, paths[i], &vocabulary, &err)) {
            tap_ok(false, "%s", err.msg);
            break;
        }
    return r;
}

static void test_content(void)
{
    write_file(in_directory("all.ft"), 0, 3);
    struct rows *r = read_files((const char *[]){in_directory("all.ft")}, 1);
    const struct rows_totals *t = rows_totals(r);
    tap_is_u64("a row without targets is left out", t->rows, 2);
    tap_is_u64("documents with targets", t->documents, 3);
    tap_is_u64("documents without", t->untrained, 2);
    tap_is_u64("tokens", t->tokens, 15);
    tap_is_u64("targets", t->targets, 6);
    tap_is_u64("longest row", t->longest, 9);
    tap_is_u64("longest document", t->longest_document, 6);
    tap_is_u64("tokens of the first row", rows_tokens(r, 0), 9);
    tap_is_u64("targets of the second row", rows_targets(r, 1), 1);

    static const uint32_t ids[] = {30, 31, 32, 33, 34, 35, 10, 11, 12, 13, 14, 20, 21, 22, 23};
    static const uint8_t trained[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1};
    struct row_batch b;
    struct err err;
    row_batch_init(&b);
    tap_ok(!row_batch_add(&b, r, 1, &err) && !row_batch_add(&b, r, 0, &err), "rows are read back");
    struct batch view = row_batch_view(&b);
    tap_ok(view.n == 15 && view.n_documents == 3 && !memcmp(view.ids, ids, sizeof ids) &&
               !memcmp(view.trained, trained, sizeof trained) && view.lengths[0] == 6 &&
               view.lengths[1] == 5 && view.lengths[2] == 4,
           "two rows side by side");
    tap_is_str("a document's id", row_batch_name(&b, 1), "a");
    tap_is_str("a document without id", row_batch_name(&b, 2), "document 3 of row 1");
    row_batch_clear(&b);
    tap_ok(!row_batch_add(&b, r, 0, &err) && row_batch_view(&b).n == 9, "and again");
    row_batch_release(&b);

    size_t n;
    const char *const *lines = rows_provenance(r, &n);
    tap_ok(n == 1 && !strcmp(lines[0], "ft-pack 0.1.0 --length=16"), "provenance of the stream");
    rows_free(r);
}

/* The same rows in one file, in two, in segments of one file, and compressed. */
static void test_hash(void)
{
    char whole[HASH_HEX], hex[HASH_HEX], command[2048];
    struct rows *r = read_files((const char *[]){in_directory("all.ft")}, 1);
    rows_hash(r, whole);
    rows_free(r);
    write_file(in_directory("1.ft"), 0, 1);
    write_file(in_directory("2.ft"), 1, 3);
    r = read_files((const char *[]){in_directory("1.ft"), in_directory("2.ft")}, 2);
    rows_hash(r, hex);
    size_t n;
    rows_provenance(r, &n);
    tap_is_str("hash of rows in two files", hex, whole);
    tap_is_u64("the same provenance is kept once", n, 1);
    rows_free(r);
    snprintf(command, sizeof command, "cat %s %s > %s", in_directory("1.ft"), in_directory("2.ft"),
             in_directory("12.ft"));
    if (system(command))
        printf("Bail out! %s\n", command);
    r = read_files((const char *[]){in_directory("12.ft")}, 1);
    rows_hash(r, hex);
    tap_is_str("hash of rows in two segments", hex, whole);
    rows_free(r);
    write_file(in_directory("all.ft.zst"), 0, 3);
    r = read_files((const char *[]){in_directory("all.ft.zst")}, 1);
    rows_hash(r, hex);
    tap_is_str("hash of compressed rows", hex, whole);
    rows_free(r);
    r = read_files((const char *[]){in_directory("2.ft"), in_directory("1.ft")}, 2);
    rows_hash(r, hex);
    tap_ok(strcmp(hex, whole) != 0, "another order has another hash");
    rows_free(r);
}

static void fails(const char *name, const char *path, const struct vocabulary *v, const char *why)
{
    struct rows *r = rows_new();
    struct err err = {""};
    bool failed = rows_read(r, path, v, &err) != 0;
    if (!tap_ok(failed && strstr(err.msg, why) && strstr(err.msg, path), "%s is refused", name))
        printf("# got \"%s\", want \"...%s...\"\n", err.msg, why);
    rows_free(r);
}

static void test_refusals(void)
{
    struct vocabulary small = vocabulary, elsewhere = vocabulary, none = vocabulary;
    char path[256];
    struct err err;
    strcpy(path, in_directory("wrong.ft"));
    small.size = 99;
    strcpy(elsewhere.tokenizer, other);
    none.tokenizer[0] = 0;
    fails("a larger vocabulary", in_directory("all.ft"), &small, "vocabulary of 100");
    fails("another tokenizer", in_directory("all.ft"), &elsewhere, "another tokenizer");
    fails("a missing file", in_directory("none.ft"), &vocabulary, "No such file");

    struct stream_writer *w = writer(path, other);
    write_rows(w, 0, 1);
    stream_writer_finish(w, &err);
    struct rows *rows = rows_new();
    bool mixed = !rows_read(rows, in_directory("all.ft"), &none, &err) &&
                 rows_read(rows, path, &none, &err) && strstr(err.msg, "another tokenizer");
    tap_ok(mixed, "files of two tokenizers don't mix, even for a model without one");
    rows_free(rows);

    setenv("TMPDIR", in_directory("missing"), 1);
    rows = rows_new();
    tap_ok(rows_read(rows, in_directory("all.ft"), &vocabulary, &err) &&
               strstr(err.msg, "temporary file"),
           "a missing TMPDIR is named");
    rows_free(rows);
    unsetenv("TMPDIR");
}

/* Two rows; the weights of the first one's documents as given, that of the other's 1. */
static struct rows *weighted_rows(double a, double b)
{
    char *path = in_directory("weights.ft");
    struct stream_writer *w = writer(path, vocabulary.tokenizer);
    struct stream_record r;
    struct err err;
    stream_record_init(&r);
    add(&r, "a", 10, 5, 2, a);
    add(&r, "b", 20, 4, 3, b);
    put(w, &r);
    add(&r, "c", 30, 4, 1, 1);
    put(w, &r);
    stream_record_release(&r);
    stream_writer_finish(w, &err);
    return read_files((const char *[]){path}, 1);
}

static void test_weights(void)
{
    struct rows *r = weighted_rows(2.5, 0.5);
    struct row_batch b;
    struct err err;
    char hex[HASH_HEX], plain[HASH_HEX];
    tap_ok(rows_totals(r)->weight == 2.5 * 2 + 0.5 * 3 + 1, "weight of all targets");
    tap_ok(rows_weight(r, 0) == 6.5 && rows_weight(r, 1) == 1, "weight of a row's targets");
    rows_hash(r, hex);
    row_batch_init(&b);
    tap_ok(!row_batch_add(&b, r, 1, &err) && !row_batch_view(&b).weights,
           "a batch of weight 1 has none");
    tap_ok(!row_batch_add(&b, r, 0, &err) && row_batch_view(&b).weights, "another has");
    static const float want[] = {1, 1, 1, 1, 2.5, 2.5, 2.5, 2.5, 2.5, 0.5, 0.5, 0.5, 0.5};
    tap_ok(!memcmp(row_batch_view(&b).weights, want, sizeof want), "for each token");
    tap_ok(b.weights[0] == 1 && b.weights[1] == 2.5 && b.weights[2] == 0.5, "and each document");
    row_batch_clear(&b);
    tap_ok(!row_batch_add(&b, r, 1, &err) && !row_batch_view(&b).weights, "but not for ever");
    rows_free(r);

    r = weighted_rows(1, 1);
    rows_hash(r, plain);
    tap_ok(strcmp(hex, plain) != 0, "other weights have another hash");
    rows_free(r);
    r = weighted_rows(0, 1);
    tap_is_u64("a document of weight 0 is left out", rows_totals(r)->documents, 2);
    tap_is_u64("and counted", rows_totals(r)->untrained, 1);
    row_batch_release(&b);
    rows_free(r);
}

/* ---- preferences ---- */

static struct rows *read_kind(const char *path, enum stream_kind kind)
{
    struct rows *r = rows_new();
    struct err err;
    rows_expect(r, kind);
    if (rows_read(r, path, &vocabulary, &err))
        tap_ok(false, "%s", err.msg);
    return r;
}

/* Two preferences, of the weights given. */
static void write_preferences(const char *path, double first, double second)
{
    const double weights[] = {first, second};
    struct stream_writer *w = writer_of(path, STREAM_PREFERENCE, vocabulary.tokenizer);
    struct stream_record r;
    struct err err;
    stream_record_init(&r);
    for (uint32_t i = 0; i < 2; i++) {
        add(&r, "chosen", 10 + 10 * i, 5, 2, weights[i]);
        add(&r, "rejected", 50 + 10 * i, 4, 1, weights[i]);
        put(w, &r);
    }
    stream_record_release(&r);
    stream_writer_finish(w, &err);
}

static void test_preferences(void)
{
    char path[256], plain[HASH_HEX], weighted[HASH_HEX];
    struct row_batch b;
    struct err err;
    strcpy(path, in_directory("preferences.ft"));
    write_preferences(path, 1, 1);
    struct rows *r = read_kind(path, STREAM_PREFERENCE);
    rows_hash(r, plain);
    tap_ok(rows_totals(r)->rows == 2 && rows_totals(r)->documents == 4 &&
               rows_totals(r)->weight == 2,
           "a preference is a row of two documents; its loss counts once");
    rows_free(r);
    write_preferences(path, 3, 0);
    r = read_kind(path, STREAM_PREFERENCE);
    rows_hash(r, weighted);
    tap_ok(rows_totals(r)->rows == 1 && rows_totals(r)->untrained == 2 && rows_weight(r, 0) == 3 &&
               strcmp(plain, weighted) != 0,
           "one of weight 0 is left out, both its documents");
    row_batch_init(&b);
    tap_ok(!row_batch_add(&b, r, 0, &err) && b.weights[0] == 3 && b.weights[1] == 3 &&
               !row_batch_view(&b).weights,
           "its weight isn't that of its tokens");
    row_batch_release(&b);
    rows_free(r);
    fails("a preference among documents", path, &vocabulary, "is of kind preference");
    r = rows_new();
    rows_expect(r, STREAM_PREFERENCE);
    tap_ok(rows_read(r, in_directory("all.ft"), &vocabulary, &err) &&
               strstr(err.msg, "all.ft: is of kind shard"),
           "documents among preferences are refused");
    rows_free(r);
}

static void test_labels(void)
{
    char path[256], hex[2][HASH_HEX];
    struct row_batch b;
    struct rows *rows = NULL;
    struct err err;
    strcpy(path, in_directory("labels.ft"));
    for (int label = 0; label < 2; label++) {
        struct stream_writer *w = writer_of(path, STREAM_LABEL, vocabulary.tokenizer);
        struct stream_record r;
        stream_record_init(&r);
        add(&r, "a", 10, 7, 3, 1);
        r.documents[0].label = label;
        put(w, &r);
        add(&r, "b", 30, 6, 2, 1);
        r.documents[0].label = true;
        put(w, &r);
        stream_record_release(&r);
        stream_writer_finish(w, &err);
        rows_free(rows);
        rows = read_kind(path, STREAM_LABEL);
        rows_hash(rows, hex[label]);
        tap_is_u64("desirable completions", rows_totals(rows)->desirable, 1 + (uint64_t)label);
    }
    tap_ok(strcmp(hex[0], hex[1]) != 0, "another label has another hash");
    row_batch_init(&b);
    tap_ok(!row_batch_add(&b, rows, 1, &err) && b.labels[0] == 1, "labels are read back");

    /* Behind it the prompt of the first, with the completion of the second. */
    static const uint32_t ids[] = {30, 31, 32, 33, 34, 35, 10, 11, 12, 13, 34, 35};
    static const uint8_t trained[] = {0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1};
    tap_ok(!row_batch_add_mismatched(&b, rows, 0, 1, &err) && b.n == 12 && b.n_documents == 2 &&
               b.lengths[1] == 6 && !memcmp(b.ids, ids, sizeof ids) &&
               !memcmp(b.trained, trained, sizeof trained),
           "a completion behind another's prompt");
    tap_is_str("has the prompt's name", row_batch_name(&b, 1), "a");
    row_batch_clear(&b);
    tap_ok(!row_batch_add_mismatched(&b, rows, 0, 0, &err) && b.n == 7 && b.ids[6] == 16,
           "with its own it is itself");
    row_batch_release(&b);
    rows_free(rows);
}

static bool is_permutation(const size_t *order, size_t n)
{
    bool *seen = xcalloc(n, sizeof *seen), all = true;
    for (size_t i = 0; i < n; i++) {
        all = all && order[i] < n && !seen[order[i]];
        if (order[i] < n)
            seen[order[i]] = true;
    }
    free(seen);
    return all;
}

static void test_order(void)
{
    enum { N = 50 };
    size_t first[N], second[N], third[N], again[N], seeded[N];
    bool in_place = true;
    rows_order(first, N, 1, 0);
    rows_order(second, N, 1, 1);
    rows_order(third, N, 1, 2);
    rows_order(again, N, 1, 1);
    rows_order(seeded, N, 2, 1);
    for (size_t i = 0; i < N; i++)
        in_place = in_place && first[i] == i;
    tap_ok(in_place, "the first epoch takes rows as they came");
    tap_ok(is_permutation(second, N) && is_permutation(third, N) && is_permutation(seeded, N),
           "every epoch takes each row once");
    tap_ok(memcmp(second, first, sizeof first) && memcmp(second, third, sizeof first),
           "in another order each");
    tap_ok(!memcmp(second, again, sizeof second), "that doesn't depend on what was asked before");
    tap_ok(memcmp(second, seeded, sizeof second), "but on the seed");
}

int main(void)
{
    char command[64];
    if (!mkdtemp(directory))
        return 1;
    test_content();
    test_hash();
    test_refusals();
    test_weights();
    test_preferences();
    test_labels();
    test_order();
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command) ? 1 : tap_done();
}
