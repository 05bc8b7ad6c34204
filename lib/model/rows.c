#include "model/rows_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/rng.h"

struct rows *rows_new(void)
{
    struct rows *r = xcalloc(1, sizeof *r);
    r->kind = STREAM_SHARD;
    r->fd = -1;
    r->hash = hash_new();
    buf_init(&r->pending);
    return r;
}

void rows_free(struct rows *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    for (size_t i = 0; i < r->n_provenance; i++)
        free(r->provenance[i]);
    free(r->provenance);
    free(r->index);
    hash_free(r->hash);
    buf_release(&r->pending);
    free(r);
}

static int open_nameless(struct err *err)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/tmp";
    struct buf path = BUF_INIT;
    buf_addf(&path, "%s/ft-rows.XXXXXX", dir);
    int fd = mkostemp(path.p, O_CLOEXEC);
    if (fd < 0)
        err_errno(err, "%s: temporary file", dir);
    else
        unlink(path.p);
    buf_release(&path);
    return fd;
}

int rows_flush(struct rows *r, struct err *err)
{
    if (r->fd < 0 && (r->fd = open_nameless(err)) < 0)
        return -1;
    if (fd_write(r->fd, r->pending.p, r->pending.len))
        return err_errno(err, "temporary file for the rows (TMPDIR says where)");
    r->written += r->pending.len;
    buf_clear(&r->pending);
    return 0;
}

/* Targets of a document, and the sum of their own weights. */
struct targets {
    size_t n;
    double weight;
};

static struct targets count_targets(const struct stream_document *d, const uint8_t *trained)
{
    struct targets targets = {0, 0};
    for (size_t i = 1; i < d->n_tokens; i++) {
        targets.n += trained[i];
        targets.weight += d->weights && trained[i] ? d->weights[i] : trained[i];
    }
    return targets;
}

/* The parts of a row while its documents are gathered. */
struct gathered {
    struct buf ids, trained, token_weights, lengths, weights, labels, names;
    struct row row;
    bool weighted;
};

/* A preference is one thing: its weight is that of the chosen document. */
static double document_weight(const struct rows *r, const struct stream_record *record,
                              size_t document)
{
    return record->documents[r->kind == STREAM_SHARD ? document : 0].weight;
}

/* The weights of a document's tokens, in a row where any has one. */
static void gather_weights(struct gathered *g, const struct stream_document *d)
{
    const double one = 1;
    for (size_t t = 0; g->row.has_token_weights && t < d->n_tokens; t++)
        buf_add(&g->token_weights, d->weights ? &d->weights[t] : &one, sizeof one);
}

static void gather(const struct rows *r, struct gathered *g, const struct stream_record *record,
                   size_t at, size_t document, const struct targets *targets)
{
    const struct stream_document *d = &record->documents[document];
    const uint32_t length = (uint32_t)d->n_tokens;
    const uint8_t label = d->label;
    const double weight = document_weight(r, record, document);
    buf_add(&g->ids, record->ids + at, length * sizeof *record->ids);
    buf_add(&g->trained, record->trained + at, length);
    gather_weights(g, d);
    buf_add(&g->lengths, &length, sizeof length);
    buf_add(&g->weights, &weight, sizeof weight);
    buf_add(&g->labels, &label, sizeof label);
    if (d->id)
        buf_addstr(&g->names, d->id);
    else
        buf_addf(&g->names, "document %zu of row %" PRIu64, document + 1, r->totals.rows + 1);
    buf_add(&g->names, "", 1);
    g->row.tokens += length;
    g->row.targets += (uint32_t)targets->n;
    g->row.weight = r->kind == STREAM_SHARD ? g->row.weight + weight * targets->weight : weight;
    g->weighted = g->weighted || weight != 1;
    g->row.documents++;
}

/* Hashes the counts too, so that no two sets of rows look alike; weights and labels where they say
 * something. The weights of tokens are where any but 1 is among them. */
