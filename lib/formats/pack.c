#include "formats/pack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { STREAM_OF_DOCUMENTS = 1, STREAM_OF_ROWS = 2 }; /* of random numbers */

/* ---- which documents ---- */

double pack_split_position(const struct corpus *c, size_t document)
{
    uint64_t hash = c->header.kind == STREAM_TOKENS ? corpus_hash(c, document)
                                                    : corpus_prompt_hash(c, document);
    return (double)(hash >> 11) * 0x1p-53;
}

struct repeated_key {
    uint64_t hash;
    uint32_t document, place;
};

static int compare_keys(const void *pa, const void *pb)
{
    const struct repeated_key *a = pa, *b = pb;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

size_t pack_drop_repeated(const struct corpus *c, uint32_t *from, size_t n)
{
    struct repeated_key *keys = xreallocarray(NULL, n + 1, sizeof *keys);
    bool *repeated = xcalloc(n + 1, sizeof *repeated);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        keys[i] = (struct repeated_key){corpus_hash(c, from[i]), from[i], (uint32_t)i};
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t first = 0, i = 1; i < n; i++) {
        if (keys[i].hash != keys[first].hash)
            first = i;
        else /* unequal ids with one hash are kept, though not compared among each other */
            repeated[keys[i].place] = corpus_same(c, keys[first].document, keys[i].document);
    }
    for (size_t i = 0; i < n; i++)
        if (!repeated[i])
            from[kept++] = from[i];
    free(keys);
    free(repeated);
    return kept;
}

void pack_shuffle(uint32_t *items, size_t n, uint64_t seed, uint64_t stream)
{
    struct rng r;
    rng_init(&r, seed, stream);
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)rng_below(&r, i);
        uint32_t t = items[i - 1];
        items[i - 1] = items[j];
        items[j] = t;
    }
}

/* ---- pieces ---- */

struct cutter {
    const struct corpus *c;
    const struct pack_options *options;
    struct pack_counts *counts;
    struct pack_piece *pieces;
    size_t n, cap;
};

static void add_piece(struct cutter *k, struct pack_piece piece)
{
    if (!corpus_count_trained(k->c, piece.document, piece.start, piece.n))
        return;
    ARRAY_GROW(k->pieces, k->n, k->cap);
    k->pieces[k->n++] = piece;
}

/* `piece` is a whole document that is too long. */
static int cut_overlong(struct cutter *k, struct pack_piece piece, struct err *err)
{
    const struct corpus_document *d = &k->c->documents[piece.document];
    uint32_t length = k->options->length;
    size_t first = k->n, kept = 0, kept_trained = 0;
    if (k->options->overlong == OVERLONG_ERROR) {
        const char *id = corpus_string(k->c, d->id);
        return err_set(err,
                       "document %" PRIu32 " (%s) has %" PRIu32 " tokens, a row holds %" PRIu32,
                       piece.document, id ? id : "without id", d->n, length);
    }
    if (k->options->overlong == OVERLONG_TRUNCATE)
        add_piece(k, (struct pack_piece){piece.document, 0, 0, length});
    if (k->options->overlong == OVERLONG_SPLIT)
        for (uint32_t start = 0; start + 1 < d->n; start += length - 1, piece.part++) {
            uint32_t n = d->n - start < length ? d->n - start : length;
            add_piece(k, (struct pack_piece){piece.document, piece.part, start, n});
        }
    for (size_t i = first; i < k->n; i++) {
        kept += k->pieces[i].n - (k->pieces[i].part > 0);
        kept_trained +=
            corpus_count_trained(k->c, piece.document, k->pieces[i].start, k->pieces[i].n);
    }
    k->counts->overlong++;
    k->counts->overlong_tokens += d->n;
    k->counts->parts += k->n - first;
    k->counts->lost += d->n - kept;
    k->counts->lost_trained += d->n_trained - kept_trained;
    return 0;
}

