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
    d->left_out += part->left_out;
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

/* Of the ratio sum(nll) / sum(targets); `less`, if not NULL, has the same documents, and its sums
 * are taken off. */
static double standard_error(const struct evaluation *e, const struct evaluation *less, double mean)
{
    double squares = 0, documents = 0, targets = 0;
    for (size_t i = 0; i < e->n; i++) {
        const struct scored_document *d = &e->documents[i];
        double sum = d->nll - (less ? less->documents[i].nll : 0);
        double residual = sum - mean * (double)d->targets;
        squares += residual * residual;
        documents += d->targets > 0;
        targets += (double)d->targets;
    }
    return documents < 2 ? NAN : sqrt(documents / (documents - 1) * squares) / targets;
}

void evaluation_compare(const struct evaluation *base, const struct evaluation *tuned,
                        struct evaluation_difference *d)
{
    double sum = 0, targets = 0;
    for (size_t i = 0; i < base->n; i++) {
        sum += tuned->documents[i].nll - base->documents[i].nll;
        targets += (double)base->documents[i].targets;
    }
    d->mean_nll = targets > 0 ? sum / targets : NAN;
    d->stderr_mean = standard_error(tuned, base, d->mean_nll);
    d->low = d->mean_nll - 1.96 * d->stderr_mean;
    d->high = d->mean_nll + 1.96 * d->stderr_mean;
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
    bool bytes_known = true;
    *s = (struct evaluation_summary){0};
    for (size_t i = 0; i < e->n; i++) {
        const struct scored_document *d = &e->documents[i];
        s->seen += d->n_tokens;
        s->left_out += d->left_out;
        if (!d->targets)
            continue;
        s->documents++;
        s->tokens += d->targets;
        s->nll += d->nll;
        s->text_bytes += d->text_bytes;
        bytes_known = bytes_known && d->text_bytes && !d->left_out;
    }
    if (!bytes_known)
        s->text_bytes = 0;
    s->mean_nll = s->tokens ? s->nll / (double)s->tokens : NAN;
    s->ppl = exp(s->mean_nll);
    s->stderr_mean = standard_error(e, NULL, s->mean_nll);
    s->bits_per_byte = s->text_bytes ? s->nll / M_LN2 / (double)s->text_bytes : NAN;
}

struct evaluator {
    struct decoder *decoder;
    const struct lora *lora;
    struct evaluator_options options;
    struct evaluation *result;

    /* the batch that is being filled: documents, or windows of documents */
    uint32_t *ids;
    uint8_t *trained;
    size_t n, cap;
    size_t *lengths, *owners; /* owners: which of result->documents it is of */
    size_t n_pieces, pieces_cap;
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
    return ev;
}

void evaluator_free(struct evaluator *ev)
{
    if (!ev)
        return;
    free(ev->ids);
    free(ev->trained);
    free(ev->lengths);
    free(ev->owners);
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
    for (size_t i = 0; i < ev->n_pieces; at += ev->lengths[i++]) {
        struct scored_document *d = &ev->result->documents[ev->owners[i]];
        d->nll += ev->nll[i];
        if (ev->options.logprobs) {
            d->logprob = xreallocarray(NULL, d->n_tokens, sizeof *d->logprob);
            memcpy(d->logprob, ev->logprob + at, d->n_tokens * sizeof *d->logprob);
        }
        ev->tokens += ev->lengths[i];
        for (size_t t = 0; t < ev->lengths[i]; t++)
            ev->targets += ev->trained[at + t];
        ev->sum += ev->nll[i];
    }
    ev->n = ev->n_pieces = 0;
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
    for (size_t i = 0; i < ev->n_pieces; i++)
        if (!isfinite(ev->nll[i]))
            return err_set(err, "%s: the loss is not a finite number",
                           document_name(&ev->result->documents[ev->owners[i]], name));
    return 0;
}

