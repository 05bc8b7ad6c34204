/*
 * lint_index: which document had a hash first.
 */
#ifndef TEXT_LINT_INDEX_H
#define TEXT_LINT_INDEX_H

#include <stddef.h>
#include <stdint.h>

enum { LINT_INDEX_NONE = UINT32_MAX };

struct lint_index_slot {
    uint64_t hash;
    uint32_t number; /* LINT_INDEX_NONE: free */
};

/* Zeroed: empty. */
struct lint_index {
    struct lint_index_slot *slots;
    size_t n, cap; /* cap: a power of two */
};

void lint_index_release(struct lint_index *x);
/* Does nothing where the hash is there. */
void lint_index_add(struct lint_index *x, uint64_t hash, uint32_t number);
uint32_t lint_index_find(const struct lint_index *x, uint64_t hash);

#endif
