/*
 * dtype_fit: scales for groups of numbers that are to be stored in few bits.
 *
 * Sixteen groups are fitted side by side: number t of group k is x[t][k], so that each step is a
 * loop over groups, which vectorises, while a group's sums run in the order of its numbers. The
 * searches are those of llama.cpp's reference quantisers (make_qkx2_quants, make_qx_quants and
 * make_q3_quants in ggml-quants.c, without an importance matrix): the same candidates, weights and
 * measure, hence files as good as its own.
 */
#ifndef FORMATS_DTYPE_FIT_H
#define FORMATS_DTYPE_FIT_H

#include <stddef.h>

enum { FIT_GROUPS = 16, FIT_LONGEST = 32 };

/* The first `count` groups of n numbers each from in [count, n]; the rest become zeros. */
void fit_gather(float x[][FIT_GROUPS], const float *in, size_t count, int n);

/*
 * x = scale * q + low with levels q of 0..top and low <= 0, so that the weighted error is small.
 * fit_low_32 weighs a number by the group's root mean square plus its magnitude and adds up
 * squares, trying 1 + steps scales from (top + start) levels over the range on; fit_low_16 weighs
 * by the magnitude and adds up absolute differences. Where all numbers are the same, scale is 0.
 */
void fit_low_32(const float x[][FIT_GROUPS], int top, float start, int steps,
                float scale[FIT_GROUPS], float low[FIT_GROUPS]);
void fit_low_16(const float x[][FIT_GROUPS], int top, float start, int steps,
                float scale[FIT_GROUPS], float low[FIT_GROUPS]);

/* x = scale * q with q of -top..top-1, groups of 16, squares weighted by x^2: of 19 scales about
 * the one that gives the largest number the level -top. */
void fit_scaled_16(const float x[][FIT_GROUPS], int top, float scale[FIT_GROUPS]);
/* The same from that one scale, then improved a level at a time. */
void fit_levels_16(const float x[][FIT_GROUPS], int top, float scale[FIT_GROUPS]);

/* v to the nearest whole number, ties to even, within [low, high]; NaN gives low. */
static inline float fit_round(float v, float low, float high)
{
    v = v > low ? v : low;
    v = v < high ? v : high;
    return v + 12582912.0f - 12582912.0f; /* 1.5 * 2^23: floats there are whole numbers */
}

#endif
