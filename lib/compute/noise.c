#include "compute/noise.h"

#include "base/rng.h"

void noise_row(float *x, size_t n, float size, uint64_t key, uint64_t stream, size_t row)
{
    uint32_t block[4];
    size_t first = row * ((n + 3) / 4);
    for (size_t k = 0; k < n; k++) {
        if (k % 4 == 0)
            rng_block(key, stream, first + k / 4, block);
        /* 24 bits are what a float holds. */
        x[k] += size * ((float)(block[k % 4] >> 8) * 0x1p-23f - 1);
    }
}
