/*
 * minhash: finds documents that resemble one that was seen before, without comparing all pairs.
 *
 * MinHash signatures in bands (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive
 * Datasets", 3.3 and 3.4): documents that agree in all rows of a band are candidates, and
 * candidates are compared by their sketches. Of 128 rows the bands are made as wide as a recall of
 * 98 % at the threshold allows. A document costs at most 4 KB for its sketch, 4 bytes a shingle,
 * and about 16 bytes for each band.
 */
#ifndef TEXT_MINHASH_H
#define TEXT_MINHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/shingles.h"

enum { MINHASH_ROWS = 128, MINHASH_NONE = UINT32_MAX };

/* The parameters: immutable once made. */
struct minhash {
    double threshold;
    unsigned rows, bands; /* rows of a band */
    uint32_t multiply[MINHASH_ROWS], add[MINHASH_ROWS];
};

void minhash_init(struct minhash *m, double threshold);
/* The keys of the set's bands into keys[bands]. */
void minhash_keys(const struct minhash *m, const struct shingles *s, uint32_t keys[MINHASH_ROWS]);

/* The documents that were added, numbered from 0. */
struct near_index;

struct near_index *near_index_new(const struct minhash *m);
void near_index_free(struct near_index *x);

struct near_match {
    uint32_t document; /* MINHASH_NONE: none */
    double resemblance;
};

/* The document that resembles this one most, of those that do at all: in whole by the threshold,
 * and in the answer by half of it, since many questions may be asked about one long text. */
struct near_match near_index_find(const struct near_index *x, const struct shingles *s,
                                  uint64_t answer_hash, const uint32_t *keys);
/* Its number is returned; MINHASH_NONE with a message where there are too many. */
uint32_t near_index_add(struct near_index *x, const struct shingles *s, uint64_t answer_hash,
                        const uint32_t *keys, struct err *err);
size_t near_index_bytes(const struct near_index *x); /* memory that it takes */

#endif
