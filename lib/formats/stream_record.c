/* stream_record: headers and records in memory, and the rules they obey. */
#include "formats/stream_format.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const stream_kind_names[] = {"tokens", "shard", "preference", "label", NULL};
const char *const stream_column_names[N_COLUMNS] = {"lengths", "index", "part", "bytes", "weight",
                                                    "weights", "label", "id",   "source"};

size_t stream_kind_group(enum stream_kind kind)
{
    return kind == STREAM_PREFERENCE ? 2 : 1;
}

void stream_header_init(struct stream_header *h)
{
    *h = (struct stream_header){.bos = -1, .eos = -1};
}

void stream_header_release(struct stream_header *h)
{
    for (size_t i = 0; i < h->n_provenance; i++)
        free(h->provenance[i]);
    free(h->provenance);
    stream_header_init(h);
}

void stream_header_copy(struct stream_header *to, const struct stream_header *from)
{
    *to = *from;
    to->provenance = NULL;
    to->n_provenance = 0;
    for (size_t i = 0; i < from->n_provenance; i++)
        stream_header_add_provenance(to, from->provenance[i]);
}

void stream_header_add_provenance(struct stream_header *h, const char *line)
{
    h->provenance = xreallocarray(h->provenance, h->n_provenance + 1, sizeof *h->provenance);
    h->provenance[h->n_provenance++] = xstrdup(line);
}

void stream_document_init(struct stream_document *d)
{
    *d = (struct stream_document){.weight = 1};
}

void stream_record_init(struct stream_record *r)
{
    *r = (struct stream_record){0};
}

void stream_record_clear(struct stream_record *r)
{
    for (size_t i = 0; i < r->n_documents; i++) {
        free(r->documents[i].weights);
        free(r->documents[i].id);
        free(r->documents[i].source);
    }
    r->n = r->n_documents = 0;
}

void stream_record_release(struct stream_record *r)
{
    stream_record_clear(r);
    free(r->ids);
    free(r->trained);
    free(r->documents);
    stream_record_init(r);
}

static void reserve_tokens(struct stream_record *r, size_t extra)
{
    if (extra <= r->cap - r->n)
        return;
    size_t cap = r->cap + r->cap / 2;
    if (cap < r->n + extra)
        cap = r->n + extra;
    r->ids = xreallocarray(r->ids, cap, sizeof *r->ids);
    r->trained = xreallocarray(r->trained, cap, sizeof *r->trained);
    r->cap = cap;
}

size_t stream_weights_run(const struct stream_document *d, size_t at)
{
    size_t end = at + 1;
    while (end < d->n_tokens && d->weights[end] == d->weights[at])
        end++;
    return end;
}

void stream_weights_reduce(struct stream_document *d, const uint8_t *trained)
{
    bool needed = false;
    for (size_t i = 0; d->weights && i < d->n_tokens; i++) {
        d->weights[i] = i && trained[i] ? d->weights[i] : 1;
        needed |= d->weights[i] != 1;
    }
    if (!needed) {
        free(d->weights);
        d->weights = NULL;
    }
}

void stream_record_add(struct stream_record *r, const uint32_t *ids, const uint8_t *trained,
                       size_t n, const struct stream_document *document)
{
    if (n) {
        reserve_tokens(r, n);
        memcpy(r->ids + r->n, ids, n * sizeof *ids);
        if (trained)
            memcpy(r->trained + r->n, trained, n);
        else
            memset(r->trained + r->n, 1, n);
        r->trained[r->n] = 0;
        r->n += n;
    }
    ARRAY_GROW(r->documents, r->n_documents, r->documents_cap);
    struct stream_document *d = &r->documents[r->n_documents++];
    *d = *document;
    d->n_tokens = n;
    d->id = document->id ? xstrdup(document->id) : NULL;
    d->source = document->source ? xstrdup(document->source) : NULL;
    if (document->weights) {
        d->weights = xreallocarray(NULL, n + 1, sizeof *d->weights);
        memcpy(d->weights, document->weights, n * sizeof *d->weights);
        stream_weights_reduce(d, r->trained + r->n - n);
    }
}

size_t stream_prompt_tokens(const uint8_t *trained, size_t n)
{
    const uint8_t *first = n ? memchr(trained, 1, n) : NULL;
    return first ? (size_t)(first - trained) : n;
}

static bool has_completions(const struct stream_header *h)
{
    return h->kind == STREAM_PREFERENCE || h->kind == STREAM_LABEL;
}

static int check_weights(const struct stream_document *d, const struct stream_header *h,
                         size_t *runs, struct err *err)
{
    if (!isfinite(d->weight) || d->weight < 0)
        return err_set(err, "weight is %g", d->weight);
    if (d->weights && has_completions(h))
        return err_set(err, "its tokens have weights, but it is compared as a whole");
    for (size_t at = 0; d->weights && at < d->n_tokens; at = stream_weights_run(d, at)) {
        if (!isfinite(d->weights[at]) || d->weights[at] < 0)
            return err_set(err, "weight of token %zu is %g", at, d->weights[at]);
        if (++*runs > STREAM_MAX_DOCUMENTS)
            return err_set(err, "the weights of tokens change more than %d times in a record",
                           STREAM_MAX_DOCUMENTS);
    }
    return 0;
}

