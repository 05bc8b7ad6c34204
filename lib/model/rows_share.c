/* Rank 0 has read the rows; the others get them from it, and need no files. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/rows_internal.h"

/* What the arrays need to be told. */
struct head {
    uint64_t rows, bytes, provenance_bytes;
    struct rows_totals totals;
    char tokenizer[HASH_HEX], hash[HASH_HEX];
};

static struct head head_of(const struct rows *r, const struct buf *provenance)
{
    struct head h = {.rows = r->n,
                     .bytes = r->written,
                     .provenance_bytes = provenance->len,
                     .totals = r->totals};
    memcpy(h.tokenizer, r->tokenizer, sizeof h.tokenizer);
    rows_hash(r, h.hash);
    return h;
}

static void take_head(struct rows *r, const struct head *h)
{
    r->n = r->cap = h->rows;
    r->index = xreallocarray(NULL, r->n, sizeof *r->index);
    r->totals = h->totals;
    memcpy(r->tokenizer, h->tokenizer, sizeof r->tokenizer);
    memcpy(r->shared_hash, h->hash, sizeof r->shared_hash);
}

/* The temporary file. One who can't read or write it stays in the exchange until the end. */
static int share_file(struct rows *r, struct ranks *ranks, uint64_t bytes, struct err *err)
{
    enum { PIECE = 1 << 20 };
    const bool first = ranks_me(ranks) == 0;
    char *piece = xcalloc(1, PIECE);
    int status = 0;
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        const size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        if (first && !status)
            status = rows_read_at(r, at, piece, n, err);
        ranks_broadcast(ranks, piece, n);
        if (first || status)
            continue;
        buf_add(&r->pending, piece, n);
        status = rows_flush(r, err);
    }
    free(piece);
    return status;
}

static void share_provenance(struct rows *r, struct ranks *ranks, struct buf *lines, size_t bytes)
{
    buf_reserve(lines, bytes);
    ranks_broadcast(ranks, lines->p, bytes);
    if (ranks_me(ranks) == 0)
        return;
    for (size_t at = 0; at < bytes; at += strlen(lines->p + at) + 1) {
        ARRAY_GROW(r->provenance, r->n_provenance, r->provenance_cap);
        r->provenance[r->n_provenance++] = xstrdup(lines->p + at);
    }
}

int rows_share(struct rows *r, struct ranks *ranks, struct err *err)
{
    struct buf lines = BUF_INIT;
    const bool first = ranks_me(ranks) == 0;
    if (ranks_count(ranks) == 1)
        return 0;
    for (size_t i = 0; i < r->n_provenance; i++)
        buf_add(&lines, r->provenance[i], strlen(r->provenance[i]) + 1);
    struct head h = head_of(r, &lines);
    ranks_broadcast(ranks, &h, sizeof h);
    if (!first)
        take_head(r, &h);
    ranks_broadcast(ranks, r->index, r->n * sizeof *r->index);
    share_provenance(r, ranks, &lines, h.provenance_bytes);
    buf_release(&lines);
    return ranks_agree(ranks, share_file(r, ranks, h.bytes, err), err);
}
