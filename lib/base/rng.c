#include "base/rng.h"

#include <math.h>

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
    *r = (struct rng){seed, stream, 0};
}

void rng_block(uint64_t seed, uint64_t stream, uint64_t block_index, uint32_t x[4])
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    x[0] = (uint32_t)block_index;
    x[1] = (uint32_t)(block_index >> 32);
    x[2] = (uint32_t)stream;
    x[3] = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xd2511f53 * x[0], p1 = (uint64_t)0xcd9e8d57 * x[2];
        uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
        x[0] = y0;
        x[1] = (uint32_t)p1;
        x[2] = y2;
        x[3] = (uint32_t)p0;
        k0 += 0x9e3779b9;
        k1 += 0xbb67ae85;
    }
}

uint32_t rng_at(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint32_t block[4];
    rng_block(seed, stream, index / 4, block);
    return block[index % 4];
}

uint32_t rng_u32(struct rng *r)
{
    return rng_at(r->seed, r->stream, r->index++);
}

double rng_uniform(struct rng *r)
{
    uint64_t high = rng_u32(r);
    return (double)(high << 21 | rng_u32(r) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *r)
{
    double u = 1 - rng_uniform(r), v = rng_uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;
    do {
        v = (uint64_t)rng_u32(r) << 32;
        v |= rng_u32(r);
    } while (v >= limit);
    return v % n;
}
