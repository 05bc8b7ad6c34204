/*
 * pack: documents into rows of at most `length` tokens, each row whole documents, none padded.
 *
 * Best fit, decreasing: the longest first, each into the fullest row that still holds it. (Johnson
 * et al., "Worst-case performance bounds for simple one-dimensional packing algorithms", SIAM J.
 * Comput. 3, 1974: at most 11/9 of the fewest rows; Ding et al., "Fewer truncations improve
 * language modeling", ICML 2024, for training.) Everything is a function of the corpus, the options
 * and the seed.
 */
#ifndef FORMATS_PACK_H
#define FORMATS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/corpus.h"
#include "formats/stream.h"

/* A row has at most 2^20 documents (STREAM_MAX_DOCUMENTS) of at least 2 tokens. */
enum { PACK_MAX_LENGTH = 2 * STREAM_MAX_DOCUMENTS };

/* What becomes of a document that is longer than a row. */
enum pack_overlong {
    OVERLONG_SPLIT,    /* parts, each a row's length but the last; a later part begins with the last
                          token of the one before, so that every trained token stays a target */
    OVERLONG_TRUNCATE, /* its first tokens */
    OVERLONG_DROP,
    OVERLONG_ERROR,
};

struct pack_options {
    uint32_t length; /* 2 to PACK_MAX_LENGTH */
    uint64_t seed;
    bool shuffle;
    bool one_per_row; /* no packing */
    enum pack_overlong overlong;
};

/* Tokens [start, start + n) of a document. */
struct pack_piece {
    uint32_t document, part, start, n;
};

/* What was done with documents that could not stay as they were. */
struct pack_counts {
    uint64_t overlong, overlong_tokens; /* documents longer than a row, and their tokens */
    uint64_t parts;                     /* that they became */
    uint64_t lost, lost_trained;        /* tokens of them that were left out */
};

/*
 * Documents as pieces of at most options->length tokens into *pieces, which the caller frees. Parts
 * without a trained token are left out. Fails only with OVERLONG_ERROR, naming the document.
 *
 * Of preferences `documents` are the chosen ones; both of a preference become pieces, one behind
 * the other, or neither does. They and labelled completions can't be split: OVERLONG_SPLIT is an
 * error if one is too long.
 */
int pack_cut(const struct corpus *c, const uint32_t *documents, size_t n,
             const struct pack_options *options, struct pack_piece **pieces, size_t *n_pieces,
             struct pack_counts *counts, struct err *err);

/* Fisher-Yates over Philox: a permutation that depends on n, seed and stream alone. */
void pack_shuffle(uint32_t *items, size_t n, uint64_t seed, uint64_t stream);

/* Puts each of n lengths, 1 to capacity, into a row: row_of[i]. Returns the number of rows. Among
 * equal lengths the first comes first. */
size_t pack_best_fit(const uint32_t *lengths, size_t n, uint32_t capacity, uint32_t *row_of);

/* Packs the pieces and writes the rows. A document without id gets its number in the input. */
int pack_write(const struct corpus *c, const struct pack_piece *pieces, size_t n,
               const struct pack_options *options, struct stream_writer *w, struct err *err);

/* The documents of `from` (n of them) that are not the same as one before: exact, the first
 * stays. Returns their number; from is filtered in place and keeps its order. */
size_t pack_drop_repeated(const struct corpus *c, uint32_t *from, size_t n);

/* [0, 1), from the ids alone: equal documents are on the same side of any split, in any order, and
 * so are preferences and labelled completions with the same prompt. */
double pack_split_position(const struct corpus *c, size_t document);

#endif
