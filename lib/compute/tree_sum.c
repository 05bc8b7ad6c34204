#include "compute/tree_sum.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "compute/rows.h"

enum { LEVELS = 34 }; /* 4^32 is more leaves than there can be */

/* The node above a level that is being added up. */
struct level {
    size_t children; /* added so far; 0: there is none */
    size_t first;    /* which of the level's the first is */
    float *sum;      /* [n]; the tree's */
};

/* Children of one node that are added up, but not to those before them, which another rank has. */
struct part {
    size_t level, first, children;
    float *sum;
};

struct tree_sum {
    size_t n;
    size_t next, count; /* leaves: the next to come, of all */
    struct level levels[LEVELS];
    struct part *parts;
    size_t n_parts, parts_cap;
    float **spare; /* vectors that are free */
    size_t n_spare, spare_cap;

    /* With several ranks: this one's slice of all parts, and their sum. */
    float *dealt;
    size_t dealt_cap;
    struct tree_sum *slice;
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
    if (!sum)
        return;
    ARRAY_GROW(t->spare, t->n_spare, t->spare_cap);
    t->spare[t->n_spare++] = sum;
}

static void clear(struct tree_sum *t)
{
    for (size_t i = 0; i < LEVELS; i++) {
        give_back(t, t->levels[i].sum);
        t->levels[i] = (struct level){0};
    }
    while (t->n_parts)
        give_back(t, t->parts[--t->n_parts].sum);
}

void tree_sum_free(struct tree_sum *t)
{
    if (!t)
        return;
    clear(t);
    while (t->n_spare)
        free(t->spare[--t->n_spare]);
    free(t->spare);
    free(t->parts);
    free(t->dealt);
    tree_sum_free(t->slice);
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

void tree_sum_begin(struct tree_sum *t, size_t first, size_t count)
{
    clear(t);
    t->next = first;
    t->count = count;
}

static void put_aside(struct tree_sum *t, size_t level, size_t first, size_t children, float *sum)
{
    ARRAY_GROW(t->parts, t->n_parts, t->parts_cap);
    t->parts[t->n_parts++] = (struct part){level, first, children, sum};
}

/* A vector of the tree's with the values of x, which may be one: `own`. NULL: no memory. */
static float *kept(struct tree_sum *t, const float *x, float *own, struct err *err)
{
    float *sum = own ? own : take(t, err);
    if (sum && !own)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): who has children has a sum */
        memcpy(sum, x, t->n * sizeof *x);
    return sum;
}

/*
 * Adds x, the sum of `children` neighbours in a level from `first` on, to the node above them, and
 * that one, when it is complete, to the next. Only the first children of a node can begin it. x is
 * `own` if it is a vector of the tree's, which is then used up.
 */
static int join(struct tree_sum *t, size_t level, size_t first, size_t children, const float *x,
                float *own, struct err *err)
{
    for (;; level++, first /= TREE_SUM_FAN, children = 1) {
        struct level *l = &t->levels[level];
        if (l->children) {
            row_add(l->sum, x, t->n, 1);
            give_back(t, own);
        } else {
            float *sum = t->n ? kept(t, x, own, err) : NULL;
            if (t->n && !sum)
                return -1;
            if (first % TREE_SUM_FAN) {
                put_aside(t, level, first, children, sum);
                return 0;
            }
            *l = (struct level){0, first, sum};
        }
        l->children += children;
        if (l->children < TREE_SUM_FAN)
            return 0;
        x = own = l->sum;
        first = l->first;
        *l = (struct level){0};
    }
}

int tree_sum_add(struct tree_sum *t, const float *x, struct err *err)
{
    return join(t, 0, t->next++, 1, x, NULL, err);
}

/* ---- the total ---- */

static size_t highest(const struct tree_sum *t)
{
    size_t level = LEVELS - 1;
    while (level && !t->levels[level].children)
        level--;
    return level;
}

