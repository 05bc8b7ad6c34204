/* svd: against the definition, on matrices whose singular values are known. */
#include "tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/gemm.h"
#include "compute/rows.h"
#include "compute/svd.h"

/* a [m, n] = sum of values[i] times the i-th of random orthonormal vectors. */
static float *matrix_of(size_t m, size_t n, const double *values, size_t k)
{
    float *a = xcalloc(m * n, sizeof *a), *l = xcalloc(k * m, sizeof *l),
          *r = xcalloc(k * n, sizeof *r);
    struct rng rng;
    rng_init(&rng, 1, m * n);
    for (size_t i = 0; i < k * m; i++)
        l[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < k * n; i++)
        r[i] = (float)rng_normal(&rng);
    orthonormal_rows(l, k, m);
    orthonormal_rows(r, k, n);
    for (size_t i = 0; i < k; i++)
        for (size_t row = 0; row < m; row++)
            row_add(a + row * n, r + i * n, n, (float)values[i] * l[i * m + row]);
    free(l);
    free(r);
    return a;
}

static double off_identity(const float *rows, size_t k, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++)
            worst = fmax(worst, fabs((double)row_dot(rows + i * n, rows + j * n, n) - (i == j)));
    return worst;
}

static void check(size_t m, size_t n, size_t r, bool exact)
{
    struct err err;
    enum { ALL = 20 };
    double values[ALL], off = 0, left = 0, rest = 0;
    size_t k = size_min(ALL, size_min(m, n));
    for (size_t i = 0; i < k; i++)
        values[i] = 10 / (1 + (double)i);
    for (size_t i = r; i < k; i++)
        rest += values[i] * values[i];
    float *a = matrix_of(m, n, values, k), *copy = xcalloc(m * n, sizeof *copy);
    float *u = xcalloc(m * r, sizeof *u), *ut = xcalloc(m * r, sizeof *ut),
          *s = xcalloc(r, sizeof *s), *v = xcalloc(r * n, sizeof *v);
    memcpy(copy, a, m * n * sizeof *copy);
    int status = exact ? svd_exact(copy, m, n, r, u, s, v, &err)
                       : svd_random(a, m, n, r, 16, 3, 4, u, s, v, &err);
    for (size_t i = 0; i < r; i++)
        off = fmax(off, fabs((double)s[i] - values[i]));
    tap_ok(!status && off <= 2e-5, "[%zu, %zu], %zu %s: singular values (%.2g)", m, n, r,
           exact ? "exactly" : "at random", off);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < r; j++)
            ut[j * m + i] = u[i * r + j];
    tap_ok(off_identity(ut, r, m) <= 1e-5 && off_identity(v, r, n) <= 1e-5,
           "its vectors are orthonormal");
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < r; j++)
            row_add(a + i * n, v + j * n, n, -u[i * r + j] * s[j]);
    for (size_t i = 0; i < m * n; i++)
        left += (double)a[i] * (double)a[i];
    tap_ok(fabs(sqrt(left) - sqrt(rest)) <= 1e-4, "what they leave is the smaller ones");
    free(a);
    free(copy);
    free(u);
    free(ut);
    free(s);
    free(v);
}

int main(void)
{
    struct err err;
    float a[4] = {1, 2, 3, 4}, u[4], s[2], v[4];
    for (int exact = 0; exact < 2; exact++) {
        check(40, 60, 5, exact);
        check(60, 40, 5, exact);
        check(33, 33, 20, exact);
        check(6, 50, 6, exact);
    }
    tap_ok(svd_exact(a, 2, 2, 3, u, s, v, &err) && svd_random(a, 2, 2, 3, 1, 0, 0, u, s, v, &err),
           "more values than there are");
    return tap_done();
}