static void append(struct rows *r, struct gathered *g)
{
    g->row.offset = r->written + r->pending.len;
    g->row.name_bytes = (uint32_t)g->names.len;
    const uint32_t counts[] = {g->row.tokens, g->row.documents, g->row.name_bytes};
    const struct {
        const struct buf *bytes;
        bool hashed;
    } parts[] = {
        {&g->ids, true},     {&g->trained, true},        {&g->token_weights, true},
        {&g->lengths, true}, {&g->weights, g->weighted}, {&g->labels, r->kind == STREAM_LABEL},
        {&g->names, true}};
    hash_add(r->hash, counts, sizeof counts);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (parts[i].hashed)
            hash_add(r->hash, parts[i].bytes->p, parts[i].bytes->len);
        buf_add(&r->pending, parts[i].bytes->p, parts[i].bytes->len);
    }
    ARRAY_GROW(r->index, r->n, r->cap);
    r->index[r->n++] = g->row;
}

static void gathered_release(struct gathered *g)
{
    buf_release(&g->ids);
    buf_release(&g->trained);
    buf_release(&g->token_weights);
    buf_release(&g->lengths);
    buf_release(&g->weights);
    buf_release(&g->labels);
    buf_release(&g->names);
}

static int add_record(struct rows *r, const struct stream_record *record, struct err *err)
{
    enum { FLUSH_AT = 1 << 20 };
    struct gathered g = {.ids = BUF_INIT,
                         .trained = BUF_INIT,
                         .token_weights = BUF_INIT,
                         .lengths = BUF_INIT,
                         .weights = BUF_INIT,
                         .labels = BUF_INIT,
                         .names = BUF_INIT};
    struct rows_totals *t = &r->totals;
    int status = 0;
    for (size_t i = 0; i < record->n_documents; i++)
        g.row.has_token_weights |= record->documents[i].weights != NULL;
    if (record->n > UINT32_MAX / 2)
        return err_set(err, "a row of %zu tokens", record->n);
    for (size_t i = 0, at = 0; i < record->n_documents; at += record->documents[i++].n_tokens) {
        const struct stream_document *d = &record->documents[i];
        const struct targets targets = count_targets(d, record->trained + at);
        if (!targets.n || !(document_weight(r, record, i) * targets.weight > 0)) {
            t->untrained++;
            continue;
        }
        gather(r, &g, record, at, i, &targets);
        t->documents++;
        t->desirable += d->label;
        if (d->n_tokens > t->longest_document)
            t->longest_document = d->n_tokens;
    }
    if (!status && g.row.documents) {
        append(r, &g);
        t->rows++;
        t->tokens += g.row.tokens;
        t->targets += g.row.targets;
        t->weight += g.row.weight;
        if (g.row.tokens > t->longest)
            t->longest = g.row.tokens;
        if (r->pending.len >= FLUSH_AT)
            status = rows_flush(r, err);
    }
    gathered_release(&g);
    return status;
}

static void note_provenance(struct rows *r, const struct stream_header *h)
{
    uint64_t header = h->n_provenance;
    for (size_t i = 0; i < h->n_provenance; i++)
        header = hash64(h->provenance[i], strlen(h->provenance[i]), header);
    if (header == r->last_header)
        return;
    r->last_header = header;
    for (size_t i = 0; i < h->n_provenance; i++) {
        size_t k = 0;
        while (k < r->n_provenance && strcmp(r->provenance[k], h->provenance[i]) != 0)
            k++;
        if (k < r->n_provenance)
            continue;
        ARRAY_GROW(r->provenance, r->n_provenance, r->provenance_cap);
        r->provenance[r->n_provenance++] = xstrdup(h->provenance[i]);
    }
}

void rows_expect(struct rows *r, enum stream_kind kind)
{
    r->kind = kind;
}

