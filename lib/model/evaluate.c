#include "model/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
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
    d->n_tokens += part->n_tokens - 1;
    d->targets += part->targets;
    d->nll += part->nll;
    d->text_bytes += part->text_bytes; /* known for all parts or for none */
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

static double standard_error(const struct evaluation *e, const struct evaluation_summary *s)
{
    double squares = 0;
    if (s->documents < 2)
        return NAN;
    for (size_t i = 0; i < e->n; i++) {
        const struct scored_document *d = &e->documents[i];
        double residual = d->nll - s->mean_nll * (double)d->targets;
        squares += residual * residual;
    }
    double n = (double)s->documents;
    return sqrt(n / (n - 1) * squares) / (double)s->tokens;
}

void evaluation_summarize(const struct evaluation *e, struct evaluation_summary *s)
{
    bool bytes_known = true;
    *s = (struct evaluation_summary){0};
    for (size_t i = 0; i < e->n; i++) {
        const struct scored_document *d = &e->documents[i];
        s->seen += d->n_tokens;
        if (!d->targets)
            continue;
        s->documents++;
        s->tokens += d->targets;
        s->nll += d->nll;
        s->text_bytes += d->text_bytes;
        bytes_known = bytes_known && d->text_bytes;
    }
    if (!bytes_known)
        s->text_bytes = 0;
    s->mean_nll = s->tokens ? s->nll / (double)s->tokens : NAN;
    s->ppl = exp(s->mean_nll);
    s->stderr_mean = standard_error(e, s);
    s->bits_per_byte = s->text_bytes ? s->nll / M_LN2 / (double)s->text_bytes : NAN;
}

struct evaluator {
    struct decoder *decoder;
    const struct lora *lora;
    struct evaluator_options options;
    struct evaluation *result;
    size_t first; /* result->documents from here on wait to be scored */

    /* the batch that is being filled */
    uint32_t *ids;
    uint8_t *trained;
    size_t n, cap;
    size_t *lengths;
    size_t lengths_cap;
    double *nll;
    float *logprob; /* [cap], where asked for */

    uint64_t tokens, targets;
    double sum;
};

struct evaluator *evaluator_new(struct decoder *d, const struct lora *lora,
                                const struct evaluator_options *options, struct evaluation *result)
{
    struct evaluator *ev = xcalloc(1, sizeof *ev);
    ev->decoder = d;
    ev->lora = lora;
    ev->options = *options;
    ev->result = result;
    ev->first = result->n;
    return ev;
}

void evaluator_free(struct evaluator *ev)
{
    if (!ev)
        return;
    free(ev->ids);
    free(ev->trained);
    free(ev->lengths);
    free(ev->nll);
    free(ev->logprob);
    free(ev);
}

uint64_t evaluator_tokens(const struct evaluator *ev)
{
    return ev->tokens;
}

double evaluator_mean_nll(const struct evaluator *ev)
{
    return ev->targets ? ev->sum / (double)ev->targets : NAN;
}

static void keep_scores(struct evaluator *ev)
{
    size_t at = 0;
    for (size_t i = 0; ev->first < ev->result->n; i++) {
        struct scored_document *d = &ev->result->documents[ev->first++];
        d->nll = ev->nll[i];
        if (ev->options.logprobs) {
            d->logprob = xreallocarray(NULL, d->n_tokens, sizeof *d->logprob);
            memcpy(d->logprob, ev->logprob + at, d->n_tokens * sizeof *d->logprob);
        }
        at += d->n_tokens;
        ev->tokens += d->n_tokens;
        ev->targets += d->targets;
        ev->sum += d->nll;
    }
    ev->n = 0;
}

static const char *document_name(const struct scored_document *d, char out[64])
{
    if (d->id)
        snprintf(out, 64, "document \"%.40s\"", d->id);
    else
        snprintf(out, 64, "document %" PRIu64, d->index);
    return out;
}

