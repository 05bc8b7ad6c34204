#include "model/evaluate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/watch.h"
#include "text/white_space.h"

enum { MAX_RESULTS = 2 };

struct evaluator {
    struct decoder *decoder;
    const struct lora *sides[MAX_RESULTS];
    size_t n_sides, n_results;
    struct evaluator_options options;
    struct evaluation *results;
    struct watch *watch; /* where whole distributions are wanted; else NULL */

    /* the batch that is being filled: documents, or windows of documents */
    uint32_t *ids;
    uint8_t *trained;
    size_t n, cap;
    size_t *lengths, *owners; /* owners: which of the results' documents it is of */
    size_t n_pieces, pieces_cap;
    double *nll;    /* [n_pieces] */
    float *logprob; /* [cap], where asked for */

    /* a document with something before it */
    uint32_t *begun_ids;
    uint8_t *begun_trained;
    size_t begun_cap;

    uint64_t tokens, targets;
    double sum;
};

struct evaluator *evaluator_new(struct decoder *d, const struct lora *const *sides, size_t n_sides,
                                const struct evaluator_options *options, struct evaluation *results)
{
    struct evaluator *ev = xcalloc(1, sizeof *ev);
    ev->decoder = d;
    memcpy(ev->sides, sides, n_sides * sizeof *sides);
    ev->n_sides = n_sides;
    ev->n_results = n_sides + (options->other != NULL);
    ev->options = *options;
    ev->results = results;
    if (options->measure || options->save || options->other)
        ev->watch = watch_new(d, ev->sides, n_sides, options->save, options->other);
    return ev;
}

