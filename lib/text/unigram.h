/*
 * unigram: the segmentation of a word into tokens whose scores add up to the most (Kudo, "Subword
 * regularization", ACL 2018, section 3.2), found by dynamic programming.
 */
#ifndef TEXT_UNIGRAM_H
#define TEXT_UNIGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/vocab.h"
#include "text/words.h"

struct unigram;
struct unigram_scratch;

enum unigram_kind {
    UNIGRAM_NORMAL,
    UNIGRAM_USER,    /* taken wherever it stands: with a score of its own where sums are float */
    UNIGRAM_NOWHERE, /* not looked for in texts */
};

struct unigram_options {
    int64_t unk; /* the token of a run of unknown characters, -1 for none */
    /* Such a run becomes its bytes, "<0x0A>", where the vocabulary has them all. */
    bool byte_fallback;
    const enum unigram_kind *kinds; /* [v->n] NULL: all are normal */
    bool single; /* sums are float, as SentencePiece adds them up; else double, as `tokenizers` */
};

/* scores [v->n]: of each token. The vocabulary must outlive the result. NULL on failure. */
struct unigram *unigram_new(const struct vocab *v, const double *scores,
                            const struct unigram_options *o, struct err *err);
void unigram_free(struct unigram *u);
/* Into an image; and out of one that was made with the same vocabulary, and that must outlive it:
 * what takes long to make of the vocabulary. NULL where it isn't. Only where there are no kinds. */
void unigram_put(const struct unigram *u, struct image_writer *w);
struct unigram *unigram_restore(const struct vocab *v, const struct unigram_options *o,
                                const struct image *image);
struct unigram_scratch *unigram_scratch_new(void);
void unigram_scratch_free(struct unigram_scratch *s);
struct word_model unigram_model(const struct unigram *u); /* its scratch is a unigram_scratch */

#endif
