#include "text/tokenise.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/unicode.h"

enum { BATCH_DOCUMENTS = 256, BATCH_BYTES = 4 << 20, READ_BYTES = 64 * 1024 };
#define MAX_LINE ((size_t)1 << 30)

struct slot {
    struct buf text; /* the line, or the whole file */
    size_t line;     /* its number; 0: the whole input */
    struct tokenised out;
    struct err err;
    bool failed;
};

struct tokeniser {
    const struct chat *chat;
    const struct document_fields *fields;
    enum tokenise_format format;
    struct pool *pool;
    struct tokenizer_scratch **scratches; /* [threads] */
    struct slot *slots;                   /* [BATCH_DOCUMENTS], made as they are needed */
    size_t n_slots;
    uint64_t number;
};

struct tokeniser *tokeniser_new(const struct chat *c, const struct document_fields *fields,
                                enum tokenise_format format, struct pool *pool)
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

static int read_all(struct input *in, struct buf *out, struct err *err)
{
    ssize_t n;
    buf_clear(out);
    do {
        if (out->len > MAX_LINE)
            return err_set(err, "%s: over %zu bytes, too much for one document", input_name(in),
                           MAX_LINE);
        buf_reserve(out, READ_BYTES);
        n = input_read(in, out->p + out->len, READ_BYTES, err);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0);
    out->p[out->len] = 0;
    return n < 0 ? -1 : 0;
}

/* A byte order mark, as Windows' tools write it. */
static void drop_mark(struct buf *line)
{
    if (line->len < 3 || memcmp(line->p, "\xef\xbb\xbf", 3))
        return;
    line->len -= 3;
    memmove(line->p, line->p + 3, line->len + 1);
}

static bool is_blank(const struct buf *line)
{
    return strspn(line->p, " \t\r\f\v") == line->len;
}

/* 1 and a document's text in s, 0 at the end, -1. */
static int read_document(struct tokeniser *t, struct input *in, struct slot *s, bool *whole_read,
                         struct err *err)
{
    s->line = 0;
    if (t->format == TOKENISE_FILE) {
        if (*whole_read)
            return 0;
        *whole_read = true;
        return read_all(in, &s->text, err) < 0 ? -1 : 1;
    }
    int rc;
    do {
        rc = input_line(in, &s->text, MAX_LINE, err);
        if (rc > 0 && input_line_number(in) == 1)
            drop_mark(&s->text);
    } while (rc > 0 && is_blank(&s->text));
    s->line = input_line_number(in);
    if (t->format == TOKENISE_LINES && s->text.len && s->text.p[s->text.len - 1] == '\r')
        s->text.p[--s->text.len] = 0;
    return rc;
}

/* ---- one document ---- */

static int encode(const struct tokeniser *t, struct slot *s)
{
    struct document *d = &s->out.document;
    if (t->format == TOKENISE_JSON) {
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

static int fail_at(const struct slot *s, const struct input *in, struct err *err)
{
    *err = s->err;
    return s->line ? err_prefix(err, "%s:%zu", input_name(in), s->line)
                   : err_prefix(err, "%s", input_name(in));
}

/* Fills slots up to the batch's size; the number of documents, or -1 with those before the failure
 * counted in *n. */
static int fill(struct tokeniser *t, struct input *in, bool *whole_read, size_t *n, struct err *err)
{
    size_t bytes = 0;
    for (*n = 0; *n < BATCH_DOCUMENTS && bytes < BATCH_BYTES; ++*n) {
        struct slot *s = slot_at(t, *n);
        int rc = read_document(t, in, s, whole_read, err);
        if (rc <= 0)
            return rc;
        s->out.number = t->number++;
        s->out.file = input_name(in);
        s->out.line = s->line;
        bytes += s->text.len;
    }
    return 1;
}

int tokenise(struct tokeniser *t, struct input *in,
             int (*take)(void *arg, const struct tokenised *d, struct err *err), void *arg,
             struct err *err)
{
    bool whole_read = false;
    int more;
    do {
        struct err read_err;
        size_t n;
        more = fill(t, in, &whole_read, &n, &read_err);
        pool_run(t->pool, n, task, t);
        for (size_t i = 0; i < n; i++)
            if ((t->slots[i].failed && fail_at(&t->slots[i], in, err)) ||
                take(arg, &t->slots[i].out, err)) {
                input_close(in);
                return -1;
            }
        if (more < 0)
            *err = read_err;
    } while (more > 0);
    input_close(in);
    return more;
}