void evaluator_free(struct evaluator *ev)
{
    if (!ev)
        return;
    watch_free(ev->watch);
    free(ev->ids);
    free(ev->trained);
    free(ev->lengths);
    free(ev->owners);
    free(ev->nll);
    free(ev->logprob);
    free(ev->begun_ids);
    free(ev->begun_trained);
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

/* ---- scoring ---- */

static const char *document_name(const struct scored_document *d, char out[64])
{
    if (d->id)
        snprintf(out, 64, "document \"%.40s\"", d->id);
    else
        snprintf(out, 64, "document %" PRIu64, d->index);
    return out;
}

/* A loss that is no number is told with its document: the mean would hide where it came from. */
static int add_nll(struct evaluator *ev, size_t side, size_t piece, double nll, struct err *err)
{
    struct scored_document *d = &ev->results[side].documents[ev->owners[piece]];
    char name[64];
    if (!isfinite(nll))
        return err_set(err, "%s: the loss is not a finite number", document_name(d, name));
    d->nll += nll;
    if (side + 1 == ev->n_results)
        ev->sum += nll;
    return 0;
}

static int score_side(struct evaluator *ev, size_t side, const struct batch *batch, struct err *err)
{
    float *logprob = ev->options.logprobs ? ev->logprob : NULL;
    if (decoder_score(ev->decoder, ev->sides[side], batch, ev->nll, logprob, err))
        return -1;
    for (size_t i = 0, at = 0; i < ev->n_pieces; at += ev->lengths[i++]) {
        struct scored_document *d = &ev->results[side].documents[ev->owners[i]];
        if (add_nll(ev, side, i, ev->nll[i], err))
            return -1;
        if (!logprob)
            continue;
        d->logprob = xreallocarray(NULL, d->n_tokens, sizeof *d->logprob);
        memcpy(d->logprob, logprob + at, d->n_tokens * sizeof *d->logprob);
    }
    return 0;
}

/* Appends what was measured of a piece's targets, and their losses. */
static int keep_measured(struct evaluator *ev, size_t side, size_t piece,
                         const struct measured_token *from, size_t n, struct err *err)
{
    struct scored_document *d = &ev->results[side].documents[ev->owners[piece]];
    double nll = 0;
    d->measured = xreallocarray(d->measured, d->n_measured + n, sizeof *d->measured);
    memcpy(d->measured + d->n_measured, from, n * sizeof *from);
    d->n_measured += n;
    for (size_t i = 0; i < n; i++)
        nll -= (double)from[i].logprob;
    return add_nll(ev, side, piece, nll, err);
}

static int score_watched(struct evaluator *ev, const struct batch *batch, struct err *err)
{
    if (watch_run(ev->watch, batch, err))
        return -1;
    for (size_t side = 0; side < ev->n_results; side++) {
        const struct measured_token *from = watch_measured(ev->watch, side);
        for (size_t i = 0, at = 0; i < ev->n_pieces; at += ev->lengths[i++]) {
            size_t n = 0;
            for (size_t t = 0; t < ev->lengths[i]; t++)
                n += ev->trained[at + t];
            if (n && keep_measured(ev, side, i, from, n, err))
                return -1;
            from += n;
        }
    }
    return 0;
}

static int score_batch(struct evaluator *ev, struct err *err)
{
    struct batch batch = {ev->ids, ev->trained, ev->n, ev->lengths, ev->n_pieces, NULL};
    int status = 0;
    if (!ev->n_pieces)
        return 0;
    if (ev->watch)
        status = score_watched(ev, &batch, err);
    for (size_t side = 0; side < ev->n_sides && !ev->watch && !status; side++)
        status = score_side(ev, side, &batch, err);
    ev->tokens += ev->n;
    for (size_t t = 0; t < ev->n; t++)
        ev->targets += ev->trained[t];
    ev->n = ev->n_pieces = 0;
    return status;
}

/* ---- batches ---- */

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

static struct scored_document *last_document(const struct evaluator *ev, size_t side)
{
    return &ev->results[side].documents[ev->results[side].n - 1];
}

/* Tokens [0, n) of the last of the documents, of which those from `counted` on are targets. */
static int add_piece(struct evaluator *ev, const uint32_t *ids, const uint8_t *trained, size_t n,
                     size_t counted, struct err *err)
{
    if (ev->n && ev->n + n > ev->options.batch_tokens && score_batch(ev, err))
        return -1;
    reserve(ev, n);
    for (size_t i = 0; i < n; i++) {
        ev->ids[ev->n + i] = ids[i];
        ev->trained[ev->n + i] = i > 0 && i >= counted && trained[i];
        for (size_t side = 0; side < ev->n_results; side++)
            last_document(ev, side)->targets += ev->trained[ev->n + i];
    }
    ev->n += n;
    ev->owners[ev->n_pieces] = ev->results[0].n - 1;
    ev->lengths[ev->n_pieces++] = n;
    return 0;
}

static int add_windows(struct evaluator *ev, const uint32_t *ids, const uint8_t *trained, size_t n,
                       struct err *err)
{
    const struct window *w = &ev->options.window;
    for (size_t from = 0, seen = 0; seen < n; from += w->stride) {
        if (w->full_last && from + w->size > n)
            from = n > w->size ? n - w->size : 0;
        size_t end = size_min(from + w->size, n), counted = size_max(seen - from, w->skip);
        if (w->whole && end - from < w->size)
            break;
        if (add_piece(ev, ids + from, trained + from, end - from, counted, err))
            return -1;
        if (ids[0] == w->bos)
            ev->ids[ev->n - (end - from)] = ids[0];
        seen = end;
    }
    size_t wanted = 0;
    for (size_t i = 1; i < n; i++)
        wanted += trained[i] != 0;
    for (size_t side = 0; side < ev->n_results; side++)
        last_document(ev, side)->left_out = wanted - last_document(ev, side)->targets;
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

/* A document as it is scored. */
struct subject {
    const uint32_t *ids;
    const uint8_t *trained;
    size_t n;
};

/* Its first token counts if the next one does; a part of a document has what came before it. */
static void begin_document(struct evaluator *ev, const struct stream_document *d,
                           struct subject *of)
{
    if (ev->options.begin < 0 || d->part || !of->n || of->ids[0] == ev->options.begin)
        return;
    if (of->n >= ev->begun_cap) {
        ev->begun_cap = of->n + 1;
        ev->begun_ids = xreallocarray(ev->begun_ids, ev->begun_cap, sizeof *ev->begun_ids);
        ev->begun_trained = xreallocarray(ev->begun_trained, ev->begun_cap, 1);
    }
    ev->begun_ids[0] = (uint32_t)ev->options.begin;
    ev->begun_trained[0] = 0;
    memcpy(ev->begun_ids + 1, of->ids, of->n * sizeof *of->ids);
    memcpy(ev->begun_trained + 1, of->trained, of->n);
    ev->begun_trained[1] = of->trained[0] || of->n == 1 || of->trained[1];
    *of = (struct subject){ev->begun_ids, ev->begun_trained, of->n + 1};
}

/* What stands behind the targets, for measures by the word and by the byte. A stream that says no
 * bytes wasn't made from text. */
static int measure_text(struct evaluator *ev, const struct subject *of, bool begun, struct err *err)
{
    struct scored_document *d = last_document(ev, 0);
    struct buf text = BUF_INIT;
    uint32_t *targets = xcalloc(of->n, sizeof *targets);
    size_t n = 0;
    for (size_t i = 1; i < of->n; i++)
        if (of->trained[i])
            targets[n++] = of->ids[i];
    int status = tokenizer_decode(ev->options.tokenizer, targets, n, true, &text, err);
    for (size_t side = 0; side < ev->n_results && !status; side++) {
        d = last_document(ev, side);
        d->words = n ? white_space_runs(text.p, text.len) + 1 : 0;
        if (begun)
            d->text_bytes = text.len;
    }
    free(targets);
    buf_release(&text);
    return status;
}

static int add_document(struct evaluator *ev, const struct stream_document *d, struct subject of,
                        uint64_t index_base, struct err *err)
{
    bool begun;
    if (check_ids(ev, of.ids, of.n, err))
        return err_prefix(err, "document %" PRIu64, d->index);
    for (size_t side = 0; side < ev->n_results; side++)
        append(&ev->results[side], d, index_base);
    begin_document(ev, d, &of);
    begun = of.ids == ev->begun_ids;
    for (size_t side = 0; side < ev->n_results; side++)
        last_document(ev, side)->n_tokens = of.n;
    if (ev->options.tokenizer && (d->text_bytes || begun) && measure_text(ev, &of, begun, err))
        return -1;
    return ev->options.window.size ? add_windows(ev, of.ids, of.trained, of.n, err)
                                   : add_piece(ev, of.ids, of.trained, of.n, 0, err);
}

int evaluator_add(struct evaluator *ev, const struct stream_record *r, uint64_t index_base,
                  struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_documents; i++) {
        struct subject of = {r->ids + at, r->trained + at, r->documents[i].n_tokens};
        if (add_document(ev, &r->documents[i], of, index_base, err))
            return -1;
        at += r->documents[i].n_tokens;
    }
    return 0;
}

int evaluator_finish(struct evaluator *ev, struct err *err)
{
    if (score_batch(ev, err))
        return -1;
    return ev->options.other ? logits_read_end(ev->options.other, err) : 0;
}
