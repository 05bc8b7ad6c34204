#include "model/merge_recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/simd.h"

const char *const merge_method_choices[] = {"sum",          "linear", "ties",  "dare", "dare-ties",
                                            "della-linear", "della",  "slerp", NULL};

static const struct {
    enum keep keep;
    bool one_side;  /* only changes of the sign that has the larger sum */
    bool normalise; /* divided by the weights that took part */
} methods[] = {
    [METHOD_SUM] = {KEEP_ALL, false, false},
    [METHOD_LINEAR] = {KEEP_ALL, false, true},
    [METHOD_TIES] = {KEEP_LARGEST, true, true},
    [METHOD_DARE] = {KEEP_RANDOM, false, false},
    [METHOD_DARE_TIES] = {KEEP_RANDOM, true, false},
    [METHOD_DELLA_LINEAR] = {KEEP_RANDOM_BY_RANK, false, false},
    [METHOD_DELLA] = {KEEP_RANDOM_BY_RANK, true, true},
    [METHOD_SLERP] = {KEEP_ALL, false, false},
};

enum keep recipe_keep(const struct merge_recipe *r)
{
    return r->density >= 1 ? KEEP_ALL : methods[r->method].keep;
}

bool recipe_is_sum(const struct merge_recipe *r)
{
    return r->method == METHOD_SUM && r->scale == 1;
}

enum { GROUP = 64 };

/* mixed: the sum over the parts, and divisor the weights that are in it. */
static void mix_all(const double *weights, size_t n_parts, const float *changes, size_t stride,
                    size_t n, float mixed[GROUP], float divisor[GROUP])
{
    float sum = 0;
    memset(mixed, 0, GROUP * sizeof *mixed);
    for (size_t p = 0; p < n_parts; p++) {
        sum += (float)weights[p];
        for (size_t i = 0; i < n; i++)
            mixed[i] += changes[p * stride + i];
    }
    for (size_t i = 0; i < GROUP; i++)
        divisor[i] = fabsf(sum) < 1e-8f ? 1 : sum;
}

static void mix_one_side(const double *weights, size_t n_parts, const float *changes, size_t stride,
                         size_t n, float mixed[GROUP], float divisor[GROUP])
{
    float total[GROUP] = {0};
    memset(mixed, 0, GROUP * sizeof *mixed);
    memset(divisor, 0, GROUP * sizeof *divisor);
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < n; i++)
            total[i] += changes[p * stride + i];
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < n; i++) {
            float change = changes[p * stride + i];
            bool agrees = total[i] >= 0 ? change > 0 : change < 0;
            mixed[i] += agrees ? change : 0;
            divisor[i] += agrees ? (float)weights[p] : 0;
        }
    for (size_t i = 0; i < n; i++)
        divisor[i] = divisor[i] == 0 ? 1 : divisor[i];
}

void recipe_combine(const struct merge_recipe *r, const double *weights, size_t n_parts,
                    float *changes, size_t stride, size_t n, float *x)
{
    float mixed[GROUP], divisor[GROUP], scale = (float)r->scale;
    for (size_t p = 0; p < n_parts; p++)
        for (size_t i = 0; i < n; i++)
            changes[p * stride + i] *= (float)weights[p];
    for (size_t at = 0; at < n; at += GROUP) {
        size_t count = n - at < GROUP ? n - at : GROUP;
        if (methods[r->method].one_side)
            mix_one_side(weights, n_parts, changes + at, stride, count, mixed, divisor);
        else
            mix_all(weights, n_parts, changes + at, stride, count, mixed, divisor);
        for (size_t i = 0; i < count && methods[r->method].normalise; i++)
            mixed[i] /= divisor[i];
        for (size_t i = 0; i < count; i++)
            x[at + i] += scale * mixed[i];
    }
}

SIMD_CLONES void recipe_keep_largest(float *change, size_t n, float least)
{
    for (size_t i = 0; i < n; i++)
        change[i] = fabsf(change[i]) >= least ? change[i] : 0;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* ranks: the places of the numbers in the order of their magnitudes. Without their signs floats are
 * in the order of their bits. */
static void sort_by_magnitude(const float *change, size_t n, uint64_t *ranks)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &change[i], sizeof bits);
        ranks[i] = (uint64_t)(bits & 0x7fffffff) << 32 | (uint32_t)i;
    }
    qsort(ranks, n, sizeof *ranks, compare_keys);
}

void recipe_keep_random(const struct merge_recipe *r, float *change, size_t n,
                        const uint32_t *random, uint64_t *ranks)
{
    const double whole = 0x1p32;
    if (recipe_keep(r) == KEEP_RANDOM) {
        for (size_t i = 0; i < n; i++)
            change[i] = (double)random[i] < r->density * whole ? change[i] : 0;
        return;
    }
    sort_by_magnitude(change, n, ranks);
    for (size_t rank = 0; rank < n; rank++) {
        size_t i = (size_t)(ranks[rank] & 0xffffffff);
        double part = n > 1 ? (double)rank / (double)(n - 1) : 0;
        double chance = r->density - r->epsilon + part * 2 * r->epsilon;
        if ((double)random[i] >= chance * whole)
            change[i] = 0;
    }
}
