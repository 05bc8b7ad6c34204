#include "compute/dropout.h"

#include "base/rng.h"

void dropout_row(float *x, size_t n, double p, uint64_t key, uint64_t stream, size_t row)
{
    uint32_t limit = (uint32_t)(p * 0x1p32), block[4];
    float keep = (float)(1 / (1 - p));
    size_t first = row * ((n + 3) / 4);
    for (size_t k = 0; k < n; k++) {
        if (k % 4 == 0)
            rng_block(key, stream, first + k / 4, block);
        x[k] = block[k % 4] < limit ? 0 : x[k] * keep;
    }
}
