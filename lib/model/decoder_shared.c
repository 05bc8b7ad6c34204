/*
 * Scoring documents that begin alike: a document's tokens that the one before it begins with, too,
 * go through the layers once.
 *
 * A row is a token behind certain others. A document is a path of rows: those that it shares with
 * the document before, then its own. A run of rows that begins a document is one to attention, as
 * in decoder_score; rows that go on from shared ones attend to their path, row by row.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/decoder_internal.h"

/* A document of a pass. The last token is no row: nothing is predicted from it. */
struct path {
    size_t length;  /* rows of it: tokens but one */
    size_t shared;  /* how many of them are the document's before */
    size_t *row_of; /* [length] */
    size_t first;   /* its first token in the batch */
};

struct shared {
    struct pass pass;        /* is the first thing here, see attend_paths */
    const struct batch *all; /* the documents as they were given */
    struct batch rows;       /* of this pass, with a "document" for each run of own rows */
    struct path *paths;      /* [n] */
    size_t n, first;         /* first: of the documents */
    size_t *row_of, *lengths, longest;
    uint32_t *ids;
    float *scratch; /* [threads, scratch_width]: keys, values, scores, a query and its output */
    size_t scratch_width;
};

/* ---- which rows ---- */

static size_t common_prefix(const struct batch *b, const struct path *last, size_t first, size_t n)
{
    size_t t = 0, most = last ? size_min(last->length, n) : 0;
    while (t < most && b->ids[last->first + t] == b->ids[first + t])
        t++;
    return t;
}

/* Takes as many documents from the first-th on, whose tokens begin at `start`, as go through the
 * layers together; returns how many tokens they have. */
static size_t take_paths(struct shared *s, size_t first, size_t start)
{
    const struct batch *b = s->all;
    size_t limit = s->pass.d->pass_tokens, at = start;
    s->n = s->rows.n = s->rows.n_documents = s->longest = 0;
    s->first = first;
    for (size_t i = first; i < b->n_documents; at += b->lengths[i++]) {
        struct path *last = s->n ? &s->paths[s->n - 1] : NULL, *p = &s->paths[s->n];
        size_t length = b->lengths[i] - 1, shared = common_prefix(b, last, at, length);
        if (last && s->rows.n + length - shared > limit)
            break;
        *p = (struct path){length, shared, s->row_of + (at - start), at};
        if (shared)
            memcpy(p->row_of, last->row_of, shared * sizeof *p->row_of);
        for (size_t t = shared; t < length; t++) {
            s->ids[s->rows.n] = b->ids[at + t];
            p->row_of[t] = s->rows.n++;
        }
        if (length > shared)
            s->lengths[s->rows.n_documents++] = length - shared;
        s->longest = size_max(s->longest, length);
        if (!s->n++)
            limit = size_max(limit, 2 * length); /* what many share may be long */
    }
    return at - start;
}

/* Positions of the rows and what is predicted from them; the number of predictions. */
static size_t place_rows(const struct shared *s)
{
    struct workspace *ws = &s->pass.d->ws;
    const struct batch *b = s->all;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct path *p = &s->paths[i];
        for (size_t t = 0; t < p->length; t++) {
            ws->positions[p->row_of[t]] = t;
            if (!b->trained[p->first + t + 1])
                continue;
            ws->rows_of[n] = p->row_of[t];
            ws->targets[n++] = b->ids[p->first + t + 1];
        }
    }
    return n;
}

/* ---- attention ---- */

/* The own rows of one document that goes on from another's. */
static void attend_path(void *arg, size_t i, size_t thread)
{
    const struct shared *s = arg;
    const struct path *p = &s->paths[i];
    struct decoder *d = s->pass.d;
    struct activations *a = pass_activations(&s->pass);
    struct attention_shape shape = attention_shape_of(d->attention);
    const struct model_config *c = &d->config;
    size_t wide_q = query_width(c), wide = key_width(c);
    float *keys = s->scratch + thread * s->scratch_width, *values = keys + s->longest * wide,
          *scores = values + s->longest * wide, *q = scores + s->longest, *out = q + wide_q;
    if (!p->shared || p->shared == p->length)
        return;
    for (size_t t = 0; t < p->length; t++) {
        operand_load(attention_keys(&s->pass), p->row_of[t], 0, keys + t * wide, wide);
        operand_load(&a->v, p->row_of[t], 0, values + t * wide, wide);
    }
    for (size_t t = p->shared; t < p->length; t++) {
        operand_load(attention_queries(&s->pass), p->row_of[t], 0, q, wide_q);
        for (size_t h = 0; h < shape.n_kv_heads; h++)
            attention_decode(&shape, h, q, keys, values, t + 1, pass_layer(&s->pass)->window, out,
                             scores);
        operand_store(&a->out, p->row_of[t], 0, out, wide_q);
    }
}

