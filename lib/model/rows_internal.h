/*
 * rows_internal: what rows.c writes to the temporary file and row_batch.c reads back.
 */
#ifndef MODEL_ROWS_INTERNAL_H
#define MODEL_ROWS_INTERNAL_H

#include "model/rows.h"

/*
 * A row in the temporary file: ids (u32 each), trained (a byte each), weights of the tokens where
 * any has one (double each), lengths of the documents (u32 each), their weights (double) and labels
 * (a byte each), their names (NUL-terminated), all in the machine's own order.
 */
struct row {
    uint64_t offset;
    uint32_t tokens, targets, documents, name_bytes;
    double weight;          /* as rows_weight says */
    bool has_token_weights; /* besides its documents' weights */
};

struct rows {
    enum stream_kind kind; /* STREAM_SHARD: documents */
    int fd;                /* -1 until something is written */
    uint64_t written;
    struct buf pending; /* not yet in the file */
    struct row *index;
    size_t n, cap;
    struct rows_totals totals;
    struct hash *hash;
    char **provenance;
    size_t n_provenance, provenance_cap;
    char tokenizer[HASH_HEX];   /* of the streams so far; "" unknown */
    uint64_t last_header;       /* hash of the provenance lines last looked at */
    char shared_hash[HASH_HEX]; /* of rows that came from another rank; else "" */
};

/* Writes what is pending behind what the temporary file has. */
int rows_flush(struct rows *r, struct err *err);
int rows_read_at(const struct rows *r, uint64_t offset, void *p, size_t len, struct err *err);

#endif
