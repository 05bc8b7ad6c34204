/*
 * bpe_internal: what a byte pair encoding is made of; for the files that build it and run it.
 */
#ifndef TEXT_BPE_INTERNAL_H
#define TEXT_BPE_INTERNAL_H

#include "base/buf.h"
#include "text/bpe.h"
#include "text/byte_pairs.h"
#include "text/merge.h"

#define NO_TOKEN UINT32_MAX

enum { CHARS = 0x10000 }; /* characters whose symbols are in a table */

struct bpe {
    const struct vocab *vocab;
    struct bpe_options options;
    char *prefix, *suffix;
    struct merge_table table;
    uint32_t byte_ids[256];       /* options.bytes: the symbol of a byte; else its fallback token */
    bool all_bytes;               /* every byte has an id in byte_ids */
    struct byte_pair *byte_pairs; /* options.bytes: merges that words start with */
    uint8_t *used;      /* while they are added: [vocab->n] whether a symbol is part of one */
    uint32_t *lengths;  /* [vocab->n] bytes of text behind a token */
    struct vocab words; /* options.ignore_merges and bytes: tokens by their bytes */
    struct buf joined;  /* of add_merge */
    uint32_t guess;     /* where the next merge's token may be */
    struct cuts cuts;   /* !options.bytes: what merges reach across */
    bool may_cut;       /* and nothing else depends on neighbours */
    uint32_t *char_ids; /* !options.bytes: [CHARS] the symbols of characters */
    bool borrowed;      /* the arrays are an image's */
};

/* One without tables, but for the symbols of bytes; bpe_free takes it in any state. */
struct bpe *bpe_start(const struct vocab *v, const struct bpe_options *o);

/* The tokens of a word by merges alone. */
void bpe_encode_merged(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t len,
                       struct word_tokens *out);

#endif
