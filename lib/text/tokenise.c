#include "text/tokenise.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "formats/json.h"

enum {
    BATCH_DOCUMENTS = 256,
    /* for each thread: so little that what comes of it stays in the processor's cache, but some
     * documents even where they are large */
    BATCH_BYTES = 64 << 10,
    FEW_DOCUMENTS = 4,
    FEW_BYTES = 1 << 20,
};

struct slot {
    struct buf text; /* JSON, or the plain text */
    struct tokenised out;
    struct err err;
    bool failed;
};

/* Documents that are worked on together. */
struct doc_batch {
    struct slot *slots; /* [BATCH_DOCUMENTS], made as they are needed */
    size_t n_slots, n;
};

/* While one batch is encoded, the one before it is handed on and the one after it read in its
 * place: by one of the threads, so that the others needn't wait for either. */
struct tokeniser {
    const struct chat *chat;
    const struct document_fields *fields;
    enum document_format format;
    struct pool *pool;
    struct tokenizer_scratch **scratches; /* [threads] */
    struct doc_batch batches[2];
    uint64_t number, passed_over;
};

struct tokeniser *tokeniser_new(const struct chat *c, const struct document_fields *fields,
                                enum document_format format, struct pool *pool)
{
    struct tokeniser *t = xcalloc(1, sizeof *t);
    t->chat = c;
    t->fields = fields;
    t->format = format;
    t->pool = pool;
    for (size_t i = 0; i < ARRAY_SIZE(t->batches); i++)
        t->batches[i].slots = xcalloc(BATCH_DOCUMENTS, sizeof *t->batches[i].slots);
    t->scratches = xcalloc(pool_threads(pool), sizeof *t->scratches);
    for (size_t i = 0; i < pool_threads(pool); i++)
        t->scratches[i] = tokenizer_scratch_new(chat_tokenizer(c));
    return t;
}

static void release_batch(struct doc_batch *b)
{
    for (size_t i = 0; i < b->n_slots; i++) {
        struct slot *s = &b->slots[i];
        buf_release(&s->text);
        document_release(&s->out.document);
        for (size_t k = 0; k < ARRAY_SIZE(s->out.results); k++)
            chat_result_release(&s->out.results[k]);
    }
    free(b->slots);
}

void tokeniser_free(struct tokeniser *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(t->batches); i++)
        release_batch(&t->batches[i]);
    for (size_t i = 0; i < pool_threads(t->pool); i++)
        tokenizer_scratch_free(t->scratches[i]);
    free(t->scratches);
    free(t);
}

static struct slot *slot_at(const struct tokeniser *t, struct doc_batch *b, size_t i)
{
    struct slot *s = &b->slots[i];
    if (i < b->n_slots)
        return s;
    buf_init(&s->text);
    document_init(&s->out.document);
    for (size_t k = 0; k < ARRAY_SIZE(s->out.results); k++)
        chat_result_init(&s->out.results[k], t->chat);
    b->n_slots++;
    return s;
}

/* ---- one document ---- */

static int encode(const struct tokeniser *t, struct slot *s)
{
    struct document *d = &s->out.document;
    if (!document_format_is_text(t->format)) {
        json_t *value = json_parse(s->text.p, s->text.len, &s->err);
        if (!value)
            return -1;
        int rc = document_from_json(d, value, t->fields, &s->err);
        json_decref(value);
        if (rc)
            return -1;
    } else {
        size_t valid = utf8_valid(s->text.p, s->text.len);
        if (valid < s->text.len)
            return err_set(&s->err,
                           "not UTF-8 at byte %zu: convert it first, with iconv or ft-text", valid);
        document_from_text(d, s->text.p, s->text.len);
    }
    struct chat_result *const results[2] = {&s->out.results[0], &s->out.results[1]};
    return d->n_answers ? chat_encode_answers(t->chat, d, results, &s->err)
                        : chat_encode(t->chat, d, results[0], &s->err);
}

