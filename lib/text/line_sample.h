/*
 * line_sample: some of many lines, chosen at random as they come.
 *
 * Those with the smallest keyed hashes stay, so that each has the same chance and most of the
 * choice stays when some lines come or go.
 */
#ifndef TEXT_LINE_SAMPLE_H
#define TEXT_LINE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct sampled_line {
    uint64_t key;
    uint64_t index; /* its place among all */
    struct buf line;
};

struct line_sample {
    size_t most;
    uint64_t seed, seen;
    struct sampled_line *lines; /* a heap, the largest key on top */
    size_t n, cap;
};

void line_sample_init(struct line_sample *s, size_t most, uint64_t seed);
void line_sample_release(struct line_sample *s);
void line_sample_add(struct line_sample *s, const struct buf *line);
/* Puts lines[0 .. n) into the order in which they came; no more may be added. */
void line_sample_sort(struct line_sample *s);

#endif
