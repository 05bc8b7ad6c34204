/*
 * byte_pairs: the merges of two bytes, and which of them are made whatever else a word holds.
 *
 * A word of bytes starts with a merge of every other byte or so, and most of these can be told
 * beforehand: two bytes become one symbol before anything else can take either of them, where each
 * merge that could has a higher rank. To their left that is a merge of something that ends with the
 * byte before; to their right, of something that begins with the byte behind. So a look at four
 * bytes is enough, and about half of a word's merges are made in one go.
 */
#ifndef TEXT_BYTE_PAIRS_H
#define TEXT_BYTE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/image.h"

enum { BYTE_PAIRS = 256 * 256 };

struct byte_pair {
    uint32_t rank;  /* of the merge of the two; NO_MERGE where it can't be made before others */
    uint32_t id;    /* what it makes */
    uint32_t left;  /* lowest rank of merges of anything that ends with the first, and the second */
    uint32_t right; /* of the first, and anything that begins with the second */
};

/* What there is to know of a symbol's bytes. */
struct byte_ends {
    int first, last; /* -1: it is not made of bytes */
    bool alone;      /* it is one byte */
};

/* [first byte << 8 | second byte], to be freed; none has a merge. */
struct byte_pair *byte_pairs_new(void);
/* The next merge: of symbols with these ends, into a symbol that so far is part of another merge
 * (`used`) or isn't. */
void byte_pairs_add(struct byte_pair *pairs, struct byte_ends left, struct byte_ends right,
                    uint32_t rank, uint32_t id, bool used);
/* The first symbols of a word, into [n] each, and how many bytes each has; their number. */
size_t byte_pairs_join(const struct byte_pair *pairs, const uint32_t byte_ids[256],
                       const unsigned char *word, size_t n, uint32_t *ids, uint32_t *spans);
/* Into an image; and out of one, which must outlive them: NULL where there are none, or some make
 * symbols of n_ids and above. */
void byte_pairs_put(const struct byte_pair *pairs, struct image_writer *w);
struct byte_pair *byte_pairs_restore(const struct image *image, size_t n_ids);

#endif