static void encode_with(const struct tokeniser *t, struct slot *s, size_t thread)
{
    for (size_t k = 0; k < ARRAY_SIZE(s->out.results); k++)
        s->out.results[k].scratch = t->scratches[thread];
    s->failed = encode(t, s) < 0;
    for (size_t k = 0; k < ARRAY_SIZE(s->out.results); k++)
        s->out.results[k].scratch = NULL;
}

/* ---- batches ---- */

static int fail_at(const struct slot *s, struct err *err)
{
    *err = s->err;
    return s->out.place.line ? err_prefix(err, "%s:%zu", s->out.place.file, s->out.place.line)
                             : err_prefix(err, "%s", s->out.place.file);
}

static bool has_room(const struct tokeniser *t, const struct doc_batch *b, size_t bytes)
{
    size_t threads = pool_threads(t->pool);
    return b->n < BATCH_DOCUMENTS &&
           bytes < threads * (b->n < threads * FEW_DOCUMENTS ? FEW_BYTES : BATCH_BYTES);
}

/* Fills the batch up to its size: 1, 0 at the end of the input, -1 behind the documents before the
 * failure. */
static int fill(struct tokeniser *t, struct document_source *from, struct doc_batch *b,
                struct err *err)
{
    size_t bytes = 0;
    for (b->n = 0; has_room(t, b, bytes); b->n++) {
        struct slot *s = slot_at(t, b, b->n);
        int rc = document_source_next(from, &s->text, &s->out.place, err);
        if (rc <= 0)
            return rc;
        s->out.number = t->number++;
        bytes += s->text.len;
    }
    return 1;
}

struct run {
    struct tokeniser *t;
    struct document_source *from;
    int (*take)(void *arg, const struct tokenised *d, struct err *err);
    void *arg;
    struct doc_batch *now, *other; /* being encoded; being handed on, then filled */
    int more;                      /* what fill returned last */
    bool failed;                   /* with err; else read_err, if more is -1 */
    struct err err, read_err;
};

static int hand_on(struct run *run)
{
    struct doc_batch *b = run->other;
    for (size_t i = 0; i < b->n; i++)
        if ((b->slots[i].failed && fail_at(&b->slots[i], &run->err)) ||
            run->take(run->arg, &b->slots[i].out, &run->err))
            return -1;
    b->n = 0;
    return 0;
}

/* Task 0 is the other batch, the rest are the documents of this one. */
static void task(void *arg, size_t i, size_t thread)
{
    struct run *run = arg;
    if (i > 0) {
        encode_with(run->t, &run->now->slots[i - 1], thread);
        return;
    }
    run->failed = hand_on(run) < 0;
    if (!run->failed && run->more > 0)
        run->more = fill(run->t, run->from, run->other, &run->read_err);
}

int tokenise(struct tokeniser *t, struct input *in,
             int (*take)(void *arg, const struct tokenised *d, struct err *err), void *arg,
             struct err *err)
{
    struct run run = {.t = t,
                      .take = take,
                      .arg = arg,
                      .now = &t->batches[0],
                      .other = &t->batches[1],
                      .more = 1};
    if (document_source_open(&run.from, in, t->format, t->fields, err))
        return -1;
    run.now->n = run.other->n = 0;
    do {
        pool_run(t->pool, 1 + run.now->n, task, &run);
        struct doc_batch *encoded = run.now;
        run.now = run.other;
        run.other = encoded;
    } while (!run.failed && (run.now->n || run.other->n));
    t->passed_over += document_source_passed_over(run.from);
    document_source_close(run.from);
    if (run.failed || run.more < 0)
        *err = run.failed ? run.err : run.read_err;
    return run.failed || run.more < 0 ? -1 : 0;
}

uint64_t tokeniser_passed_over(const struct tokeniser *t)
{
    return t->passed_over;
}