static int add_document(struct cutter *k, uint32_t document, struct err *err)
{
    struct pack_piece whole = {document, 0, 0, k->c->documents[document].n};
    if (whole.n > k->options->length)
        return cut_overlong(k, whole, err);
    add_piece(k, whole);
    return 0;
}

/* A preference, or a completion with its label: all of it, or nothing. */
static int add_group(struct cutter *k, uint32_t document, struct err *err)
{
    size_t first = k->n, group = stream_kind_group(k->c->header.kind);
    struct pack_counts before = *k->counts;
    for (uint32_t i = 0; i < group; i++)
        if (add_document(k, document + i, err))
            return -1;
    if (k->n - first < group && k->n > first) { /* the other is left out for this one's sake */
        const struct corpus_document *d = &k->c->documents[k->pieces[first].document];
        k->counts->overlong_tokens += d->n;
        k->counts->lost += k->pieces[first].n;
        k->counts->lost_trained += d->n_trained;
        k->counts->parts = before.parts;
        k->n = first;
    }
    return 0;
}

static bool is_too_long(const struct corpus *c, uint32_t document, uint32_t length)
{
    bool longer = false;
    for (size_t i = 0; i < stream_kind_group(c->header.kind); i++)
        longer |= c->documents[document + i].n > length;
    return longer;
}

int pack_cut(const struct corpus *c, const uint32_t *documents, size_t n,
             const struct pack_options *options, struct pack_piece **pieces, size_t *n_pieces,
             struct pack_counts *counts, struct err *err)
{
    struct cutter k = {.c = c, .options = options, .counts = counts};
    bool whole = c->header.kind != STREAM_TOKENS;
    int status = 0;
    for (size_t i = 0; i < n && !status; i++) {
        if (whole && options->overlong == OVERLONG_SPLIT &&
            is_too_long(c, documents[i], options->length))
            status = err_set(err,
                             "document %" PRIu32 " is longer than %" PRIu32
                             " tokens, and a completion that is compared can't be split",
                             documents[i], options->length);
        else
            status = whole ? add_group(&k, documents[i], err) : add_document(&k, documents[i], err);
    }
    if (k.n > UINT32_MAX)
        status = err_set(err, "too many documents");
    if (status) {
        free(k.pieces);
        return -1;
    }
    *pieces = k.pieces;
    *n_pieces = k.n;
    return 0;
}

/* ---- rows ---- */

/*
 * A set of numbers below 64^4 that finds its next member quickly: level 0 has a bit for each
 * number, each level above a bit for each word below that isn't 0.
 */
enum { LEVELS = 4 };

struct bitset {
    uint64_t *level[LEVELS];
};

static void bitset_init(struct bitset *b, size_t n)
{
    for (int l = 0; l < LEVELS; l++) {
        n = n / 64 + 1;
        b->level[l] = xcalloc(n, sizeof *b->level[l]);
    }
}

static void bitset_release(struct bitset *b)
{
    for (int l = 0; l < LEVELS; l++)
        free(b->level[l]);
}

static void bitset_add(struct bitset *b, size_t i)
{
    for (int l = 0; l < LEVELS; l++, i /= 64)
        b->level[l][i / 64] |= (uint64_t)1 << i % 64;
}

static void bitset_remove(struct bitset *b, size_t i)
{
    for (int l = 0; l < LEVELS; l++, i /= 64)
        if (b->level[l][i / 64] &= ~((uint64_t)1 << i % 64))
            break;
}

/* The least member >= i; SIZE_MAX if there is none. */
static size_t bitset_next(const struct bitset *b, size_t i)
{
    for (int l = 0; l < LEVELS; l++) {
        uint64_t word = b->level[l][i / 64] & (~(uint64_t)0 << i % 64);
        if (word) {
            i = i / 64 * 64 + (size_t)__builtin_ctzll(word);
            while (l-- > 0)
                i = i * 64 + (size_t)__builtin_ctzll(b->level[l][i]);
            return i;
        }
        i = i / 64 + 1;
    }
    return SIZE_MAX;
}

