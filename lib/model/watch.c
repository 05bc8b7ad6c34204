#include "model/watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SIDES = PREDICT_MAX_SIDES };

struct watch {
    struct decoder *decoder;
    const struct lora *sides[SIDES];
    size_t n_sides, n_results, vocab;
    struct logits_writer *save;
    struct logits_reader *other;

    float *scratch; /* [threads, 2, V]: for sums, and for what `other` gave */
    uint8_t *rows;  /* [rows_cap]: of a chunk, as in the file */
    size_t rows_cap;

    const struct batch *batch;
    size_t piece, piece_at, piece_left; /* the file's: the next document, its first token, and rows
                                           of the one before that are still to come */
    struct measured_token *measured[SIDES]; /* [done + chunk] */
    size_t done, cap;
};

struct watch *watch_new(struct decoder *d, const struct lora *const *sides, size_t n_sides,
                        struct logits_writer *save, struct logits_reader *other)
{
    struct watch *w = xcalloc(1, sizeof *w);
    w->decoder = d;
    memcpy(w->sides, sides, n_sides * sizeof *sides);
    w->n_sides = n_sides;
    w->n_results = n_sides + (other != NULL);
    w->vocab = decoder_config(d)->vocab;
    w->save = save;
    w->other = other;
    w->scratch = xcalloc(decoder_threads(d) * 2 * w->vocab, sizeof *w->scratch);
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    for (size_t side = 0; side < SIDES; side++)
        free(w->measured[side]);
    free(w->scratch);
    free(w->rows);
    free(w);
}

const struct measured_token *watch_measured(const struct watch *w, size_t side)
{
    return w->measured[side];
}

/* ---- the file ---- */

/* Of a document's ids and which of them are targets. */
static uint64_t piece_hash(const struct batch *b, size_t at, size_t n)
{
    return hash64(b->trained + at, n, hash64(b->ids + at, n * sizeof *b->ids, 0));
}

static size_t piece_targets(const struct batch *b, size_t at, size_t n)
{
    size_t targets = 0;
    for (size_t t = 1; t < n; t++)
        targets += b->trained[at + t] != 0;
    return targets;
}

/* Begins the next document that has targets: its head is written, or read and compared. */
static int next_piece(struct watch *w, struct err *err)
{
    const struct batch *b = w->batch;
    while (!w->piece_left) {
        size_t n = b->lengths[w->piece++];
        uint64_t hash = piece_hash(b, w->piece_at, n);
        w->piece_left = piece_targets(b, w->piece_at, n);
        w->piece_at += n;
        if (!w->piece_left)
            continue;
        if (w->save && logits_write_piece(w->save, hash, w->piece_left, err))
            return -1;
        if (w->other && logits_read_piece(w->other, hash, w->piece_left, err))
            return -1;
    }
    return 0;
}

/* n rows of the chunk through the file, with the heads between them. */
static int move_rows(struct watch *w, size_t n, struct err *err)
{
    size_t size = logits_row_size(w->vocab);
    for (size_t at = 0; at < n;) {
        if (next_piece(w, err))
            return -1;
        size_t some = size_min(n - at, w->piece_left);
        if (w->save ? logits_write_rows(w->save, w->rows + at * size, some, err)
                    : logits_read_rows(w->other, w->rows + at * size, some, err))
            return -1;
        w->piece_left -= some;
        at += some;
    }
    return 0;
}

/* ---- chunks ---- */

static int before_chunk(void *arg, size_t n, struct err *err)
{
    struct watch *w = arg;
    size_t bytes = (w->save || w->other) ? n * logits_row_size(w->vocab) : 0;
    if (bytes > w->rows_cap) {
        free(w->rows);
        w->rows_cap = 0;
        w->rows = mem_array(bytes, 1, "rows of logits", err);
        if (!w->rows)
            return -1;
        w->rows_cap = bytes;
    }
    if (w->done + n > w->cap) {
        w->cap = w->done + n;
        for (size_t side = 0; side < w->n_results; side++)
            w->measured[side] = xreallocarray(w->measured[side], w->cap, sizeof **w->measured);
    }
    return w->other ? move_rows(w, n, err) : 0;
}

static void look(void *arg, const struct prediction *p, size_t thread)
{
    struct watch *w = arg;
    float *scratch = w->scratch + 2 * thread * w->vocab, *other = scratch + w->vocab, logprob, max;
    float *logits = p->logits[w->n_sides - 1];
    size_t last = w->n_results - 1, size = logits_row_size(w->vocab);
    struct measured_token *out = &w->measured[last][w->done + p->row],
                          *base = &w->measured[0][w->done + p->row];
    if (w->save)
        logits_row_encode(logits, w->vocab, logits_log_sum(logits, w->vocab, scratch, &max),
                          p->target, w->rows + p->row * size);
    if (!last) {
        measure_token(logits, NULL, w->vocab, p->target, scratch, out);
        return;
    }
    if (w->other)
        logits_row_decode(w->rows + p->row * size, w->vocab, other, &logprob);
    else
        other = p->logits[0];
    measure_token(other, NULL, w->vocab, p->target, scratch, base);
    measure_token(logits, other, w->vocab, p->target, scratch, out);
    if (w->other) {
        base->logprob = logprob; /* as it was before it was rounded */
        out->delta = expf(out->logprob) - expf(logprob);
    }
}

static int after_chunk(void *arg, size_t n, struct err *err)
{
    struct watch *w = arg;
    if (w->save && move_rows(w, n, err))
        return -1;
    w->done += n;
    return 0;
}

int watch_run(struct watch *w, const struct batch *b, struct err *err)
{
    const struct prediction_watcher watcher = {before_chunk, look, after_chunk, w};
    w->batch = b;
    w->done = w->piece = w->piece_at = w->piece_left = 0;
    return decoder_watch(w->decoder, w->sides, w->n_sides, b, &watcher, err);
}
