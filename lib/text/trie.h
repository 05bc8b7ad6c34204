/*
 * trie: every key that a text begins with, found in one pass: a double array (Aoe, "An efficient
 * digital search algorithm by using a double-array structure", 1989).
 */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/image.h"

/* A node's child for a byte is at its base + byte, if the check there is the node. */
struct trie_node {
    uint32_t base, check;
    uint32_t value; /* of the key that ends here, TRIE_NONE if none does */
};
#define TRIE_NONE UINT32_MAX

struct trie {
    struct trie_node *nodes;
    size_t n;
    bool borrowed; /* the nodes are an image's */
};

struct trie_key {
    const char *p;
    size_t len;
    uint32_t value;
};

/* Sorts the keys, which are not empty. Of equal ones that with the highest value counts. */
int trie_build(struct trie *t, struct trie_key *keys, size_t n, struct err *err);
void trie_release(struct trie *t);
/* Into an image; and out of one, which must outlive it. False where that has none, or one with
 * values of n_values and above. */
void trie_put(const struct trie *t, struct image_writer *w);
bool trie_restore(struct trie *t, const struct image *image, size_t n_values);

#define TRIE_ROOT 0
/* The node behind byte c, 0 if there is none. */
static inline uint32_t trie_step(const struct trie *t, uint32_t node, unsigned char c)
{
    uint32_t next = t->nodes[node].base + c;
    return next < t->n && t->nodes[next].check == node ? next : 0;
}

#endif