/* Of one who has all leaves: nodes with fewer children than they may have are complete too. */
static int close_tree(struct tree_sum *t, float *out, struct err *err)
{
    for (size_t level = 0; level < highest(t); level++) {
        const struct level l = t->levels[level];
        t->levels[level] = (struct level){0};
        if (l.children && join(t, level + 1, l.first / TREE_SUM_FAN, 1, l.sum, l.sum, err))
            return -1;
    }
    if (t->n)
        memcpy(out, t->levels[highest(t)].sum, t->n * sizeof *out);
    clear(t);
    return 0;
}

/* Everything that is added up becomes a part. The nodes of higher levels are of earlier leaves. */
static void make_parts(struct tree_sum *t)
{
    for (size_t level = LEVELS; level--;) {
        const struct level l = t->levels[level];
        t->levels[level] = (struct level){0};
        if (l.children)
            put_aside(t, level, l.first, l.children, l.sum);
    }
}

/* The parts of each rank, in the order of the leaves, without their sums: counts [ranks]. */
static struct tree_sum *list_parts(const struct tree_sum *t, size_t ranks, const size_t *split,
                                   size_t *counts)
{
    struct tree_sum *all = tree_sum_new(0);
    struct err unused;
    for (size_t k = 0, before = 0; k < ranks; before = all->n_parts, k++) {
        all->next = split[k];
        all->count = t->count;
        while (all->next < split[k + 1])
            tree_sum_add(all, NULL, &unused);
        make_parts(all);
        counts[k] = all->n_parts - before;
    }
    return all;
}

static int reserve_slice(struct tree_sum *t, size_t length, size_t parts, struct err *err)
{
    if (!t->slice)
        t->slice = tree_sum_new(length);
    if (t->dealt_cap >= parts)
        return 0;
    free(t->dealt);
    t->dealt = mem_array(parts, length * sizeof *t->dealt, "others' sums of gradients", err);
    t->dealt_cap = t->dealt ? parts : 0;
    return t->dealt || !length ? 0 : -1;
}

/* Each rank adds up all parts' numbers of its slice, and tells the others. */
static int add_parts(struct tree_sum *t, struct ranks *ranks, const struct tree_sum *all,
                     const size_t *counts, const size_t *slices, float *out, struct err *err)
{
    const size_t me = ranks_me(ranks), length = slices[me + 1] - slices[me];
    float **mine = xcalloc(t->n_parts + 1, sizeof *mine);
    for (size_t i = 0; i < t->n_parts; i++)
        mine[i] = t->parts[i].sum;
    int status = reserve_slice(t, length, all->n_parts, err);
    status = ranks_agree(ranks, status, err);
    if (!status) {
        ranks_deal(ranks, mine, counts, slices, t->dealt);
        tree_sum_begin(t->slice, 0, t->count);
    }
    for (size_t i = 0; i < all->n_parts && !status; i++) {
        const struct part *p = &all->parts[i];
        status = join(t->slice, p->level, p->first, p->children,
                      length ? t->dealt + i * length : NULL, NULL, err);
    }
    if (!status)
        status = close_tree(t->slice, out + slices[me], err);
    if (!status)
        ranks_gather(ranks, out, slices);
    free(mine);
    return status;
}

int tree_sum_total(struct tree_sum *t, struct ranks *ranks, const size_t *split, float *out,
                   struct err *err)
{
    const size_t n = ranks_count(ranks);
    if (n == 1)
        return close_tree(t, out, err);
    size_t *counts = xcalloc(2 * n + 1, sizeof *counts), *slices = counts + n;
    for (size_t k = 0; k < n; k++)
        slices[k + 1] = slices[k] + t->n / n + (k < t->n % n);
    struct tree_sum *all = list_parts(t, n, split, counts);
    make_parts(t);
    int status = add_parts(t, ranks, all, counts, slices, out, err);
    clear(t);
    tree_sum_free(all);
    free(counts);
    return status;
}
