/*
 * charsmap: SentencePiece's precompiled rules of normalisation: a double array from strings to the
 * places of their replacements (sentencepiece, normalizer.cc; Darts-clone's format).
 */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct charsmap {
    uint32_t *units; /* [n_units] */
    size_t n_units;
    char *texts; /* [n_texts] replacements, each ended by a NUL */
    size_t n_texts;
};

/* From the bytes, or from their base64. */
int charsmap_init(struct charsmap *m, const uint8_t *p, size_t len, struct err *err);
int charsmap_init_base64(struct charsmap *m, const char *p, size_t len, struct err *err);
void charsmap_release(struct charsmap *m);

/*
 * The replacement of a rule that p[len] begins with, the shortest of several, as `tokenizers` takes
 * it; NULL where no rule does.
 */
const char *charsmap_find(const struct charsmap *m, const char *p, size_t len, size_t *found_len);
/* The same of the longest, as SentencePiece itself takes it, and the length of what it replaces. */
const char *charsmap_find_longest(const struct charsmap *m, const char *p, size_t len, size_t *used,
                                  size_t *found_len);
/* Whether any rule begins with p[len]. */
bool charsmap_begins(const struct charsmap *m, const char *p, size_t len);

#endif
