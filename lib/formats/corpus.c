#include "formats/corpus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/corpus_json.h"

void corpus_init(struct corpus *c)
{
    *c = (struct corpus){0};
    stream_header_init(&c->header);
    buf_init(&c->strings);
    buf_addch(&c->strings, 0); /* offset 0 is no string */
    c->hash = hash_new();
}

void corpus_release(struct corpus *c)
{
    stream_header_release(&c->header);
    free(c->documents);
    free(c->ids);
    free(c->trained);
    free(c->weights);
    buf_release(&c->strings);
    hash_free(c->hash);
}

void corpus_expect(struct corpus *c, const struct stream_header *h)
{
    stream_header_release(&c->header);
    stream_header_copy(&c->header, h);
    c->header.kind = STREAM_TOKENS;
    c->header.length = 0;
    c->known = c->expected = true;
    c->has_kind = false;
}

static bool is_wide(const struct corpus *c)
{
    return c->header.vocab_size > UINT16_MAX + 1;
}

/* ---- tokens ---- */

static int reserve_tokens(struct corpus *c, size_t extra, struct err *err)
{
    size_t want, width = is_wide(c) ? 4 : 2;
    if (!size_add(c->n, extra, &want) || want > SIZE_MAX / 8)
        return err_set(err, "too many tokens");
    if (want > c->ids_cap) {
        size_t cap = c->ids_cap + c->ids_cap / 4;
        cap = cap > want ? cap : want + 4096;
        c->ids = xreallocarray(c->ids, cap, width);
        c->trained = xreallocarray(c->trained, cap / 8 + 1, 1);
        if (cap / 8 + 1 > c->trained_cap)
            memset(c->trained + c->trained_cap, 0, cap / 8 + 1 - c->trained_cap);
        c->ids_cap = cap;
        c->trained_cap = cap / 8 + 1;
    }
    return 0;
}

static uint32_t id_at(const struct corpus *c, uint64_t at)
{
    return is_wide(c) ? ((const uint32_t *)c->ids)[at] : ((const uint16_t *)c->ids)[at];
}

static bool trained_at(const struct corpus *c, uint64_t at)
{
    return c->trained[at / 8] >> at % 8 & 1;
}

static void put_token(struct corpus *c, uint32_t id, bool trained)
{
    if (is_wide(c))
        ((uint32_t *)c->ids)[c->n] = id;
    else
        ((uint16_t *)c->ids)[c->n] = (uint16_t)id;
    c->trained[c->n / 8] |= (uint8_t)(trained << c->n % 8);
    c->n++;
}

static size_t put_string(struct corpus *c, const char *s)
{
    size_t at = c->strings.len;
    if (!s)
        return 0;
    buf_add(&c->strings, s, strlen(s) + 1);
    return at;
}

/* Everything of a document, so that equal corpora have equal hashes however they came in. */
static void hash_document(struct corpus *c, const struct corpus_document *d, const uint32_t *ids)
{
    uint64_t numbers[4] = {d->n, d->n_trained, d->text_bytes, 0};
    memcpy(&numbers[3], &d->weight, sizeof d->weight);
    hash_add(c->hash, numbers, sizeof numbers);
    if (c->header.kind == STREAM_LABEL)
        hash_add(c->hash, &d->label, sizeof d->label);
    hash_add(c->hash, ids, d->n * sizeof *ids);
    for (uint64_t t = d->at; t < d->at + d->n; t++) {
        uint8_t trained = trained_at(c, t);
        hash_add(c->hash, &trained, 1);
    }
    if (d->weights)
        hash_add(c->hash, &c->weights[d->weights - 1], d->n * sizeof *c->weights);
    for (int i = 0; i < 2; i++) {
        const char *s = corpus_string(c, i ? d->source : d->id);
        hash_add(c->hash, s ? s : "", s ? strlen(s) + 1 : 1);
    }
}

/* The weights of trained tokens: 1 for the others. What corpus_document.weights is then. */
static size_t put_weights(struct corpus *c, const double *weights, const struct corpus_document *d)
{
    bool needed = false;
    for (size_t i = 0; weights && i < d->n; i++)
        needed |= trained_at(c, d->at + i) && weights[i] != 1;
    if (!needed)
        return 0;
    size_t at = c->n_weights;
    if (c->n_weights + d->n > c->weights_cap) {
        c->weights_cap = c->n_weights + d->n + c->weights_cap / 2;
        c->weights = xreallocarray(c->weights, c->weights_cap, sizeof *c->weights);
    }
    for (size_t i = 0; i < d->n; i++)
        c->weights[c->n_weights++] = trained_at(c, d->at + i) ? weights[i] : 1;
    return at + 1;
}

