/*
 * cuts: between which characters no token reaches, so that a text may be cut there before it's
 * encoded without changing a token.
 *
 * Exact for ASCII; else a filter that may miss a cut, never allow one too many.
 */
#ifndef TEXT_CUTS_H
#define TEXT_CUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/image.h"
#include "text/scan.h"

struct cuts {
    uint64_t ascii[128][2]; /* bit y of [x]: some token has x and y side by side */
    uint64_t *others;       /* [CUTS_BITS / 64] the same by a hash of x and y */
    bool borrowed;          /* they are an image's */
};

void cuts_init(struct cuts *c);
void cuts_release(struct cuts *c);
/* Into an image; and out of one, which must outlive it. False where that has none. */
void cuts_put(const struct cuts *c, struct image_writer *w);
bool cuts_restore(struct cuts *c, const struct image *image);
void cuts_forbid(struct cuts *c, const char *token, size_t len); /* everywhere inside of it */
/* As a scan_function: pieces of p[*pos, end), at most max. */
size_t cuts_scan(const struct cuts *c, const char *p, size_t *pos, size_t end, struct piece *out,
                 size_t max);

#endif
