#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FREE UINT32_MAX

struct builder {
    struct trie *t;
    size_t cap;
    size_t search; /* no node before this one is free */
};

/* Keys [first, last) have the same `depth` bytes, and node stands for them. */
struct range {
    size_t first, last, depth;
    uint32_t node;
};

static int by_bytes(const void *a, const void *b)
{
    const struct trie_key *x = a, *y = b;
    int rc = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    if (!rc)
        rc = (x->len > y->len) - (x->len < y->len);
    return rc ? rc : (x->value > y->value) - (x->value < y->value);
}

static void grow(struct builder *b, size_t n)
{
    struct trie *t = b->t;
    if (n > b->cap) {
        b->cap = n + n / 2 + 1024;
        t->nodes = xreallocarray(t->nodes, b->cap, sizeof *t->nodes);
    }
    for (; t->n < n; t->n++)
        t->nodes[t->n] = (struct trie_node){0, FREE, TRIE_NONE};
}

static bool fits(struct builder *b, size_t base, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (base + bytes[i] < b->t->n && b->t->nodes[base + bytes[i]].check != FREE)
            return false;
    return true;
}

/*
 * A base at which all the children have a free place. The search starts behind the part of the
 * array that is nearly full, so that building is linear in practice.
 */
static size_t find_base(struct builder *b, const unsigned char *bytes, size_t n)
{
    struct trie *t = b->t;
    size_t tried = 0;
    while (b->search < t->n && t->nodes[b->search].check != FREE)
        b->search++;
    for (size_t at = b->search > bytes[0] ? b->search : (size_t)bytes[0] + 1;; at++) {
        if (at < t->n && t->nodes[at].check != FREE)
            continue;
        size_t base = at - bytes[0];
        if (base && fits(b, base, bytes, n)) {
            if (tried > 64)
                b->search = at;
            return base;
        }
        tried++;
    }
}

/* Gives node its children; pushes their ranges. */
static size_t add_children(struct builder *b, const struct trie_key *keys, struct range range,
                           struct range *stack, size_t depth)
{
    unsigned char bytes[256];
    size_t starts[257], n = 0;
    for (; range.first < range.last && keys[range.first].len == range.depth; range.first++)
        b->t->nodes[range.node].value = keys[range.first].value;
    for (size_t i = range.first; i < range.last; i++) {
        unsigned char c = (unsigned char)keys[i].p[range.depth];
        if (!n || bytes[n - 1] != c) {
            bytes[n] = c;
            starts[n++] = i;
        }
    }
    starts[n] = range.last;
    if (!n)
        return depth;
    size_t base = find_base(b, bytes, n);
    grow(b, base + 256);
    b->t->nodes[range.node].base = (uint32_t)base;
    for (size_t i = n; i-- > 0;) {
        uint32_t child = (uint32_t)(base + bytes[i]);
        b->t->nodes[child].check = range.node;
        stack[depth++] = (struct range){starts[i], starts[i + 1], range.depth + 1, child};
    }
    return depth;
}

int trie_build(struct trie *t, struct trie_key *keys, size_t n, struct err *err)
{
    struct builder b = {t, 0, 1};
    size_t total = 0, depth = 0;
    *t = (struct trie){NULL, 0, false};
    grow(&b, 256);
    t->nodes[TRIE_ROOT].check = 0;
    for (size_t i = 0; i < n; i++)
        total += keys[i].len;
    if (total > UINT32_MAX / 16)
        return err_set(err, "the vocabulary's strings are too long for a trie");
    if (!n)
        return 0;
    qsort(keys, n, sizeof *keys, by_bytes);
    /* The ranges that wait hold different keys. */
    struct range *stack = mem_array(n + 1, sizeof *stack, "trie", err);
    if (!stack)
        return -1;
    stack[depth++] = (struct range){0, n, 0, TRIE_ROOT};
    while (depth) {
        struct range range = stack[--depth];
        depth = add_children(&b, keys, range, stack, depth);
    }
    free(stack);
    return 0;
}

void trie_release(struct trie *t)
{
    if (!t->borrowed)
        free(t->nodes);
    *t = (struct trie){NULL, 0, false};
}

void trie_put(const struct trie *t, struct image_writer *w)
{
    image_put(w, "trie", t->nodes, t->n, sizeof *t->nodes);
}

/* Where a node leads to is proved at each step. */
bool trie_restore(struct trie *t, const struct image *image, size_t n_values)
{
    size_t outside = 0;
    *t = (struct trie){NULL, 0, true};
    t->nodes = (void *)(uintptr_t)image_array(image, "trie", sizeof *t->nodes, &t->n);
    for (size_t i = 0; t->nodes && i < t->n; i++)
        outside += t->nodes[i].value != TRIE_NONE && t->nodes[i].value >= n_values;
    if (t->nodes && t->n && !outside)
        return true;
    *t = (struct trie){NULL, 0, false};
    return false;
}
