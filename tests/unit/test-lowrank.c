/* lowrank: products and matrices against what they were made of. */
#include "tap.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/lowrank.h"

static struct err err;

static float *random_matrix(size_t rows, size_t cols, uint64_t stream)
{
    struct rng rng;
    float *x = xcalloc(rows * cols, sizeof *x);
    rng_init(&rng, 5, stream);
    for (size_t i = 0; i < rows * cols; i++)
        x[i] = (float)rng_normal(&rng);
    return x;
}

static float *product(const float *b, const float *a, size_t rows, size_t cols, size_t r)
{
    float *d = xcalloc(rows * cols, sizeof *d);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < r; k++)
            for (size_t j = 0; j < cols; j++)
                d[i * cols + j] += b[i * r + k] * a[k * cols + j];
    return d;
}

static double distance(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow((double)x[i] - (double)y[i], 2);
    return sum;
}

/* A product of rank k, decomposed as a product and as a matrix to rank r. */
static void test_low_rank(size_t rows, size_t cols, size_t k, size_t r)
{
    float *left = random_matrix(rows, k, 0), *right = random_matrix(k, cols, 1);
    float *d = product(left, right, rows, cols, k);
    float *b = xcalloc(rows * r, sizeof *b), *a = xcalloc(r * cols, sizeof *a);
    float *nothing = xcalloc(rows * cols, sizeof *nothing);
    double lost[2], size = distance(d, nothing, rows * cols);
    for (int way = 0; way < 2; way++) {
        int status =
            way ? lowrank_of_matrix(d, rows, cols, r, b, a, &lost[way], &err)
                : lowrank_of_product(left, right, rows, cols, k, r, b, a, &lost[way], &err);
        float *again = product(b, a, rows, cols, r);
        double error = distance(d, again, rows * cols);
        tap_ok(!status && fabs(error - lost[way]) <= 1e-5 * size,
               "[%zu, %zu] of rank %zu to %zu %s: lost %g of %g, said %g", rows, cols, k, r,
               way ? "from the matrix" : "from the product", error, size, lost[way]);
        tap_ok(r < k ? error > 0 : error <= 1e-9 * size, "... which is as it should be");
        free(again);
    }
    tap_ok(fabs(lost[0] - lost[1]) <= 1e-5 * size, "both ways lose the same");
    free(nothing);
    free(left);
    free(right);
    free(d);
    free(b);
    free(a);
}

/* A full spectrum that falls slowly: the iteration finds nearly what the decomposition finds. */
static void test_full_rank(void)
{
    enum { ROWS = 300, COLS = 260, R = 8 };
    float *d = random_matrix(ROWS, COLS, 2), b[ROWS * R], a[R * COLS];
    float *wide = xcalloc((size_t)ROWS * COLS, sizeof *wide);
    double iterated, exact;
    lowrank_of_matrix(d, ROWS, COLS, R, b, a, &iterated, &err);
    for (size_t i = 0; i < (size_t)COLS * COLS; i++)
        wide[i] = i % (COLS + 1) ? 0 : 1;
    lowrank_of_product(d, wide, ROWS, COLS, COLS, R, b, a, &exact, &err);
    tap_ok(iterated >= exact * (1 - 1e-5) && iterated <= exact * 1.001,
           "white noise: %.9g lost, at best %.9g", iterated, exact);
    free(d);
    free(wide);
}

int main(void)
{
    test_low_rank(40, 30, 6, 6);
    test_low_rank(40, 30, 6, 3);
    test_low_rank(30, 50, 10, 1);
    test_low_rank(400, 300, 12, 12);
    test_low_rank(300, 400, 12, 4);
    test_full_rank();
    return tap_done();
}
