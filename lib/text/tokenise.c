#include "text/tokenise.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "formats/json.h"

enum { BATCH_DOCUMENTS = 256, BATCH_BYTES = 4 << 20 };

struct slot {
    struct buf text; /* JSON, or the plain text */
    struct tokenised out;
    struct err err;
    bool failed;
};

struct tokeniser {
    const struct chat *chat;
    const struct document_fields *fields;
    enum document_format format;
    struct pool *pool;
    struct tokenizer_scratch **scratches; /* [threads] */
    struct slot *slots;                   /* [BATCH_DOCUMENTS], made as they are needed */
    size_t n_slots;
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
    t->slots = xcalloc(BATCH_DOCUMENTS, sizeof *t->slots);
    t->scratches = xcalloc(pool_threads(pool), sizeof *t->scratches);
    for (size_t i = 0; i < pool_threads(pool); i++)
        t->scratches[i] = tokenizer_scratch_new(chat_tokenizer(c));
    return t;
}

void tokeniser_free(struct tokeniser *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_slots; i++) {
        buf_release(&t->slots[i].text);
        document_release(&t->slots[i].out.document);
        for (size_t k = 0; k < ARRAY_SIZE(t->slots[i].out.results); k++)
            chat_result_release(&t->slots[i].out.results[k]);
    }
    for (size_t i = 0; i < pool_threads(t->pool); i++)
        tokenizer_scratch_free(t->scratches[i]);
    free(t->scratches);
    free(t->slots);
    free(t);
}

static struct slot *slot_at(struct tokeniser *t, size_t i)
{
    struct slot *s = &t->slots[i];
    if (i < t->n_slots)
        return s;
    buf_init(&s->text);
    document_init(&s->out.document);
    for (size_t k = 0; k < ARRAY_SIZE(s->out.results); k++)
        chat_result_init(&s->out.results[k], t->chat);
    t->n_slots++;
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

static void task(void *arg, size_t i, size_t thread)
{
    struct tokeniser *t = arg;
    struct slot *s = &t->slots[i];
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

/* Fills slots up to the batch's size; the number of documents, or -1 with those before the failure
 * counted in *n. */
static int fill(struct tokeniser *t, struct document_source *from, size_t *n, struct err *err)
{
    size_t bytes = 0;
    for (*n = 0; *n < BATCH_DOCUMENTS && bytes < BATCH_BYTES; ++*n) {
        struct slot *s = slot_at(t, *n);
        int rc = document_source_next(from, &s->text, &s->out.place, err);
        if (rc <= 0)
            return rc;
        s->out.number = t->number++;
        bytes += s->text.len;
    }
    return 1;
}

int tokenise(struct tokeniser *t, struct input *in,
             int (*take)(void *arg, const struct tokenised *d, struct err *err), void *arg,
             struct err *err)
{
    struct document_source *from;
    int more;
    if (document_source_open(&from, in, t->format, t->fields, err))
        return -1;
    do {
        struct err read_err;
        size_t n;
        more = fill(t, from, &n, &read_err);
        pool_run(t->pool, n, task, t);
        for (size_t i = 0; i < n; i++)
            if ((t->slots[i].failed && fail_at(&t->slots[i], err)) ||
                take(arg, &t->slots[i].out, err)) {
                document_source_close(from);
                return -1;
            }
        if (more < 0)
            *err = read_err;
    } while (more > 0);
    t->passed_over += document_source_passed_over(from);
    document_source_close(from);
    return more;
}

uint64_t tokeniser_passed_over(const struct tokeniser *t)
{
    return t->passed_over;
}
