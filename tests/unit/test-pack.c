/* pack: what goes in comes out, whole, once, in rows that are as few as a plain best fit makes. */
#include "tap.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "formats/corpus.h"
#include "formats/pack.h"
#include "formats/stream.h"

static char directory[] = "/tmp/test-pack-XXXXXX";

static char *in_directory(const char *name)
{
    static char path[2][256];
    static int turn;
    char *p = path[turn++ % 2];
    snprintf(p, sizeof *path, "%s/%s", directory, name);
    return p;
}

/* The plain twin: rows one by one, the fullest that fits. */
static size_t plain_best_fit(const uint32_t *lengths, size_t n, uint32_t capacity, uint32_t *fill)
{
    bool *done = xcalloc(n + 1, sizeof *done);
    size_t n_rows = 0;
    for (size_t k = 0; k < n; k++) {
        size_t longest = SIZE_MAX, best = SIZE_MAX;
        for (size_t i = 0; i < n; i++)
            if (!done[i] && (longest == SIZE_MAX || lengths[i] > lengths[longest]))
                longest = i;
        done[longest] = true;
        for (size_t r = 0; r < n_rows; r++)
            if (fill[r] + lengths[longest] <= capacity &&
                (best == SIZE_MAX || fill[r] > fill[best]))
                best = r;
        if (best == SIZE_MAX) {
            best = n_rows++;
            fill[best] = 0;
        }
        fill[best] += lengths[longest];
    }
    free(done);
    return n_rows;
}

