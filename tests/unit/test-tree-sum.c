/* tree_sum against a plain recursion over the same tree, to the bit, for any number of leaves. */
#include <stdlib.h>

#include "compute/tree_sum.h"
#include "tap.h"

enum { N = 3, MOST = 70 };

/* Numbers whose sums depend on the order. */
static float leaf(size_t i, size_t k)
{
    return (float)((i * 7919 + k * 104729) % 1013) / 7 + (i % 5 == k ? 1e4f : 0);
}

/* The sum of leaves first .. end-1, of a node that has room for `size`. */
static float node(size_t first, size_t end, size_t size, size_t k)
{
    if (size == 1)
        return leaf(first, k);
    const size_t child = size / TREE_SUM_FAN;
    float sum = node(first, end, child, k);
    for (size_t at = first + child; at < end && at < first + size; at += child)
        sum += node(at, end, child, k);
    return sum;
}

static bool adds_up(size_t count)
{
    struct tree_sum *t = tree_sum_new(N);
    struct err err;
    float x[N], total[N];
    bool same = true;
    size_t size = 1;
    while (size < count)
        size *= TREE_SUM_FAN;
    for (int again = 0; again < 2; again++) {
        tree_sum_begin(t, 0, count);
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < N; k++)
                x[k] = leaf(i, k);
            same = same && !tree_sum_add(t, x, &err);
        }
        same = same && !tree_sum_total(t, NULL, NULL, total, &err);
        for (size_t k = 0; k < N && same; k++)
            same = total[k] == node(0, count, size, k);
    }
    tree_sum_free(t);
    return same;
}

int main(void)
{
    size_t wrong = 0;
    float in_order = leaf(0, 0);
    for (size_t count = MOST; count; count--)
        wrong = adds_up(count) ? wrong : count;
    tap_ok(!wrong, "1 to %d leaves, twice each (%zu is wrong)", MOST, wrong);
    for (size_t i = 1; i < MOST; i++)
        in_order += leaf(i, 0);
    tap_ok(in_order != node(0, MOST, 256, 0), "the order matters to these numbers");
    tap_ok(tree_sum_bytes(N, 1) == 0 && tree_sum_bytes(N, 4) == N * sizeof(float) &&
               tree_sum_bytes(N, 17) == 3 * N * sizeof(float),
           "it holds a sum for each level of the tree");
    return tap_done();
}