double *corpus_weights(const struct corpus *c, size_t i)
{
    size_t at = c->documents[i].weights;
    return at ? &c->weights[at - 1] : NULL;
}

int corpus_add(struct corpus *c, const uint32_t *ids, const uint8_t *trained, size_t n,
               const struct stream_document *document, struct err *err)
{
    if (n > STREAM_MAX_TOKENS)
        return err_set(err, "a document of %zu tokens; at most %d are allowed", n,
                       STREAM_MAX_TOKENS);
    if (!n) {
        c->empty++;
        return 0;
    }
    if (c->n_documents == UINT32_MAX)
        return err_set(err, "too many documents");
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= c->header.vocab_size)
            return err_set(err, "ids[%zu] is %" PRIu32 ", but the vocabulary has %" PRIu32, i,
                           ids[i], c->header.vocab_size);
    if (reserve_tokens(c, n, err))
        return -1;
    struct corpus_document d = {.at = c->n,
                                .n = (uint32_t)n,
                                .hash = hash64(ids, n * sizeof *ids, 0),
                                .text_bytes = document->text_bytes,
                                .weight = document->weight,
                                .label = document->label,
                                .id = put_string(c, document->id),
                                .source = put_string(c, document->source)};
    for (size_t i = 0; i < n; i++) {
        bool learn = i && (!trained || trained[i]);
        put_token(c, ids[i], learn);
        d.n_trained += learn;
    }
    d.weights = put_weights(c, document->weights, &d);
    hash_document(c, &d, ids);
    ARRAY_GROW(c->documents, c->n_documents, c->documents_cap);
    c->documents[c->n_documents++] = d;
    return 0;
}

void corpus_tokens(const struct corpus *c, size_t i, size_t start, size_t n, uint32_t *ids,
                   uint8_t *trained)
{
    uint64_t at = c->documents[i].at + start;
    for (size_t t = 0; t < n; t++) {
        ids[t] = id_at(c, at + t);
        trained[t] = t && trained_at(c, at + t);
    }
}

size_t corpus_count_trained(const struct corpus *c, size_t i, size_t start, size_t n)
{
    uint64_t at = c->documents[i].at + start;
    size_t sum = 0;
    for (size_t t = 1; t < n; t++)
        sum += trained_at(c, at + t);
    return sum;
}

static bool same_ids(const struct corpus *c, size_t i, size_t j)
{
    const struct corpus_document *a = &c->documents[i], *b = &c->documents[j];
    if (a->hash != b->hash || a->n != b->n || a->label != b->label)
        return false;
    for (size_t t = 0; t < a->n; t++)
        if (id_at(c, a->at + t) != id_at(c, b->at + t))
            return false;
    return true;
}

bool corpus_same(const struct corpus *c, size_t i, size_t j)
{
    for (size_t k = 0; k < stream_kind_group(c->header.kind); k++)
        if (!same_ids(c, i + k, j + k))
            return false;
    return true;
}

uint64_t corpus_hash(const struct corpus *c, size_t i)
{
    uint64_t hashes[2];
    if (c->header.kind == STREAM_TOKENS)
        return c->documents[i].hash;
    hashes[0] = c->documents[i].hash;
    hashes[1] = c->header.kind == STREAM_LABEL ? c->documents[i].label : c->documents[i + 1].hash;
    return hash64(hashes, sizeof hashes, 0);
}

uint64_t corpus_prompt_hash(const struct corpus *c, size_t i)
{
    const struct corpus_document *d = &c->documents[i];
    size_t n = 0;
    while (n < d->n && !trained_at(c, d->at + n))
        n++;
    uint32_t *ids = xreallocarray(NULL, n + 1, sizeof *ids);
    for (size_t t = 0; t < n; t++)
        ids[t] = id_at(c, d->at + t);
    uint64_t hash = n > 1 ? hash64(ids, n * sizeof *ids, 0) : d->hash;
    free(ids);
    return hash;
}

const char *corpus_string(const struct corpus *c, size_t offset)
{
    return offset ? c->strings.p + offset : NULL;
}

/* ---- token streams ---- */

static void add_provenance_once(struct stream_header *h, const char *line)
{
    for (size_t i = 0; i < h->n_provenance; i++)
        if (!strcmp(h->provenance[i], line))
            return;
    stream_header_add_provenance(h, line);
}