/* A loss that is no number is told with its document: the mean would hide where it came from. */
static int check_scores(const struct evaluator *ev, struct err *err)
{
    char name[64];
    for (size_t i = ev->first; i < ev->result->n; i++)
        if (!isfinite(ev->nll[i - ev->first]))
            return err_set(err, "%s: the loss is not a finite number",
                           document_name(&ev->result->documents[i], name));
    return 0;
}

static int score_batch(struct evaluator *ev, struct err *err)
{
    size_t n_documents = ev->result->n - ev->first;
    if (!n_documents)
        return 0;
    struct batch batch = {ev->ids, ev->trained, ev->n, ev->lengths, n_documents, NULL};
    float *logprob = ev->options.logprobs ? ev->logprob : NULL;
    if (decoder_score(ev->decoder, ev->lora, &batch, ev->nll, logprob, err) ||
        check_scores(ev, err))
        return -1;
    keep_scores(ev);
    return 0;
}

static int check_ids(const struct evaluator *ev, const uint32_t *ids, size_t n, struct err *err)
{
    size_t vocab = decoder_config(ev->decoder)->vocab;
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= vocab)
            return err_set(err, "token %zu is %" PRIu32 ", the model's vocabulary ends at %zu", i,
                           ids[i], vocab - 1);
    return 0;
}

/* Room for n more tokens and one more document in the batch. */
static void reserve(struct evaluator *ev, size_t n)
{
    size_t n_documents = ev->result->n - ev->first;
    if (ev->n + n > ev->cap) {
        ev->cap = ev->n + n;
        if (ev->cap < ev->options.batch_tokens)
            ev->cap = ev->options.batch_tokens;
        ev->ids = xreallocarray(ev->ids, ev->cap, sizeof *ev->ids);
        ev->trained = xreallocarray(ev->trained, ev->cap, sizeof *ev->trained);
        if (ev->options.logprobs)
            ev->logprob = xreallocarray(ev->logprob, ev->cap, sizeof *ev->logprob);
    }
    if (n_documents >= ev->lengths_cap) {
        ev->lengths_cap = ev->lengths_cap ? 2 * ev->lengths_cap : 64;
        ev->lengths = xreallocarray(ev->lengths, ev->lengths_cap, sizeof *ev->lengths);
        ev->nll = xreallocarray(ev->nll, ev->lengths_cap, sizeof *ev->nll);
    }
}

static void append(struct evaluator *ev, const struct stream_document *from, uint64_t index_base,
                   const uint32_t *ids, const uint8_t *trained)
{
    struct evaluation *result = ev->result;
    struct scored_document d = {
        .index = index_base + from->index,
        .part = from->part,
        .id = from->id ? xstrdup(from->id) : NULL,
        .source = from->source ? xstrdup(from->source) : NULL,
        .n_tokens = from->n_tokens,
        .text_bytes = from->text_bytes,
    };
    reserve(ev, d.n_tokens);
    for (size_t i = 0; i < d.n_tokens; i++) {
        ev->ids[ev->n + i] = ids[i];
        ev->trained[ev->n + i] = i > 0 && trained[i];
        d.targets += ev->trained[ev->n + i];
    }
    ev->n += d.n_tokens;
    ev->lengths[result->n - ev->first] = d.n_tokens;
    ARRAY_GROW(result->documents, result->n, result->cap);
    result->documents[result->n++] = d;
}

int evaluator_add(struct evaluator *ev, const struct stream_record *r, uint64_t index_base,
                  struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_documents; i++) {
        const struct stream_document *d = &r->documents[i];
        if (check_ids(ev, r->ids + at, d->n_tokens, err))
            return err_prefix(err, "document %" PRIu64, d->index);
        if (ev->n && ev->n + d->n_tokens > ev->options.batch_tokens && score_batch(ev, err))
            return -1;
        append(ev, d, index_base, r->ids + at, r->trained + at);
        at += d->n_tokens;
    }
    return 0;
}

int evaluator_finish(struct evaluator *ev, struct err *err)
{
    return score_batch(ev, err);
}
