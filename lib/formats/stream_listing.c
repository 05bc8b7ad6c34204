#include "formats/stream_listing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

static void list_special(struct buf *out, const char *name, int64_t id)
{
    if (id < 0)
        buf_addf(out, ", no %s", name);
    else
        buf_addf(out, ", %s %" PRId64, name, id);
}

void stream_list_header(struct buf *out, const struct stream_header *h)
{
    buf_addf(out, "%-16s%s\n", "kind", stream_kind_names[h->kind]);
    buf_addf(out, "%-16s%s\n", "tokenizer", *h->tokenizer ? h->tokenizer : "none");
    buf_addf(out, "%-16s%s\n", "template", *h->template_hash ? h->template_hash : "none");
    buf_addf(out, "%-16s%" PRIu32, "vocabulary", h->vocab_size);
    list_special(out, "bos", h->bos);
    list_special(out, "eos", h->eos);
    buf_addch(out, '\n');
    if (h->length)
        buf_addf(out, "%-16s%" PRIu32 "\n", "length", h->length);
    for (size_t i = 0; i < h->n_provenance; i++)
        buf_addf(out, "%-16s%s\n", i ? "" : "made by", h->provenance[i]);
}

static void add_key_string(struct buf *out, const char *key, const char *s)
{
    buf_addf(out, ",\"%s\":", key);
    if (s)
        json_add_string(out, s, strlen(s));
    else
        buf_addstr(out, "null");
}

static void add_place(struct buf *out, const struct stream_document *d, uint64_t row,
                      bool with_part)
{
    buf_addf(out, "{\"row\":%" PRIu64 ",\"index\":%" PRIu64, row, d->index);
    if (with_part)
        buf_addf(out, ",\"part\":%" PRIu64, d->part);
    add_key_string(out, "id", d->id);
    add_key_string(out, "source", d->source);
    buf_addstr(out, ",\"weight\":");
    json_add_real(out, d->weight);
}

/* The document's tokens begin at `at`. */
static void add_tokens(struct buf *out, const struct stream_record *r,
                       const struct stream_document *d, size_t at, const struct buf *text)
{
    buf_addf(out, "\"bytes\":%" PRIu64 ",\"ids\":[", d->text_bytes);
    for (size_t t = at; t < at + d->n_tokens; t++) {
        if (t > at)
            buf_addch(out, ',');
        buf_addu(out, r->ids[t]);
    }
    buf_addstr(out, "],\"trained\":[");
    for (size_t t = at; t < at + d->n_tokens; t++) {
        if (t > at)
            buf_addch(out, ',');
        buf_addch(out, r->trained[t] ? '1' : '0');
    }
    buf_addch(out, ']');
    if (d->weights) {
        buf_addstr(out, ",\"weights\":");
        json_add_reals(out, d->weights, d->n_tokens);
    }
    if (text) {
        buf_addstr(out, ",\"text\":");
        json_add_string(out, text->p, text->len);
    }
    buf_addch(out, '}');
}

void stream_list_record(struct buf *out, const struct stream_record *r, enum stream_kind kind,
                        uint64_t row, const struct buf *texts)
{
    for (size_t i = 0, at = 0; i < r->n_documents; at += r->documents[i++].n_tokens) {
        const struct stream_document *d = &r->documents[i];
        bool pair = kind == STREAM_PREFERENCE;
        if (!pair || !i)
            add_place(out, d, row, !pair);
        if (kind == STREAM_LABEL)
            buf_addf(out, ",\"label\":%s", d->label ? "true" : "false");
        buf_addstr(out, !pair ? "," : i ? ",\"rejected\":{" : ",\"chosen\":{");
        add_tokens(out, r, d, at, texts ? &texts[i] : NULL);
        if (!pair || i)
            buf_addstr(out, pair ? "}\n" : "\n");
    }
}

void stream_stats_init(struct stream_stats *s)
{
    *s = (struct stream_stats){0};
}

void stream_stats_release(struct stream_stats *s)
{
    free(s->lengths);
    free(s->rows);
}

void stream_stats_add(struct stream_stats *s, const struct stream_header *h,
                      const struct stream_record *r)
{
    stream_totals_add(&s->totals, r);
    s->capacity += h->length;
    ARRAY_GROW(s->rows, s->n_rows, s->rows_cap);
    s->rows[s->n_rows++] = (uint32_t)r->n;
    for (size_t i = 0; i < r->n_documents; i++) {
        ARRAY_GROW(s->lengths, s->n, s->cap);
        s->lengths[s->n++] = (uint32_t)r->documents[i].n_tokens;
        s->parts += r->documents[i].part > 0;
    }
}

static int compare_length(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
    return a < b ? -1 : a > b;
}

/* The nearest-rank quantiles: the least length that at least so many in a hundred don't exceed. */
static void list_quantiles(struct buf *out, const char *name, uint32_t *lengths, size_t n,
                           uint64_t sum)
{
    static const unsigned percents[] = {0, 25, 50, 75, 95, 100};
    if (!n)
        return;
    qsort(lengths, n, sizeof *lengths, compare_length);
    buf_addf(out, "%-16s", name);
    for (size_t i = 0; i < ARRAY_SIZE(percents); i++) {
        size_t rank = (n * percents[i] + 99) / 100;
        buf_addf(out, "%8" PRIu32, lengths[rank ? rank - 1 : 0]);
    }
    buf_addf(out, "%10.1f\n", (double)sum / (double)n);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100 * (double)part / (double)whole : 0;
}

void stream_stats_list(struct stream_stats *s, struct buf *out)
{
    const struct stream_totals *t = &s->totals;
    buf_addf(out, "%-16s%" PRIu64 "\n", "records", t->records);
    buf_addf(out, "%-16s%" PRIu64, "documents", t->documents);
    if (s->parts)
        buf_addf(out, "  (%" PRIu64 " are later parts of one)", s->parts);
    buf_addf(out, "\n%-16s%" PRIu64 "\n", "tokens", t->tokens);
    buf_addf(out, "%-16s%" PRIu64 "  (%.1f%%)\n", "trained", t->trained,
             percent(t->trained, t->tokens));
    if (t->text_bytes)
        buf_addf(out, "%-16s%" PRIu64 "  (%.2f a token)\n", "bytes of text", t->text_bytes,
                 t->tokens ? (double)t->text_bytes / (double)t->tokens : 0);
    if (s->capacity)
        buf_addf(out, "%-16s%.1f%%\n", "fill", percent(t->tokens, s->capacity));
    if (!t->records)
        return;
    buf_addf(out, "%-16s%8s%8s%8s%8s%8s%8s%10s\n", "tokens in", "least", "25%", "50%", "75%", "95%",
             "most", "mean");
    list_quantiles(out, "  a document", s->lengths, s->n, t->tokens);
    if (s->capacity)
        list_quantiles(out, "  a row", s->rows, s->n_rows, t->tokens);
}
