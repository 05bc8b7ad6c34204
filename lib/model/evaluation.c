#include "model/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void evaluation_init(struct evaluation *e)
{
    *e = (struct evaluation){0};
}

static void document_release(struct scored_document *d)
{
    free(d->id);
    free(d->source);
    free(d->logprob);
    free(d->measured);
}

void evaluation_release(struct evaluation *e)
{
    for (size_t i = 0; i < e->n; i++)
        document_release(&e->documents[i]);
    free(e->documents);
    evaluation_init(e);
}

static int compare_places(const void *a, const void *b)
{
    const struct scored_document *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->part < y->part ? -1 : x->part > y->part;
}

/* Appends a part, whose first token is the last one of d: its log p stands there already. */
static void append_part(struct scored_document *d, struct scored_document *part)
{
    if (d->logprob && part->logprob) {
        size_t n = d->n_tokens + part->n_tokens - 1;
        d->logprob = xreallocarray(d->logprob, n, sizeof *d->logprob);
        memcpy(d->logprob + d->n_tokens, part->logprob + 1,
               (part->n_tokens - 1) * sizeof *d->logprob);
    }
    if (part->n_measured) {
        size_t n = d->n_measured + part->n_measured;
        d->measured = xreallocarray(d->measured, n, sizeof *d->measured);
        memcpy(d->measured + d->n_measured, part->measured, part->n_measured * sizeof *d->measured);
        d->n_measured = n;
    }
    d->n_tokens += part->n_tokens - 1;
    d->targets += part->targets;
    d->left_out += part->left_out;
    d->nll += part->nll;
    d->text_bytes += part->text_bytes; /* known for all parts or for none */
    d->words += part->words ? part->words - 1 : 0;
    document_release(part);
}

void evaluation_join(struct evaluation *e)
{
    size_t kept = 0;
    uint64_t next_part = 0;
    if (e->n)
        qsort(e->documents, e->n, sizeof *e->documents, compare_places);
    for (size_t i = 0; i < e->n; i++) {
        struct scored_document *d = &e->documents[i];
        struct scored_document *last = kept ? &e->documents[kept - 1] : NULL;
        uint64_t part = d->part;
        if (last && last->index == d->index && part > 0 && part == next_part)
            append_part(last, d);
        else
            e->documents[kept++] = *d;
        next_part = part + 1;
    }
    e->n = kept;
}

struct ratio evaluation_ratio(const struct evaluation *e, const double *sums)
{
    double sum = 0, squares = 0, documents = 0, targets = 0;
    for (size_t i = 0; i < e->n; i++) {
        sum += sums[i];
        documents += e->documents[i].targets > 0;
        targets += (double)e->documents[i].targets;
    }
    struct ratio r = {targets > 0 ? sum / targets : NAN, NAN};
    for (size_t i = 0; i < e->n; i++) {
        double residual = sums[i] - r.mean * (double)e->documents[i].targets;
        squares += residual * residual;
    }
    if (documents >= 2)
        r.stderr_ = sqrt(documents / (documents - 1) * squares) / targets;
    return r;
}

void evaluation_compare(const struct evaluation *base, const struct evaluation *tuned,
                        struct evaluation_difference *d)
{
    double *sums = xcalloc(base->n + 1, sizeof *sums);
    for (size_t i = 0; i < base->n; i++)
        sums[i] = tuned->documents[i].nll - base->documents[i].nll;
    struct ratio r = evaluation_ratio(base, sums);
    free(sums);
    *d = (struct evaluation_difference){r.mean, r.stderr_, r.mean - 1.96 * r.stderr_,
                                        r.mean + 1.96 * r.stderr_};
}

void evaluation_of_source(const struct evaluation *e, const char *source, struct evaluation *out)
{
    evaluation_init(out);
    for (size_t i = 0; i < e->n; i++) {
        const char *from = e->documents[i].source;
        if (source && (!from || strcmp(from, source)))
            continue;
        ARRAY_GROW(out->documents, out->n, out->cap);
        out->documents[out->n++] = e->documents[i];
    }
}

void evaluation_release_view(struct evaluation *e)
{
    free(e->documents);
    evaluation_init(e);
}

void evaluation_summarize(const struct evaluation *e, struct evaluation_summary *s)
{
    bool bytes_known = true, words_known = true;
    double *sums = xcalloc(e->n + 1, sizeof *sums);
    *s = (struct evaluation_summary){0};
    for (size_t i = 0; i < e->n; i++) {
        const struct scored_document *d = &e->documents[i];
        sums[i] = d->nll;
        s->seen += d->n_tokens;
        s->left_out += d->left_out;
        if (!d->targets)
            continue;
        s->documents++;
        s->tokens += d->targets;
        s->nll += d->nll;
        s->text_bytes += d->text_bytes;
        s->words += d->words;
        bytes_known = bytes_known && d->text_bytes && !d->left_out;
        words_known = words_known && d->words && !d->left_out;
    }
    if (!bytes_known)
        s->text_bytes = 0;
    if (!words_known)
        s->words = 0;
    struct ratio r = evaluation_ratio(e, sums);
    free(sums);
    s->mean_nll = r.mean;
    s->ppl = exp(r.mean);
    s->stderr_mean = r.stderr_;
    s->bits_per_byte = s->text_bytes ? s->nll / M_LN2 / (double)s->text_bytes : NAN;
    s->byte_ppl = s->text_bytes ? exp(s->nll / (double)s->text_bytes) : NAN;
    s->word_ppl = s->words ? exp(s->nll / (double)s->words) : NAN;
}
