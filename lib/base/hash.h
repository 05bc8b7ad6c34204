/*
 * hash: XXH3 through libxxhash, for checksums, provenance and the hash-based split.
 * Not against an adversary: it detects change and damage.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_HEX 33 /* 32 hexadecimal digits of XXH3-128 and a NUL */

struct hash; /* a running XXH3-128 */

struct hash *hash_new(void);
void hash_free(struct hash *h);
void hash_add(struct hash *h, const void *p, size_t len);
void hash_hex(const struct hash *h, char hex[HASH_HEX]);

uint64_t hash64(const void *p, size_t len, uint64_t seed); /* XXH3-64 */
void hash_bytes_hex(const void *p, size_t len, char hex[HASH_HEX]);

#endif
