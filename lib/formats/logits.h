/*
 * logits: the distributions that a model gave at every place it predicted, in a file or a pipe, for
 * other models to be compared with: ft-logits(5).
 *
 * Rows come in pieces, each of one document or window, in the order in which they were computed. A
 * row is stored as log p at 65,536 levels between the largest and 24 below it; what is less likely
 * has the lowest level.
 */
#ifndef FORMATS_LOGITS_H
#define FORMATS_LOGITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct logits_header {
    size_t vocab;
    char tokenizer[HASH_HEX]; /* "": unknown */
};

size_t logits_row_size(size_t vocab); /* bytes */
/* row [logits_row_size]; logits [vocab], log_sum the log of their sum of exp. */
void logits_row_encode(const float *logits, size_t vocab, double log_sum, uint32_t target,
                       void *row);
/* logits [vocab]: log p but for rounding; logprob: of the row's target, as it was. */
void logits_row_decode(const void *row, size_t vocab, float *logits, float *logprob);

struct logits_writer;
int logits_writer_open(struct logits_writer **w, const char *path, const struct logits_header *h,
                       struct err *err);
/* A piece of n > 0 rows that follow; `hash` says what was predicted. */
int logits_write_piece(struct logits_writer *w, uint64_t hash, size_t n, struct err *err);
int logits_write_rows(struct logits_writer *w, const void *rows, size_t n, struct err *err);
int logits_writer_commit(struct logits_writer *w, struct err *err); /* frees w, also on failure */
void logits_writer_abandon(struct logits_writer *w);                /* NULL is allowed */

struct logits_reader;
int logits_reader_open(struct logits_reader **r, const char *path, struct err *err);
const struct logits_header *logits_reader_header(const struct logits_reader *r);
/* Whether the next piece has this hash and number of rows; -1 if not, or if there is none. */
int logits_read_piece(struct logits_reader *r, uint64_t hash, size_t n, struct err *err);
int logits_read_rows(struct logits_reader *r, void *rows, size_t n, struct err *err);
int logits_read_end(struct logits_reader *r, struct err *err); /* that nothing is left */
void logits_reader_close(struct logits_reader *r);             /* NULL is allowed */

#endif