/* The pass is the first thing in struct shared. */
static int attend_paths(struct pass *p)
{
    struct shared *s = (struct shared *)(void *)p;
    if (attend_documents(p))
        return -1;
    pool_run(p->d->pool, s->n, attend_path, s);
    return 0;
}

/* ---- scores ---- */

static int score_paths(struct shared *s, double *nll)
{
    struct decoder *d = s->pass.d;
    const struct xent_rows rows = {.target = d->ws.targets, .logprob = d->ws.logprobs};
    size_t n = place_rows(s), k = 0;
    if (pass_embed(&s->pass) || pass_forward(&s->pass))
        return -1;
    decoder_predict(d, n);
    decoder_run_output(d, n, &rows);
    for (size_t i = 0; i < s->n; i++) {
        const struct path *p = &s->paths[i];
        nll[s->first + i] = 0;
        for (size_t t = 0; t < p->length; t++)
            if (s->all->trained[p->first + t + 1])
                nll[s->first + i] -= (double)d->ws.logprobs[k++];
    }
    return 0;
}

/* Scratch for the paths that were taken, and room for their rows or predictions. */
static int reserve(struct shared *s, struct err *err)
{
    struct decoder *d = s->pass.d;
    size_t predictions = 0, end = s->paths[s->n - 1].first + s->paths[s->n - 1].length;
    for (size_t t = s->paths[0].first; t <= end; t++)
        predictions += s->all->trained[t];
    s->scratch_width = s->longest * (2 * key_width(&d->config) + 1) + 2 * query_width(&d->config);
    free(s->scratch);
    s->scratch = mem_array(pool_threads(d->pool) * s->scratch_width, sizeof(float), "keys", err);
    if (!s->scratch ||
        decoder_reserve(d, size_max(s->rows.n, predictions), s->pass.lora, false, err) ||
        decoder_reserve_positions(d, s->longest, err))
        return -1;
    return decoder_reserve_xent(d, err);
}

static int score_all(struct shared *s, double *nll, uint64_t *rows, struct err *err)
{
    size_t start = 0;
    for (size_t first = 0; first < s->all->n_documents; first += s->n) {
        start += take_paths(s, first, start);
        *rows += s->rows.n;
        if (s->rows.n && (reserve(s, err) || score_paths(s, nll)))
            return -1;
    }
    return 0;
}

int decoder_score_shared(struct decoder *d, const struct lora *lora, const struct batch *b,
                         double *nll, uint64_t *rows, struct err *err)
{
    struct shared s = {.pass = {.d = d, .lora = lora, .attend = attend_paths, .err = err},
                       .all = b};
    *rows = 0;
    if (rope_depends_on_length(&d->config.rope)) { /* then a token's row isn't the same in two */
        *rows = b->n;
        return decoder_score(d, lora, b, nll, NULL, err);
    }
    if (decoder_check_batch(d, b, err))
        return -1;
    s.paths = xcalloc(b->n_documents, sizeof *s.paths);
    s.lengths = xcalloc(b->n_documents, sizeof *s.lengths);
    s.row_of = xcalloc(b->n, sizeof *s.row_of);
    s.ids = xcalloc(b->n, sizeof *s.ids);
    s.rows.ids = s.ids;
    s.rows.lengths = s.lengths;
    s.pass.batch = &s.rows;
    memset(nll, 0, b->n_documents * sizeof *nll);
    int status = score_all(&s, nll, rows, err);
    free(s.paths);
    free(s.lengths);
    free(s.row_of);
    free(s.ids);
    free(s.scratch);
    return status;
}
