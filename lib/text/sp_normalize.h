/*
 * sp_normalize: what SentencePiece does to a text before it encodes it (sentencepiece,
 * normalizer.cc): its rules of replacement, the longest first, and its treatment of spaces.
 */
#ifndef TEXT_SP_NORMALIZE_H
#define TEXT_SP_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/charsmap.h"
#include "text/text.h"
#include "text/trie.h"

struct sp_rules {
    struct charsmap map; /* no units: no rules */
    struct trie users;   /* strings that no rule changes; no nodes: none */
    bool dummy_prefix;   /* a space is put before the text */
    bool dummy_suffix;   /* or behind it */
    bool remove_extra;   /* spaces at both ends go, and of several in a row all but the first */
    bool escape;         /* spaces become U+2581 */
    bool plain[128];     /* as it is where the next character is ASCII too; sp_rules_finish's */
};

void sp_rules_finish(struct sp_rules *r); /* once the fields above are set */
void sp_rules_release(struct sp_rules *r);

/* Appends to out what `in` becomes. */
void sp_normalize(const struct sp_rules *r, const struct text *in, struct text_builder *out);

#endif
