/*
 * rows: sums and the like over one row of floats, in 16 lanes and a fixed order.
 */
#ifndef COMPUTE_ROWS_H
#define COMPUTE_ROWS_H

#include <stddef.h>

float row_dot(const float *a, const float *b, size_t n); /* sum of a_i b_i */
float row_sum(const float *x, size_t n);
float row_max(const float *x, size_t n);        /* -infinity of none; passes over NaN */
float row_exp(float *x, size_t n, float shift); /* x = exp(x - shift); returns their sum */
/* row_exp of a row as long as a vocabulary: blocks of it are added in double. */
double row_exp_long(float *x, size_t n, float shift);
void row_scale(float *x, size_t n, float by);               /* x *= by */
void row_shift(float *x, size_t n, float by);               /* x += by */
void row_add(float *y, const float *x, size_t n, float by); /* y += by x */

#endif