static int compare_u32(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* How full the rows are is the same whichever of equally full rows is taken. */
static void test_best_fit(void)
{
    static const uint32_t capacities[] = {1, 2, 7, 63, 64, 65, 512, 5000, 300000};
    struct rng r;
    size_t wrong = 0, over = 0, more = 0;
    rng_init(&r, 1, 2);
    for (size_t c = 0; c < ARRAY_SIZE(capacities); c++)
        for (int round = 0; round < 20; round++) {
            uint32_t capacity = capacities[c], lengths[200], row_of[200], fill[200], plain[200];
            size_t n = rng_below(&r, 200);
            for (size_t i = 0; i < n; i++)
                lengths[i] = 1 + (uint32_t)rng_below(&r, round % 2 ? capacity : 1 + capacity / 3);
            size_t n_rows = pack_best_fit(lengths, n, capacity, row_of);
            memset(fill, 0, sizeof fill);
            for (size_t i = 0; i < n; i++)
                fill[row_of[i]] += lengths[i];
            for (size_t i = 0; i < n_rows; i++)
                over += fill[i] > capacity || !fill[i];
            more += n_rows != plain_best_fit(lengths, n, capacity, plain);
            qsort(fill, n_rows, sizeof *fill, compare_u32);
            qsort(plain, n_rows, sizeof *plain, compare_u32);
            wrong += memcmp(fill, plain, n_rows * sizeof *fill) != 0;
        }
    tap_is_u64("best fit: no row is over its capacity or empty", over, 0);
    tap_is_u64("best fit: as many rows as the plain twin", more, 0);
    tap_is_u64("best fit: as full as the plain twin's", wrong, 0);
}

static void test_shuffle(void)
{
    uint32_t a[8] = {0, 1, 2, 3, 4, 5, 6, 7}, counts[4][4] = {{0}};
    pack_shuffle(a, 8, 42, 1);
    /* A promise: a seed gives the same order for ever. */
    const uint32_t want[8] = {6, 1, 0, 7, 5, 4, 2, 3};
    tap_ok(!memcmp(a, want, sizeof a), "shuffle: seed 42 is %u %u %u %u %u %u %u %u", a[0], a[1],
           a[2], a[3], a[4], a[5], a[6], a[7]);
    for (uint64_t seed = 0; seed < 4000; seed++) {
        uint32_t p[4] = {0, 1, 2, 3};
        pack_shuffle(p, 4, seed, 1);
        for (int i = 0; i < 4; i++)
            counts[i][p[i]]++;
    }
    bool even = true; /* 1000 expected, standard deviation 27; 5 of them */
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            even = even && counts[i][j] > 863 && counts[i][j] < 1137;
    tap_ok(even, "shuffle: each place as often");
}

/* ---- a corpus of random documents ---- */

static void expect_vocab(struct corpus *c, uint32_t vocab_size)
{
    struct stream_header h;
    stream_header_init(&h);
    h.vocab_size = vocab_size;
    corpus_init(c);
    corpus_expect(c, &h);
}

static void add_random(struct corpus *c, struct rng *r, size_t n_documents, size_t longest)
{
    struct err err;
    for (size_t i = 0; i < n_documents; i++) {
        size_t n = 2 + rng_below(r, longest - 1);
        uint32_t *ids = xmalloc(n * sizeof *ids);
        uint8_t *trained = xmalloc(n);
        for (size_t t = 0; t < n; t++) {
            ids[t] = (uint32_t)rng_below(r, c->header.vocab_size);
            trained[t] = rng_below(r, 3) > 0;
        }
        trained[n - 1] = 1;
        char id[24], source[24];
        struct stream_document d;
        stream_document_init(&d);
        snprintf(id, sizeof id, "doc %zu", i);
        snprintf(source, sizeof source, "file %zu", i % 3);
        d.id = i % 5 ? id : NULL;
        d.source = i % 2 ? source : NULL;
        d.weight = i % 4 ? 1 : 0.25;
        d.text_bytes = rng_below(r, 5000);
        if (corpus_add(c, ids, trained, n, &d, &err))
            printf("Bail out! %s\n", err.msg);
        free(ids);
        free(trained);
    }
}

static uint32_t *all_of(const struct corpus *c)
{
    uint32_t *documents = xmalloc((c->n_documents + 1) * sizeof *documents);
    for (size_t i = 0; i < c->n_documents; i++)
        documents[i] = (uint32_t)i;
    return documents;
}

static int write_shard(const char *path, const struct corpus *c, const struct pack_options *how,
                       struct err *err)
{
    struct stream_header h;
    struct stream_writer *w;
    struct pack_piece *pieces;
    struct pack_counts counts = {0};
    size_t n;
    uint32_t *documents = all_of(c);
    stream_header_copy(&h, &c->header);
    h.kind = STREAM_SHARD;
    h.length = how->length;
    int status = pack_cut(c, documents, c->n_documents, how, &pieces, &n, &counts, err);
    if (!status)
        status = stream_writer_open(&w, path, &h, err);
    if (!status) {
        status = pack_write(c, pieces, n, how, w, err);
        if (!status)
            status = stream_writer_finish(w, err);
        free(pieces);
    }
    stream_header_release(&h);
    free(documents);
    return status;
}

/* ---- what comes out ---- */

/* What the pieces of a shard say of each document of the corpus. */
struct tally {
    uint32_t *tokens, *trained, *times; /* by document */
    uint64_t *bytes;
    size_t wrong, rows, tokens_in_all;
};

static bool same_string(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* A document or part in a row is a run of the corpus's document: its tokens in their order. */
static void tally_document(struct tally *t, const struct corpus *c, const struct stream_record *r,
                           size_t at, const struct stream_document *d, uint32_t length)
{
    if (d->index >= c->n_documents) {
        t->wrong++;
        return;
    }
    const struct corpus_document *want = &c->documents[d->index];
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, d->index);
    const char *id = corpus_string(c, want->id);
    size_t start = d->part * (length - 1);
    uint32_t *ids = xmalloc(d->n_tokens * sizeof *ids);
    uint8_t *trained = xmalloc(d->n_tokens);
    bool fits = start + d->n_tokens <= want->n;
    if (fits)
        corpus_tokens(c, d->index, start, d->n_tokens, ids, trained);
    t->wrong += !fits || memcmp(ids, r->ids + at, d->n_tokens * sizeof *ids) != 0 ||
                memcmp(trained, r->trained + at, d->n_tokens) != 0 ||
                !same_string(d->id, id ? id : number) ||
                !same_string(d->source, corpus_string(c, want->source)) ||
                d->weight != want->weight;
    for (size_t i = 0; i < d->n_tokens; i++)
        t->trained[d->index] += r->trained[at + i];
    t->tokens[d->index] += (uint32_t)d->n_tokens - (d->part > 0);
    t->times[d->index]++;
    t->bytes[d->index] += d->text_bytes;
    free(ids);
    free(trained);
}

static void tally_shard(struct tally *t, const char *path, const struct corpus *c, uint32_t length)
{
    struct err err;
    struct stream_reader *r;
    struct stream_record record;
    int status;
    size_t n = c->n_documents + 1;
    *t = (struct tally){xcalloc(n, 4), xcalloc(n, 4), xcalloc(n, 4), xcalloc(n, 8), 0, 0, 0};
    stream_record_init(&record);
    if (stream_reader_open(&r, path, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    while ((status = stream_read(r, &record, &err)) > 0) {
        size_t at = 0;
        t->rows++;
        t->tokens_in_all += record.n;
        for (size_t i = 0; i < record.n_documents; i++) {
            tally_document(t, c, &record, at, &record.documents[i], length);
            at += record.documents[i].n_tokens;
        }
    }
    t->wrong += status != 0;
    stream_record_release(&record);
    stream_reader_close(r);
}

static void tally_release(struct tally *t)
{
    free(t->tokens);
    free(t->trained);
    free(t->times);
    free(t->bytes);
}

/* Documents in = documents out, whatever the seed, the order and the way of packing. */
static void test_all_come_out(uint32_t vocab_size)
{
    struct rng r;
    struct corpus c;
    struct err err;
    size_t failed = 0, wrong = 0, times = 0, incomplete = 0;
    rng_init(&r, vocab_size, 7);
    expect_vocab(&c, vocab_size);
    add_random(&c, &r, 300, 64);
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct pack_options how = {.length = 64 + 10 * (uint32_t)seed,
                                   .seed = seed,
                                   .shuffle = seed % 3 > 0,
                                   .one_per_row = seed == 5,
                                   .overlong = OVERLONG_ERROR};
        struct tally t;
        const char *path = in_directory("all.ft");
        failed += write_shard(path, &c, &how, &err) != 0;
        tally_shard(&t, path, &c, how.length);
        wrong += t.wrong + (seed == 5 && t.rows != c.n_documents);
        for (size_t i = 0; i < c.n_documents; i++) {
            times += t.times[i] != 1;
            incomplete +=
                t.tokens[i] != c.documents[i].n || t.bytes[i] != c.documents[i].text_bytes;
        }
        tally_release(&t);
    }
    tap_is_u64("all: written", failed, 0);
    tap_is_u64("all: each as it was, within one row", wrong, 0);
    tap_is_u64("all: each once", times, 0);
    tap_is_u64("all: each whole", incomplete, 0);
    corpus_release(&c);
}

/* Split into parts: every trained token stays a target exactly once, and sums of bytes stay. */
static void test_split_overlong(void)
{
    static const uint32_t lengths[] = {2, 3, 10, 64};
    struct rng r;
    struct corpus c;
    struct err err;
    rng_init(&r, 3, 7);
    expect_vocab(&c, 1000);
    add_random(&c, &r, 100, 200);
    for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
        struct pack_options how = {
            .length = lengths[k], .shuffle = true, .overlong = OVERLONG_SPLIT};
        struct tally t;
        size_t lost = 0, doubled = 0, bytes = 0;
        const char *path = in_directory("split.ft");
        tap_ok(!write_shard(path, &c, &how, &err), "split to %u: written", lengths[k]);
        tally_shard(&t, path, &c, how.length);
        tap_is_u64("each part as it was", t.wrong, 0);
        for (size_t i = 0; i < c.n_documents; i++) {
            lost += t.trained[i] != c.documents[i].n_trained;
            doubled += t.tokens[i] > c.documents[i].n;
            bytes += t.bytes[i] > c.documents[i].text_bytes;
        }
        tap_is_u64("each trained token once", lost, 0);
        tap_is_u64("no token twice but as context", doubled, 0);
        tap_is_u64("no more bytes than there were", bytes, 0);
        tally_release(&t);
    }
    corpus_release(&c);
}

static void test_other_overlong(void)
{
    struct corpus c;
    struct err err;
    struct pack_counts counts = {0};
    struct pack_piece *pieces;
    struct stream_document d;
    size_t n;
    uint32_t ids[10] = {0}, documents[] = {0, 1};
    const uint8_t late[10] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
    stream_document_init(&d);
    expect_vocab(&c, 10);
    corpus_add(&c, ids, NULL, 10, &d, &err);
    corpus_add(&c, ids, late, 10, &d, &err);
    struct pack_options how = {.length = 4, .overlong = OVERLONG_TRUNCATE};
    pack_cut(&c, documents, 2, &how, &pieces, &n, &counts, &err);
    tap_ok(n == 1 && pieces[0].n == 4 && counts.overlong == 2 && counts.overlong_tokens == 20 &&
               counts.lost == 16 && counts.lost_trained == 8,
           "truncate: what is cut off is counted, what has nothing to learn goes");
    free(pieces);
    how.overlong = OVERLONG_DROP;
    counts = (struct pack_counts){0};
    pack_cut(&c, documents, 2, &how, &pieces, &n, &counts, &err);
    tap_ok(!n && counts.lost == 20 && counts.lost_trained == 11, "drop: counted");
    free(pieces);
    how.overlong = OVERLONG_SPLIT;
    counts = (struct pack_counts){0};
    pack_cut(&c, documents + 1, 1, &how, &pieces, &n, &counts, &err);
    tap_ok(n == 1 && pieces[0].start == 6 && pieces[0].part == 2 && pieces[0].n == 4 &&
               counts.lost == 7 && !counts.lost_trained,
           "split: parts with nothing to learn go, and are counted");
    free(pieces);
    how.overlong = OVERLONG_ERROR;
    tap_ok(pack_cut(&c, documents, 2, &how, &pieces, &n, &counts, &err) < 0 &&
               strstr(err.msg, "document 0"),
           "error: %s", err.msg);
    corpus_release(&c);
}

/* Whether a share is met, and that equal ids are on one side whatever else is told of them. */
static void test_split_position(void)
{
    enum { N = 40000 };
    struct rng r;
    struct corpus c;
    size_t held = 0, test = 0, tenths[10] = {0};
    rng_init(&r, 9, 9);
    expect_vocab(&c, 50000);
    add_random(&c, &r, N, 6);
    for (size_t i = 0; i < N; i++) {
        double at = pack_split_position(&c, i);
        held += at < 0.05;
        test += at >= 0.05 && at < 0.15;
        tenths[(int)(at * 10)]++;
    }
    /* Standard deviations 44 and 60: 5 of them. */
    tap_ok(held > 1780 && held < 2220, "split: 0.05 of %d is about 2000 (%zu)", N, held);
    tap_ok(test > 3700 && test < 4300, "split: the next 0.1 is about 4000 (%zu)", test);
    bool even = true;
    for (int i = 0; i < 10; i++)
        even = even && tenths[i] > 3700 && tenths[i] < 4300;
    tap_ok(even, "split: positions are spread evenly");
    struct err err;
    struct corpus two;
    struct stream_document d;
    uint32_t ids[] = {3, 4, 5};
    stream_document_init(&d);
    expect_vocab(&two, 100000); /* wide ids */
    corpus_add(&two, ids, NULL, 3, &d, &err);
    d.weight = 2;
    corpus_add(&c, ids, (const uint8_t[]){0, 1, 0}, 3, &d, &err);
    tap_ok(pack_split_position(&c, N) == pack_split_position(&two, 0), "split: by the ids alone");
    /* A promise: a document stays on its side in every version. */
    tap_ok(fabs(pack_split_position(&two, 0) - 0.6103373487877386) < 1e-15,
           "split: 3 4 5 is at %.17g", pack_split_position(&two, 0));
    corpus_release(&two);
    corpus_release(&c);
}

static void test_repeated(void)
{
    struct corpus c;
    struct err err;
    struct stream_document d;
    uint32_t ids[] = {1, 2, 3, 4};
    stream_document_init(&d);
    expect_vocab(&c, 10);
    corpus_add(&c, ids, NULL, 3, &d, &err);
    corpus_add(&c, ids + 1, NULL, 3, &d, &err);
    corpus_add(&c, ids, NULL, 4, &d, &err);
    corpus_add(&c, ids, NULL, 3, &d, &err);
    corpus_add(&c, ids + 1, NULL, 3, &d, &err);
    uint32_t documents[] = {0, 1, 2, 3, 4}, reverse[] = {4, 3, 2, 1, 0};
    size_t n = pack_drop_repeated(&c, documents, 5);
    tap_ok(n == 3 && documents[0] == 0 && documents[1] == 1 && documents[2] == 2,
           "repeated: the first stays");
    n = pack_drop_repeated(&c, reverse, 5);
    tap_ok(n == 3 && reverse[0] == 4 && reverse[1] == 3 && reverse[2] == 2,
           "repeated: the first of the order given");
    tap_is_u64("repeated: of none", pack_drop_repeated(&c, documents, 0), 0);
    corpus_release(&c);
}

static void test_corpus_refuses(void)
{
    struct corpus c;
    struct err err;
    struct stream_document d;
    uint32_t ids[] = {1, 10};
    stream_document_init(&d);
    expect_vocab(&c, 10);
    tap_ok(corpus_add(&c, ids, NULL, 2, &d, &err) < 0 && strstr(err.msg, "ids[1] is 10"), "%s",
           err.msg);
    tap_ok(!corpus_add(&c, ids, NULL, 0, &d, &err) && c.empty == 1 && !c.n_documents,
           "a document of no tokens is counted");
    tap_ok(!corpus_add(&c, ids, NULL, 1, &d, &err) && !c.documents[0].n_trained,
           "a document of one token has nothing to learn");
    corpus_release(&c);
}

int main(void)
{
    if (!mkdtemp(directory))
        return 1;
    test_best_fit();
    test_shuffle();
    test_all_come_out(500);
    test_all_come_out(70000);
    test_split_overlong();
    test_other_overlong();
    test_split_position();
    test_repeated();
    test_corpus_refuses();
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) ? 1 : tap_done();
}
