/*
 * bpe: byte pair encoding of a word (Sennrich, Haddow and Birch, "Neural machine translation of
 * rare words with subword units", ACL 2016), with the variations of `tokenizers`.
 *
 * A word starts as symbols, one for each byte or character; the adjacent pair whose merge has the
 * lowest rank, the leftmost of several, becomes one symbol, until no pair has a merge.
 */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/cuts.h"
#include "text/text.h"
#include "text/vocab.h"
#include "text/words.h"

struct bpe_options {
    bool bytes;         /* symbols are bytes, written in the vocabulary by byte_level_char */
    bool ignore_merges; /* a word that is a token is that token, whatever the merges say */
    bool byte_fallback; /* a character that is no token becomes its bytes, "<0x0A>" */
    bool fuse_unk;      /* neighbouring unknown characters become one token */
    int64_t unk;        /* -1: unknown characters are left out */
    const char *prefix; /* before every character but a word's first; NULL for none */
    const char *suffix; /* behind a word's last character; NULL for none */
};

struct bpe;
struct bpe_scratch; /* work memory of one thread */

/* The vocabulary must outlive the result. n_merges merges will be added. NULL on failure. */
struct bpe *bpe_new(const struct vocab *v, const struct bpe_options *o, size_t n_merges,
                    struct err *err);
void bpe_free(struct bpe *b);
/* Into an image; and out of one that was made with the same vocabulary and options, and that must
 * outlive it. NULL where it isn't. */
void bpe_put(const struct bpe *b, struct image_writer *w);
struct bpe *bpe_restore(const struct vocab *v, const struct bpe_options *o,
                        const struct image *image);
/* The next merges in order of rank: the ids of left and right. */
int bpe_add_merges(struct bpe *b, const uint32_t (*merges)[2], size_t n, struct err *err);
/*
 * Merges for tokenisers that have none, but join the neighbours whose union comes first among the
 * tokens: the next n tokens in that order, and their texts as words have them (bytes, or
 * characters). Only one way leads to a token: the two that its own text comes to by the merges
 * before, since nothing reaches across its ends until it is made.
 */
int bpe_add_unions(struct bpe *b, const uint32_t *ids, const struct vocab_view *texts, size_t n,
                   struct err *err);

struct bpe_scratch *bpe_scratch_new(void);
void bpe_scratch_free(struct bpe_scratch *s);

/* The model as words_encode wants it; its scratch is a bpe_scratch. */
struct word_model bpe_model(const struct bpe *b);
/* Where a text may be cut into words without changing a token; NULL if that isn't known. */
const struct cuts *bpe_cuts(const struct bpe *b);

#endif
