/* ranks and tree_sum: alone, and as one of several processes when mpirun starts it. The first rank
 * reports what all found. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/ranks.h"
#include "compute/tree_sum.h"
#include "tap.h"

enum { N = 13, MOST = 40 };

static struct ranks *ranks;

/* A test that passes where all ranks say so. */
static void all_ok(bool good, const char *name)
{
    struct err err, mine = {"not ok"};
    int status = ranks_agree(ranks, good ? 0 : -1, &mine);
    err = mine;
    if (ranks_me(ranks) == 0)
        tap_ok(!status, "%s%s%s", name, status ? ": " : "", status ? err.msg : "");
}

static void test_sharing(void)
{
    const size_t n = ranks_count(ranks), me = ranks_me(ranks);
    int told = me ? 0 : 42, *all = xcalloc(n, sizeof *all);
    bool same = true;
    ranks_broadcast(ranks, &told, sizeof told);
    all_ok(told == 42, "what rank 0 has, all have");
    all[me] = 7 + (int)me;
    ranks_merge(ranks, all, n * sizeof *all);
    for (size_t k = 0; k < n; k++)
        same = same && all[k] == 7 + (int)k;
    all_ok(same, "what each has set, all have");
    free(all);
}

static void test_agreement(void)
{
    const size_t n = ranks_count(ranks), me = ranks_me(ranks);
    struct err err = {"mine"};
    all_ok(ranks_agree(ranks, (int)me, &err) == (int)n - 1, "the largest status");
    int status = ranks_agree(ranks, me + 1 == n ? -1 : 0, &err);
    char want[64] = "mine";
    if (n > 1)
        snprintf(want, sizeof want, "rank %zu: mine", n - 1);
    all_ok(status == -1 && !strcmp(err.msg, want), "one's failure is everybody's, with its number");
    err = (struct err){"mine"};
    all_ok(ranks_agree(ranks, -1, &err) == -1 && !strcmp(err.msg, "mine"),
           "a failure of all is told once");
    all_ok(!ranks_same(ranks, "x", "abc", 3, &err), "the same bytes");
    status = ranks_same(ranks, "x", me == 1 ? "abd" : "abc", 3, &err);
    all_ok(n == 1 ? !status : status && !strcmp(err.msg, "rank 1: x differs from what rank 0 has"),
           "other bytes");
}

static float leaf(size_t i, size_t k)
{
    return (float)((i * 7919 + k * 104729) % 1013) / 7 + (i % 5 == k ? 1e4f : 0);
}

/* Leaves [first, end) of `count`, the rest by the other ranks. */
static bool total(struct tree_sum *t, struct ranks *with, size_t count, const size_t *split,
                  float *out)
{
    struct err err;
    float x[N];
    const size_t first = with ? split[ranks_me(with)] : 0;
    const size_t end = with ? split[ranks_me(with) + 1] : count;
    tree_sum_begin(t, first, count);
    for (size_t i = first; i < end; i++) {
        for (size_t k = 0; k < N; k++)
            x[k] = leaf(i, k);
        if (tree_sum_add(t, x, &err))
            return false;
    }
    return !tree_sum_total(t, with, split, out, &err);
}

/* Every number of leaves, cut in several places among the ranks, is summed as by one process. */
static void test_totals(void)
{
    const size_t n = ranks_count(ranks);
    struct tree_sum *alone = tree_sum_new(N), *shared = tree_sum_new(N);
    size_t *split = xcalloc(n + 1, sizeof *split);
    bool same = true;
    for (size_t count = 1; count <= MOST; count++)
        for (size_t cut = 0; cut < 5; cut++) {
            float want[N], got[N];
            for (size_t k = 1; k < n; k++) /* the last cuts leave ranks without a leaf */
                split[k] = size_min(size_max(split[k - 1], k * count / n + cut * 3 % 7), count);
            split[n] = count;
            same = same && total(alone, NULL, count, NULL, want) &&
                   total(shared, ranks, count, split, got) && !memcmp(want, got, sizeof got);
        }
    all_ok(same, "sums of 1 to 40 leaves, cut anywhere, are the same to the bit");
    tree_sum_free(alone);
    tree_sum_free(shared);
    free(split);
}

int main(void)
{
    struct err err;
    if (ranks_open(&ranks, &err)) {
        tap_ok(false, "%s", err.msg);
        return tap_done();
    }
    const bool first = ranks_me(ranks) == 0;
    test_sharing();
    test_agreement();
    test_totals();
    ranks_close(ranks);
    return first ? tap_done() : 0;
}