/* Learning from a rejected completion as from a document would be just wrong. */
static int check_kind(const struct rows *r, enum stream_kind kind, struct err *err)
{
    static const char *const losses[] = {[STREAM_TOKENS] = "sft learns",
                                         [STREAM_SHARD] = "sft learns",
                                         [STREAM_PREFERENCE] = "dpo, ipo, orpo and simpo learn",
                                         [STREAM_LABEL] = "kto learns"};
    if (kind == r->kind || (kind == STREAM_TOKENS && r->kind == STREAM_SHARD))
        return 0;
    return err_set(err, "is of kind %s, which --loss=%s from; this run's loss needs kind %s",
                   stream_kind_names[kind], losses[kind],
                   r->kind == STREAM_SHARD ? "tokens or shard" : stream_kind_names[r->kind]);
}

/* The model may have no tokenizer to compare with; then streams must at least agree. */
static int check_header(struct rows *r, const struct vocabulary *v, const struct stream_header *h,
                        struct err *err)
{
    if (vocabulary_check(v, h, err))
        return -1;
    if (check_kind(r, h->kind, err))
        return -1;
    if (r->tokenizer[0] && h->tokenizer[0] && strcmp(r->tokenizer, h->tokenizer) != 0)
        return err_set(err,
                       "made with another tokenizer (hash %.8s...) than the rows before (%.8s...)",
                       h->tokenizer, r->tokenizer);
    if (!r->tokenizer[0])
        memcpy(r->tokenizer, h->tokenizer, sizeof r->tokenizer);
    return 0;
}

static int check_ids(const struct stream_record *record, size_t vocab, struct err *err)
{
    for (size_t i = 0; i < record->n; i++)
        if (record->ids[i] >= vocab)
            return err_set(err, "token id %" PRIu32 ", but the model's vocabulary ends at %zu",
                           record->ids[i], vocab);
    return 0;
}

int rows_read(struct rows *r, const char *path, const struct vocabulary *v, struct err *err)
{
    struct stream_reader *in;
    struct stream_record record;
    if (stream_reader_open(&in, path, err))
        return -1;
    stream_record_init(&record);
    int got = check_header(r, v, stream_reader_header(in), err) ? -2 : 1;
    while (got > 0 && (got = stream_read(in, &record, err)) > 0) {
        note_provenance(r, stream_reader_header(in));
        if (check_ids(&record, v->size, err) || add_record(r, &record, err))
            got = -2;
    }
    if (got == -2) /* errors of the reader name the file already */
        err_prefix(err, "%s", path && strcmp(path, "-") != 0 ? path : "stdin");
    stream_record_release(&record);
    stream_reader_close(in);
    return got < 0 || rows_flush(r, err) ? -1 : 0;
}

const struct rows_totals *rows_totals(const struct rows *r)
{
    return &r->totals;
}

size_t rows_tokens(const struct rows *r, size_t row)
{
    return r->index[row].tokens;
}

size_t rows_targets(const struct rows *r, size_t row)
{
    return r->index[row].targets;
}

enum stream_kind rows_kind(const struct rows *r)
{
    return r->kind;
}

double rows_weight(const struct rows *r, size_t row)
{
    return r->index[row].weight;
}

void rows_hash(const struct rows *r, char hex[HASH_HEX])
{
    if (r->shared_hash[0])
        memcpy(hex, r->shared_hash, HASH_HEX);
    else
        hash_hex(r->hash, hex);
}

const char *const *rows_provenance(const struct rows *r, size_t *n)
{
    *n = r->n_provenance;
    return (const char *const *)r->provenance;
}

void rows_order(size_t *order, size_t n, uint64_t seed, uint64_t epoch)
{
    /* Streams of random numbers of their own, away from those of weights and dropout. */
    enum { SHUFFLE_STREAM = 0x726f7773 };
    struct rng rng;
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    if (!epoch)
        return;
    rng_init(&rng, seed, (uint64_t)SHUFFLE_STREAM << 32 | epoch);
    for (size_t i = n; i > 1; i--) {
        size_t k = rng_below(&rng, i);
        size_t row = order[k];
        order[k] = order[i - 1];
        order[i - 1] = row;
    }
}
