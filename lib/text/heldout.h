/*
 * heldout: held-out documents, and whether one for training gives them away.
 *
 * It does if it holds most of a held-out document's shingles: it may be the same, nearly the same,
 * or a longer document with the held-out one inside. The share is exact for a held-out document of
 * up to SKETCH_MOST shingles a part, and estimated from that many of a longer one. At most 4 KB for
 * each, and 8 bytes a shingle.
 */
#ifndef TEXT_HELDOUT_H
#define TEXT_HELDOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/shingles.h"

struct heldout;

struct heldout *heldout_new(double threshold);
void heldout_free(struct heldout *h);
/* The next document, numbered from 0. -1 with a message where there are too many. */
int heldout_add(struct heldout *h, const struct shingles *s, uint64_t answer_hash, struct err *err);
/* After the last one. */
void heldout_seal(struct heldout *h);
size_t heldout_count(const struct heldout *h);
/* Takes notice, now and then, of what frame there is; call it before each batch is looked up. */
void heldout_refresh(struct heldout *h, const struct frames *f);

/* Counters of one thread. */
struct heldout_scratch;

struct heldout_scratch *heldout_scratch_new(const struct heldout *h);
void heldout_scratch_free(struct heldout_scratch *s);

struct heldout_match {
    size_t document; /* SIZE_MAX: none */
    double share;    /* of its shingles */
};

/* The held-out document of which s holds most. s is sealed, with or without the frame. */
struct heldout_match heldout_find(const struct heldout *h, struct heldout_scratch *scratch,
                                  const struct shingles *s, uint64_t answer_hash,
                                  const struct frames *f);

#endif
