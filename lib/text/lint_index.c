#include "text/lint_index.h"

#include <stdlib.h>

#include "base/mem.h"

enum { FIRST_CAP = 1024 };

void lint_index_release(struct lint_index *x)
{
    free(x->slots);
    *x = (struct lint_index){.n = 0};
}

static struct lint_index_slot *find(const struct lint_index *x, uint64_t hash)
{
    size_t i = hash & (x->cap - 1);
    while (x->slots[i].number != LINT_INDEX_NONE && x->slots[i].hash != hash)
        i = (i + 1) & (x->cap - 1);
    return &x->slots[i];
}

static void grow(struct lint_index *x)
{
    struct lint_index old = *x;
    x->cap = old.cap ? 2 * old.cap : FIRST_CAP;
    x->slots = xreallocarray(NULL, x->cap, sizeof *x->slots);
    for (size_t i = 0; i < x->cap; i++)
        x->slots[i] = (struct lint_index_slot){0, LINT_INDEX_NONE};
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].number != LINT_INDEX_NONE)
            *find(x, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void lint_index_add(struct lint_index *x, uint64_t hash, uint32_t number)
{
    if (x->n * 4 >= x->cap * 3)
        grow(x);
    struct lint_index_slot *s = find(x, hash);
    if (s->number != LINT_INDEX_NONE)
        return;
    *s = (struct lint_index_slot){hash, number};
    x->n++;
}

uint32_t lint_index_find(const struct lint_index *x, uint64_t hash)
{
    return x->cap ? find(x, hash)->number : LINT_INDEX_NONE;
}
