#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"

struct hash {
    XXH3_state_t *state;
};

struct hash *hash_new(void)
{
    struct hash *h = xmalloc(sizeof *h);
    h->state = XXH3_createState();
    if (!h->state)
        h->state = xmalloc(SIZE_MAX); /* reports that memory is out */
    XXH3_128bits_reset(h->state);
    return h;
}

void hash_free(struct hash *h)
{
    if (!h)
        return;
    XXH3_freeState(h->state);
    free(h);
}

void hash_add(struct hash *h, const void *p, size_t len)
{
    if (len)
        XXH3_128bits_update(h->state, p, len);
}

static void to_hex(XXH128_hash_t v, char hex[HASH_HEX])
{
    snprintf(hex, HASH_HEX, "%016" PRIx64 "%016" PRIx64, (uint64_t)v.high64, (uint64_t)v.low64);
}

void hash_hex(const struct hash *h, char hex[HASH_HEX])
{
    to_hex(XXH3_128bits_digest(h->state), hex);
}

uint64_t hash64(const void *p, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, len, seed);
}

void hash_bytes_hex(const void *p, size_t len, char hex[HASH_HEX])
{
    to_hex(XXH3_128bits(p, len), hex);
}
