/*
 * rng: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * Counter-based: the value at (seed, stream, index) is a pure function, so dropout, shuffles and
 * sampling don't depend on threads or on where a run was interrupted.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t seed, stream; /* what the sequence is for; each stream is independent */
    uint64_t index;        /* of the next value */
};

void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
uint32_t rng_at(uint64_t seed, uint64_t stream, uint64_t index); /* 32 random bits */
uint32_t rng_u32(struct rng *r);
double rng_uniform(struct rng *r);             /* [0, 1), 53 bits */
double rng_normal(struct rng *r);              /* mean 0, deviation 1 (Box-Muller) */
uint64_t rng_below(struct rng *r, uint64_t n); /* [0, n), without bias; n > 0 */

/* Fills block[4] for 4 consecutive indices starting at 4 * block_index: the fast way to many. */
void rng_block(uint64_t seed, uint64_t stream, uint64_t block_index, uint32_t block[4]);

#endif