/* order = 0..n-1 by falling length, equal ones as they came. */
static uint32_t *by_falling_length(const uint32_t *lengths, size_t n, uint32_t capacity)
{
    size_t *at = xcalloc((size_t)capacity + 2, sizeof *at);
    uint32_t *order = xreallocarray(NULL, n + 1, sizeof *order);
    for (size_t i = 0; i < n; i++)
        at[capacity - lengths[i] + 1]++;
    for (size_t l = 1; l <= capacity; l++)
        at[l] += at[l - 1];
    for (size_t i = 0; i < n; i++)
        order[at[capacity - lengths[i]]++] = (uint32_t)i;
    free(at);
    return order;
}

size_t pack_best_fit(const uint32_t *lengths, size_t n, uint32_t capacity, uint32_t *row_of)
{
    const uint32_t none = UINT32_MAX;
    uint32_t *order = by_falling_length(lengths, n, capacity);
    uint32_t *head =
        xreallocarray(NULL, (size_t)capacity + 1, sizeof *head); /* rows by room left */
    uint32_t *next = xreallocarray(NULL, n + 1, sizeof *next);
    struct bitset rooms;
    size_t n_rows = 0;
    bitset_init(&rooms, capacity);
    memset(head, 0xff, ((size_t)capacity + 1) * sizeof *head);
    for (size_t k = 0; k < n; k++) {
        uint32_t i = order[k], length = lengths[i], row;
        size_t room = bitset_next(&rooms, length);
        if (room == SIZE_MAX) {
            row = (uint32_t)n_rows++;
            room = capacity;
        } else {
            row = head[room];
            head[room] = next[row];
            if (head[room] == none)
                bitset_remove(&rooms, room);
        }
        row_of[i] = row;
        room -= length;
        next[row] = head[room];
        head[room] = row;
        bitset_add(&rooms, room);
    }
    bitset_release(&rooms);
    free(next);
    free(head);
    free(order);
    return n_rows;
}

/* Pieces by row: row r is items[start[r]] .. items[start[r + 1] - 1], indices into the pieces. */
struct rows {
    uint32_t *items;
    size_t *start;
    size_t n;
};

