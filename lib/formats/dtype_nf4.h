/*
 * dtype_nf4: 4-bit NormalFloat, the storage of QLoRA's frozen base (Dettmers et al. 2023,
 * arXiv:2305.14314), with the codes and scales of bitsandbytes.
 *
 * A matrix's numbers are taken in the order of rows, in blocks of 64 that may reach over the end
 * of a row. A block has a scale, its largest magnitude ("absmax"); a number is the nearest of 16
 * quantiles of the normal distribution, times that scale. Double quantisation stores the scales
 * themselves, less their mean, in 8 bits: nearest of 256 values, times a scale for 256 blocks.
 */
#ifndef FORMATS_DTYPE_NF4_H
#define FORMATS_DTYPE_NF4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NF4_BLOCK = 64, NF4_GROUP = 256 /* blocks that share a scale of scales */ };

struct nf4 {
    size_t n;       /* numbers */
    uint8_t *codes; /* [(n + 1) / 2]: two a byte, the first in the high half */
    size_t n_blocks;
    float *absmax; /* [n_blocks]; NULL after double quantisation */
    /* After double quantisation; NULL before. */
    uint8_t *absmax_codes; /* [n_blocks] */
    float *absmax_absmax;  /* [n_blocks / NF4_GROUP, rounded up] */
    float absmax_offset;   /* mean of absmax */
};

/* Room for n numbers; nf4_quantise fills it. */
int nf4_new(struct nf4 *q, size_t n, struct err *err);
void nf4_release(struct nf4 *q);

/* The n numbers that begin at block `first`: whole blocks but for the last of all. Parts may be
 * done by several threads. False: one of them is not finite. */
bool nf4_quantise(struct nf4 *q, size_t first, const float *in, size_t n);

/* Quantises the scales in turn, once all blocks have theirs. */
int nf4_quantise_scales(struct nf4 *q, struct err *err);

/* A block's scale, restored. */
float nf4_scale(const struct nf4 *q, size_t block);

/* Numbers [from, from + n). */
void nf4_to_float(const struct nf4 *q, size_t from, size_t n, float *out);

/* Bytes that the codes and scales of n numbers take. */
size_t nf4_bytes(size_t n, bool doubled);

#endif
