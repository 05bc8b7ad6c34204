/* merge_recipe: what becomes of changes, by hand. */
#include "tap.h"

#include "model/merge_recipe.h"

static struct merge_recipe recipe(enum merge_method method)
{
    return (struct merge_recipe){method, 0.5, 0.2, 1, 0};
}

/* Two sources of three numbers: agreeing, disagreeing, and where one has nothing. */
static void combines(enum merge_method method, double scale, const float want[3])
{
    float changes[2][3] = {{1, 4, 0}, {3, -2, 5}}, x[3] = {10, 10, 10};
    const double weights[] = {0.5, 0.25};
    struct merge_recipe r = recipe(method);
    r.scale = scale;
    recipe_combine(&r, weights, 2, changes[0], 3, 3, x);
    tap_close(merge_method_choices[method], x, want, 3, 1e-6);
}

static void test_combine(void)
{
    combines(METHOD_SUM, 1, (const float[]){11.25f, 11.5f, 11.25f});
    combines(METHOD_SUM, -2, (const float[]){7.5f, 7, 7.5f});
    combines(METHOD_LINEAR, 1, (const float[]){10 + 1.25f / 0.75f, 12, 10 + 1.25f / 0.75f});
    combines(METHOD_TIES, 1, (const float[]){10 + 1.25f / 0.75f, 14, 15});
    combines(METHOD_DARE_TIES, 1, (const float[]){11.25f, 12, 11.25f});
    combines(METHOD_DELLA, 1, (const float[]){10 + 1.25f / 0.75f, 14, 15});
}

static void test_keep(void)
{
    float x[] = {1, -3, 0.5f, 2}, by_chance[] = {1, -3, 0.5f, 2};
    const uint32_t half = 0x7fffffff;
    const uint32_t random[] = {0, half, half + 2, UINT32_MAX};
    uint64_t ranks[4];
    recipe_keep_largest(x, 4, 2);
    tap_close("the largest", x, (const float[]){0, -3, 0, 2}, 4, 0);
    struct merge_recipe r = recipe(METHOD_DARE);
    recipe_keep_random(&r, by_chance, 4, random, ranks);
    tap_close("at random", by_chance, (const float[]){1, -3, 0, 0}, 4, 0);
    /* Chances from 0.3 for the smallest to 0.7 for the largest. */
    float ranked[] = {1, -3, 0.5f, 2};
    const uint32_t quarter[] = {0x40000000, 0xb0000000, 0x50000000, 0xa0000000};
    r = recipe(METHOD_DELLA);
    recipe_keep_random(&r, ranked, 4, quarter, ranks);
    tap_close("at random by rank", ranked, (const float[]){1, -3, 0, 0}, 4, 0);
    float alone[] = {-1};
    recipe_keep_random(&r, alone, 1, random, ranks);
    tap_close("a row of one", alone, (const float[]){-1}, 1, 0);
}

int main(void)
{
    test_combine();
    test_keep();
    return tap_done();
}
