/*
 * noise: uniform noise that is found again.
 */
#ifndef COMPUTE_NOISE_H
#define COMPUTE_NOISE_H

#include <stddef.h>
#include <stdint.h>

/* x [n] += size times independent values of [-1, 1), functions of key, stream, row and place alone.
 */
void noise_row(float *x, size_t n, float size, uint64_t key, uint64_t stream, size_t row);

#endif
