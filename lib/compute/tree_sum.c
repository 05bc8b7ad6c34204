#include "compute/tree_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/rows.h"

enum { LEVELS = 34 }; /* 4^32 is more leaves than there can be */

/* The node of a level that is being added up. */
struct level {
    size_t children; /* added so far; 0: there is none */
    float *sum;      /* [n]; the tree's */
};

struct tree_sum {
    size_t n;
    size_t next, end, count; /* leaves: the next to come, behind the last, of all */
    struct level levels[LEVELS];
    float *spare[LEVELS]; /* vectors that are free */
    size_t n_spare;
};

struct tree_sum *tree_sum_new(size_t n)
{
    struct tree_sum *t = xcalloc(1, sizeof *t);
    t->n = n;
    return t;
}

/* ---- vectors ---- */

static float *take(struct tree_sum *t, struct err *err)
{
    return t->n_spare ? t->spare[--t->n_spare]
                      : mem_array(t->n, sizeof(float), "sums of gradients", err);
}

static void give_back(struct tree_sum *t, float *sum)
{
    t->spare[t->n_spare++] = sum;
}

static void clear(struct tree_sum *t)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (t->levels[i].children)
            give_back(t, t->levels[i].sum);
        t->levels[i] = (struct level){0};
    }
}

void tree_sum_free(struct tree_sum *t)
{
    if (!t)
        return;
    clear(t);
    while (t->n_spare)
        free(t->spare[--t->n_spare]);
    free(t);
}

static size_t vectors_for(size_t count)
{
    size_t vectors = 0;
    for (; count > 1; count = count / TREE_SUM_FAN + (count % TREE_SUM_FAN != 0))
        vectors++;
    return vectors;
}

size_t tree_sum_bytes(size_t n, size_t count)
{
    return vectors_for(count) * n * sizeof(float);
}

int tree_sum_reserve(struct tree_sum *t, size_t count, struct err *err)
{
    clear(t);
    while (t->n_spare < vectors_for(count)) {
        float *sum = mem_array(t->n, sizeof *sum, "sums of gradients", err);
        if (!sum)
            return -1;
        memset(sum, 0, t->n * sizeof *sum);
        give_back(t, sum);
    }
    return 0;
}

/* ---- adding ---- */

void tree_sum_begin(struct tree_sum *t, size_t first, size_t end, size_t count)
{
    clear(t);
    t->next = first;
    t->end = end;
    t->count = count;
}

/* Adds x to the node above `level`, and that one, when it is complete, to the next. x is `own` if
 * it is a vector of the tree's, which is then used up. */
static int join(struct tree_sum *t, size_t level, const float *x, float *own, struct err *err)
{
    for (;; level++) {
        struct level *l = &t->levels[level];
        if (l->children) {
            row_add(l->sum, x, t->n, 1);
            if (own)
                give_back(t, own);
        } else if (own) {
            l->sum = own;
        } else {
            l->sum = take(t, err);
            if (!l->sum)
                return -1;
            memcpy(l->sum, x, t->n * sizeof *x);
        }
        if (++l->children < TREE_SUM_FAN)
            return 0;
        x = own = l->sum;
        *l = (struct level){0};
    }
}

int tree_sum_add(struct tree_sum *t, const float *x, struct err *err)
{
    t->next++;
    return join(t, 0, x, NULL, err);
}

static size_t highest(const struct tree_sum *t)
{
    size_t level = LEVELS - 1;
    while (level && !t->levels[level].children)
        level--;
    return level;
}

int tree_sum_total(struct tree_sum *t, float *out, struct err *err)
{
    for (size_t level = 0; level < highest(t); level++) {
        struct level *l = &t->levels[level];
        float *sum = l->sum;
        if (!l->children)
            continue;
        *l = (struct level){0};
        if (join(t, level + 1, sum, sum, err))
            return -1;
    }
    memcpy(out, t->levels[highest(t)].sum, t->n * sizeof *out);
    clear(t);
    return 0;
}