static int check_document(const struct stream_document *d, size_t at, const struct stream_record *r,
                          const struct stream_header *h, size_t *runs, struct err *err)
{
    if (!d->n_tokens || d->n_tokens > r->n - at)
        return err_set(err, "%zu tokens, %zu are left in the record", d->n_tokens, r->n - at);
    if (r->trained[at])
        return err_set(err, "its first token is marked as trained, but nothing predicts it");
    if (has_completions(h) && stream_prompt_tokens(r->trained + at, d->n_tokens) == d->n_tokens)
        return err_set(err, "none of its tokens is trained, so it has no completion");
    if (has_completions(h) && h->length && d->n_tokens > h->length)
        return err_set(err, "%zu tokens, the header says at most %" PRIu32, d->n_tokens, h->length);
    if (check_weights(d, h, runs, err))
        return -1;
    if ((d->id && strlen(d->id) > STREAM_MAX_STRING) ||
        (d->source && strlen(d->source) > STREAM_MAX_STRING))
        return err_set(err, "id or source is over %d bytes long", STREAM_MAX_STRING);
    return 0;
}

static int check_sizes(const struct stream_record *r, const struct stream_header *h,
                       struct err *err)
{
    if (r->n > STREAM_MAX_TOKENS)
        return err_set(err, "%zu tokens, a record holds %d at most", r->n, STREAM_MAX_TOKENS);
    if (!r->n_documents || r->n_documents > STREAM_MAX_DOCUMENTS)
        return err_set(err, "%zu documents, a record holds 1 to %d", r->n_documents,
                       STREAM_MAX_DOCUMENTS);
    if (h->kind != STREAM_SHARD && r->n_documents != stream_kind_group(h->kind))
        return err_set(err, "%zu documents, a record of a stream of kind %s has %zu",
                       r->n_documents, stream_kind_names[h->kind], stream_kind_group(h->kind));
    if (h->kind == STREAM_SHARD && r->n > h->length)
        return err_set(err, "%zu tokens, the header says rows of at most %" PRIu32, r->n,
                       h->length);
    return 0;
}

static int check_ids(const struct stream_record *r, const struct stream_header *h, struct err *err)
{
    uint32_t highest = 0;
    size_t i = 0;
    for (size_t k = 0; k < r->n; k++)
        highest = r->ids[k] > highest ? r->ids[k] : highest;
    if (!r->n || highest < h->vocab_size)
        return 0;
    while (r->ids[i] < h->vocab_size)
        i++;
    return err_set(err, "token %zu is %" PRIu32 ", but the vocabulary has %" PRIu32, i, r->ids[i],
                   h->vocab_size);
}

int stream_record_check(const struct stream_record *r, const struct stream_header *h,
                        struct err *err)
{
    if (check_sizes(r, h, err))
        return -1;
    size_t at = 0, runs = 0;
    for (size_t i = 0; i < r->n_documents; i++) {
        if (check_document(&r->documents[i], at, r, h, &runs, err))
            return err_prefix(err, "document %zu", i);
        at += r->documents[i].n_tokens;
    }
    if (at != r->n)
        return err_set(err, "its documents' lengths add up to %zu, but it has %zu tokens", at,
                       r->n);
    return check_ids(r, h, err);
}

void stream_totals_add(struct stream_totals *t, const struct stream_record *r)
{
    t->records++;
    t->documents += r->n_documents;
    t->tokens += r->n;
    for (size_t i = 0; i < r->n; i++)
        t->trained += r->trained[i];
    for (size_t i = 0; i < r->n_documents; i++)
        t->text_bytes += r->documents[i].text_bytes;
}

static bool is_hash(const char *hex)
{
    return !*hex ||
           (strlen(hex) == HASH_HEX - 1 && strspn(hex, "0123456789abcdef") == HASH_HEX - 1);
}

int stream_header_check(const struct stream_header *h, struct err *err)
{
    if (!is_hash(h->tokenizer) || !is_hash(h->template_hash))
        return err_set(err, "tokenizer and template are each \"\" or 32 hexadecimal digits");
    if (!h->vocab_size)
        return err_set(err, "vocab_size is 0");
    if (h->bos < -1 || h->bos >= h->vocab_size || h->eos < -1 || h->eos >= h->vocab_size)
        return err_set(err,
                       "bos %" PRId64 " or eos %" PRId64 " is outside the vocabulary of %" PRIu32,
                       h->bos, h->eos, h->vocab_size);
    if ((h->kind == STREAM_SHARD && !h->length) || (h->kind == STREAM_TOKENS && h->length) ||
        h->length > STREAM_MAX_TOKENS)
        return err_set(err, "length %" PRIu32 " doesn't fit a stream of kind %s", h->length,
                       stream_kind_names[h->kind]);
    for (size_t i = 0; i < h->n_provenance; i++)
        if (strlen(h->provenance[i]) > STREAM_MAX_STRING)
            return err_set(err, "a line of provenance is over %d bytes long", STREAM_MAX_STRING);
    return 0;
}
