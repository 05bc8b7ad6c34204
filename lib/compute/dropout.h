/*
 * dropout: inverted dropout (Srivastava et al. 2014, JMLR 15) with a mask that is found again.
 */
#ifndef COMPUTE_DROPOUT_H
#define COMPUTE_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

/*
 * x [n] = 0 with probability p, else x / (1 - p), for 0 <= p < 1. The mask is a function of key,
 * stream, row and place alone: the same call masks a gradient as it masked the value.
 */
void dropout_row(float *x, size_t n, double p, uint64_t key, uint64_t stream, size_t row);

#endif