static int score_batch(struct evaluator *ev, struct err *err)
{
    if (!ev->n_pieces)
        return 0;
    struct batch batch = {ev->ids, ev->trained, ev->n, ev->lengths, ev->n_pieces, NULL};
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

/* Room for n more tokens and one more piece in the batch. */
static void reserve(struct evaluator *ev, size_t n)
{
    if (ev->n + n > ev->cap) {
        ev->cap = ev->n + n;
        if (ev->cap < ev->options.batch_tokens)
            ev->cap = ev->options.batch_tokens;
        ev->ids = xreallocarray(ev->ids, ev->cap, sizeof *ev->ids);
        ev->trained = xreallocarray(ev->trained, ev->cap, sizeof *ev->trained);
        if (ev->options.logprobs)
            ev->logprob = xreallocarray(ev->logprob, ev->cap, sizeof *ev->logprob);
    }
    if (ev->n_pieces >= ev->pieces_cap) {
        ev->pieces_cap = ev->pieces_cap ? 2 * ev->pieces_cap : 64;
        ev->lengths = xreallocarray(ev->lengths, ev->pieces_cap, sizeof *ev->lengths);
        ev->owners = xreallocarray(ev->owners, ev->pieces_cap, sizeof *ev->owners);
        ev->nll = xreallocarray(ev->nll, ev->pieces_cap, sizeof *ev->nll);
    }
}

/* Tokens [0, n) of the last of the documents, of which those from `counted` on are targets. */
static int add_piece(struct evaluator *ev, const uint32_t *ids, const uint8_t *trained, size_t n,
                     size_t counted, struct err *err)
{
    struct scored_document *d = &ev->result->documents[ev->result->n - 1];
    if (ev->n && ev->n + n > ev->options.batch_tokens && score_batch(ev, err))
        return -1;
    reserve(ev, n);
    for (size_t i = 0; i < n; i++) {
        ev->ids[ev->n + i] = ids[i];
        ev->trained[ev->n + i] = i > 0 && i >= counted && trained[i];
        d->targets += ev->trained[ev->n + i];
    }
    ev->n += n;
    ev->owners[ev->n_pieces] = ev->result->n - 1;
    ev->lengths[ev->n_pieces++] = n;
    return 0;
}

static int add_windows(struct evaluator *ev, const uint32_t *ids, const uint8_t *trained, size_t n,
                       struct err *err)
{
    const struct window *w = &ev->options.window;
    struct scored_document *d = &ev->result->documents[ev->result->n - 1];
    for (size_t from = 0, seen = 0; seen < n; from += w->stride) {
        size_t end = size_min(from + w->size, n), counted = size_max(seen - from, w->skip);
        if (w->whole && end - from < w->size)
            break;
        if (add_piece(ev, ids + from, trained + from, end - from, counted, err))
            return -1;
        if (ids[0] == w->bos)
            ev->ids[ev->n - (end - from)] = ids[0];
        seen = end;
    }
    for (size_t i = 1; i < n; i++)
        d->left_out += trained[i] != 0;
    d->left_out -= d->targets;
    return 0;
}

static void append(struct evaluation *result, const struct stream_document *from,
                   uint64_t index_base)
{
    ARRAY_GROW(result->documents, result->n, result->cap);
    result->documents[result->n++] = (struct scored_document){
        .index = index_base + from->index,
        .part = from->part,
        .id = from->id ? xstrdup(from->id) : NULL,
        .source = from->source ? xstrdup(from->source) : NULL,
        .n_tokens = from->n_tokens,
        .text_bytes = from->text_bytes,
    };
}

int evaluator_add(struct evaluator *ev, const struct stream_record *r, uint64_t index_base,
                  struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_documents; i++) {
        const struct stream_document *d = &r->documents[i];
        if (check_ids(ev, r->ids + at, d->n_tokens, err))
            return err_prefix(err, "document %" PRIu64, d->index);
        append(ev->result, d, index_base);
        if (ev->options.window.size
                ? add_windows(ev, r->ids + at, r->trained + at, d->n_tokens, err)
                : add_piece(ev, r->ids + at, r->trained + at, d->n_tokens, 0, err))
            return -1;
        at += d->n_tokens;
    }
    return 0;
}

int evaluator_finish(struct evaluator *ev, struct err *err)
{
    return score_batch(ev, err);
}
