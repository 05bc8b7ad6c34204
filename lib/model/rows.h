/*
 * rows: the packed rows to train or evaluate on, read once and kept in a temporary file.
 *
 * Streams are read to their end before anything is computed, so that a damaged or truncated one is
 * found first, and so that the number of steps is known. Only an index stays in memory: 32 bytes a
 * row. The file has no name (TMPDIR, else /tmp), so nothing is left behind however the program
 * ends.
 *
 * Documents are independent of each other, so one with no target changes nothing but the time; it
 * is left out and counted.
 */
#ifndef MODEL_ROWS_H
#define MODEL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/ranks.h"
#include "formats/stream.h"
#include "model/decoder.h"
#include "model/vocabulary.h"

struct rows;

struct rows_totals {
    uint64_t rows, documents, tokens, targets;
    double weight;           /* sum of rows_weight */
    uint64_t desirable;      /* of STREAM_LABEL: rows whose label says so */
    uint64_t untrained;      /* documents without a target or of weight 0, left out of the above */
    size_t longest;          /* tokens of the longest row */
    size_t longest_document; /* and of the longest document */
};

struct rows *rows_new(void);
void rows_free(struct rows *r); /* NULL is allowed */

/* What streams are to be read, before the first is: STREAM_SHARD (as it is at first) for documents,
 * in shards or token streams; STREAM_PREFERENCE, a pair of documents a row; STREAM_LABEL, one. */
void rows_expect(struct rows *r, enum stream_kind kind);
enum stream_kind rows_kind(const struct rows *r);

/* Reads a whole stream (NULL or "-": stdin) behind what is there, checking every id against the
 * vocabulary. Fails too if the temporary file can't be written. Errors name the file. */
int rows_read(struct rows *r, const char *path, const struct vocabulary *v, struct err *err);

/* Gives what rank 0 has read to the other ranks, which have read nothing. All must call it. */
int rows_share(struct rows *r, struct ranks *ranks, struct err *err);

const struct rows_totals *rows_totals(const struct rows *r);
size_t rows_tokens(const struct rows *r, size_t row);
size_t rows_targets(const struct rows *r, size_t row);
/* What the row's loss is a mean over: the weight of its targets; of a preference or a labelled
 * completion, its own. */
double rows_weight(const struct rows *r, size_t row);

/* Hash of all rows: the same however they were spread over files, segments or compression. */
void rows_hash(const struct rows *r, char hex[HASH_HEX]);

/* What made the streams read: distinct lines of their headers, in the order met. */
const char *const *rows_provenance(const struct rows *r, size_t *n);

/*
 * order [n]: the rows of an epoch. The first epoch takes them as they came (ft-pack has shuffled
 * them), later ones in an order that follows from seed and epoch alone.
 */
void rows_order(size_t *order, size_t n, uint64_t seed, uint64_t epoch);

/* Tokens of rows that go to the decoder at once: enough to fill its passes, few enough to stop
 * soon.
 */
enum { ROW_BATCH_TOKENS = 2048 };

/* Several rows side by side, as the decoder takes them. Owns its arrays, which are kept for reuse.
 */
struct row_batch {
    uint32_t *ids;
    uint8_t *trained;
    float *token_weights; /* [n]: each token has its document's, times its own */
    double *own_weights;  /* [cap]: those of the tokens of one row */
    size_t n, cap;
    size_t *lengths;
    double *weights; /* of the documents */
    uint8_t *labels; /* of the documents */
    size_t n_documents, documents_cap;
    bool weighted;    /* not all weights are 1 */
    struct buf names; /* of the documents, each with its NUL */
};

void row_batch_init(struct row_batch *b);
void row_batch_release(struct row_batch *b);
void row_batch_clear(struct row_batch *b);
/* Appends a row from the temporary file. */
int row_batch_add(struct row_batch *b, const struct rows *r, size_t row, struct err *err);
/* Appends a document that begins with the prompt of one and ends with the completion of another:
 * rows of one document each. */
int row_batch_add_mismatched(struct row_batch *b, const struct rows *r, size_t row, size_t other,
                             struct err *err);
struct batch row_batch_view(const struct row_batch *b);
/* The id of a document, or its place in the data; for messages. */
const char *row_batch_name(const struct row_batch *b, size_t document);

#endif