/* Whether ids under header h may join the corpus. A model that was named vouches for ids of no
 * known tokenizer, and its vocabulary counts; streams among themselves must agree in all. */
static int check_origin(const struct corpus *c, const struct stream_header *h, struct err *err)
{
    const struct stream_header *o = &c->header;
    const char *other = c->expected ? "the model" : "the input before";
    bool unnamed = c->expected && (!*h->tokenizer || !*o->tokenizer);
    if (strcmp(h->tokenizer, o->tokenizer) != 0 && !unnamed)
        return err_set(err, "its tokens are of another tokenizer (%s) than %s (%s)",
                       *h->tokenizer ? h->tokenizer : "none", other,
                       *o->tokenizer ? o->tokenizer : "none");
    if (c->expected || (h->vocab_size == o->vocab_size && h->bos == o->bos && h->eos == o->eos))
        return 0;
    return err_set(err,
                   "vocab_size, bos, eos are %" PRIu32 ", %" PRId64 ", %" PRId64 ", but %" PRIu32
                   ", %" PRId64 ", %" PRId64 " in the input before",
                   h->vocab_size, h->bos, h->eos, o->vocab_size, o->bos, o->eos);
}

int corpus_take_kind(struct corpus *c, enum stream_kind kind, struct err *err)
{
    if (c->has_kind && kind != c->header.kind)
        return err_set(err, "is of kind %s, but what was before it is of kind %s",
                       stream_kind_names[kind], stream_kind_names[c->header.kind]);
    c->header.kind = kind;
    c->has_kind = true;
    return 0;
}

/* What a segment's header means for the corpus: whose ids, which template, which programs. */
static int meet_header(struct corpus *c, const struct stream_header *h, struct err *err)
{
    struct stream_header *o = &c->header;
    if (h->length)
        return err_set(err, "is packed already; token streams and JSON Lines of ids can be packed");
    if (c->known && corpus_take_kind(c, h->kind, err))
        return -1;
    if (!c->known) {
        c->known = c->has_kind = true;
        stream_header_copy(o, h);
        return 0;
    }
    if (check_origin(c, h, err))
        return -1;
    if (!*o->tokenizer)
        memcpy(o->tokenizer, h->tokenizer, HASH_HEX);
    if (!c->n_documents)
        memcpy(o->template_hash, h->template_hash, HASH_HEX);
    else if (strcmp(h->template_hash, o->template_hash) != 0)
        *o->template_hash = 0; /* several: no one hash is right */
    for (size_t i = 0; i < h->n_provenance; i++)
        add_provenance_once(o, h->provenance[i]);
    return 0;
}

static int add_record(struct corpus *c, const struct stream_record *r, struct err *err)
{
    for (size_t i = 0, at = 0; i < r->n_documents; at += r->documents[i++].n_tokens)
        if (corpus_add(c, r->ids + at, r->trained + at, r->documents[i].n_tokens, &r->documents[i],
                       err))
            return -1;
    return 0;
}

static int read_stream(struct corpus *c, struct stream_reader *r, const char *name, struct err *err)
{
    struct stream_record record;
    uint64_t segment = UINT64_MAX;
    int status;
    stream_record_init(&record);
    do {
        status = stream_read(r, &record, err);
        if (status >= 0 && stream_reader_segment(r) != segment) {
            segment = stream_reader_segment(r);
            if (meet_header(c, stream_reader_header(r), err))
                status = err_prefix(err, "%s", name);
        }
        if (status > 0 && add_record(c, &record, err))
            status =
                err_prefix(err, "%s: record %" PRIu64, name, stream_reader_totals(r).records - 1);
    } while (status > 0);
    stream_record_release(&record);
    return status;
}

int corpus_read(struct corpus *c, struct input *in, struct err *err)
{
    uint8_t first;
    int status = input_peek(in, &first, err);
    if (status > 0 && stream_begins_with(first)) {
        struct stream_reader *r;
        char *name = xstrdup(input_name(in));
        status = stream_reader_open_input(&r, in, err);
        if (!status) {
            status = read_stream(c, r, name, err);
            stream_reader_close(r);
        }
        free(name);
        return status;
    }
    if (status > 0)
        status = corpus_read_json(c, in, err);
    else if (!status)
        status = err_set(err, "%s: is empty", input_name(in));
    input_close(in);
    return status;
}