static uint32_t *identity(size_t n)
{
    uint32_t *order = xreallocarray(NULL, n + 1, sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    return order;
}

static void rows_release(struct rows *rows)
{
    free(rows->items);
    free(rows->start);
}

/* Preferences, or labelled completions: nothing is packed beside another. */
static void make_groups(struct rows *rows, size_t n, size_t group)
{
    rows->n = n / group;
    rows->start = xcalloc(rows->n + 2, sizeof *rows->start);
    rows->items = identity(n);
    for (size_t r = 0; r <= rows->n; r++)
        rows->start[r] = r * group;
}

/* Within a row the pieces keep the order that they have in `order`. */
static void make_rows(struct rows *rows, const struct pack_piece *pieces, const uint32_t *order,
                      size_t n, const struct pack_options *options)
{
    uint32_t *lengths = xreallocarray(NULL, n + 1, sizeof *lengths);
    uint32_t *row_of = xreallocarray(NULL, n + 1, sizeof *row_of);
    for (size_t i = 0; i < n; i++) {
        lengths[i] = pieces[order[i]].n;
        row_of[i] = (uint32_t)i;
    }
    rows->n = options->one_per_row ? n : pack_best_fit(lengths, n, options->length, row_of);
    rows->start = xcalloc(rows->n + 2, sizeof *rows->start);
    rows->items = xreallocarray(NULL, n + 1, sizeof *rows->items);
    for (size_t i = 0; i < n; i++)
        rows->start[row_of[i] + 2]++;
    for (size_t r = 2; r < rows->n + 2; r++)
        rows->start[r] += rows->start[r - 1];
    for (size_t i = 0; i < n; i++)
        rows->items[rows->start[row_of[i] + 1]++] = order[i];
    free(lengths);
    free(row_of);
}

/* The text behind the first `targets` of a document's tokens but the first, so that parts add up.
 */
static uint64_t bytes_behind(const struct corpus_document *d, uint64_t targets)
{
    uint64_t all = d->n - 1;
    if (!all)
        return targets ? d->text_bytes : 0;
    return d->text_bytes / all * targets + d->text_bytes % all * targets / all;
}

static void add_to_row(struct stream_record *row, const struct corpus *c,
                       const struct pack_piece *p, uint32_t *ids, uint8_t *trained)
{
    const struct corpus_document *from = &c->documents[p->document];
    struct stream_document d;
    uint32_t group = (uint32_t)stream_kind_group(c->header.kind);
    char number[24];
    snprintf(number, sizeof number, "%" PRIu32, p->document / group);
    const char *id = corpus_string(c, from->id), *source = corpus_string(c, from->source);
    stream_document_init(&d);
    d.text_bytes = bytes_behind(from, (uint64_t)p->start + p->n - 1) - bytes_behind(from, p->start);
    d.id = (char *)(uintptr_t)(id ? id : number); /* record_add copies */
    d.source = (char *)(uintptr_t)source;
    d.weight = from->weight;
    d.label = from->label;
    d.weights = corpus_weights(c, p->document);
    if (d.weights)
        d.weights += p->start;
    d.part = p->part;
    d.index = p->document / group;
    corpus_tokens(c, p->document, p->start, p->n, ids, trained);
    stream_record_add(row, ids, trained, p->n, &d);
}

static int write_rows(const struct corpus *c, const struct pack_piece *pieces,
                      const struct rows *rows, const uint32_t *row_order, uint32_t length,
                      struct stream_writer *w, struct err *err)
{
    uint32_t *ids = xreallocarray(NULL, length, sizeof *ids);
    uint8_t *trained = xmalloc(length);
    struct stream_record row;
    int status = 0;
    stream_record_init(&row);
    for (size_t i = 0; i < rows->n && !status; i++) {
        size_t r = row_order[i];
        stream_record_clear(&row);
        for (size_t k = rows->start[r]; k < rows->start[r + 1]; k++)
            add_to_row(&row, c, &pieces[rows->items[k]], ids, trained);
        status = stream_write(w, &row, err);
    }
    stream_record_release(&row);
    free(ids);
    free(trained);
    return status;
}

struct row_key {
    uint32_t first, row;
};

static int compare_rows(const void *pa, const void *pb)
{
    const struct row_key *a = pa, *b = pb;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* The rows at random, or by their first pieces, which are in the order of the input. */
static uint32_t *order_rows(const struct rows *rows, const struct pack_options *options)
{
    uint32_t *order = identity(rows->n);
    if (options->shuffle) {
        pack_shuffle(order, rows->n, options->seed, STREAM_OF_ROWS);
        return order;
    }
    struct row_key *keys = xreallocarray(NULL, rows->n + 1, sizeof *keys);
    for (size_t r = 0; r < rows->n; r++)
        keys[r] = (struct row_key){rows->items[rows->start[r]], (uint32_t)r};
    qsort(keys, rows->n, sizeof *keys, compare_rows);
    for (size_t i = 0; i < rows->n; i++)
        order[i] = keys[i].row;
    free(keys);
    return order;
}

int pack_write(const struct corpus *c, const struct pack_piece *pieces, size_t n,
               const struct pack_options *options, struct stream_writer *w, struct err *err)
{
    uint32_t *order = identity(n);
    struct rows rows;
    if (options->shuffle)
        pack_shuffle(order, n, options->seed, STREAM_OF_DOCUMENTS);
    if (c->header.kind == STREAM_TOKENS)
        make_rows(&rows, pieces, order, n, options);
    else
        make_groups(&rows, n, stream_kind_group(c->header.kind));
    uint32_t *row_order = order_rows(&rows, options);
    int status = write_rows(c, pieces, &rows, row_order, options->length, w, err);
    free(row_order);
    free(order);
    rows_release(&rows);
    return status;
}
