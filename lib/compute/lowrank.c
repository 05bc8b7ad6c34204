#include "compute/lowrank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/gemm.h"
#include "compute/svd.h"

enum {
    SMALL = 128,     /* a matrix with a side this short is decomposed as it is */
    MOST_ROUNDS = 60 /* of the iteration */
};

static float *room(size_t rows, size_t cols, struct err *err)
{
    size_t n;
    return size_mul(rows, cols, &n) ? mem_array(n, sizeof(float), "a decomposition", err) : NULL;
}

static double squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

/* b [rows, r] and a [r, cols] times the roots of s [r], their columns and rows. */
static void share_out(float *b, float *a, size_t rows, size_t cols, size_t r, const float *s)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < r; k++)
            b[i * r + k] *= sqrtf(s[k]);
    for (size_t k = 0; k < r; k++)
        for (size_t j = 0; j < cols; j++)
            a[k * cols + j] *= sqrtf(s[k]);
}

/* q [k, rows], p [k, cols]: orthonormal bases of left's columns and right's rows; left right =
 * q^T core p. */
static void find_core(const float *left, const float *right, size_t rows, size_t cols, size_t k,
                      float *q, float *p, float *spare, float *core)
{
    float *t = spare, *v = spare + k * k;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < k; j++)
            q[j * rows + i] = left[i * k + j];
    memcpy(p, right, k * cols * sizeof *p);
    orthonormal_rows(q, k, rows);
    orthonormal_rows(p, k, cols);
    gemm_tile(false, false, k, k, rows, 1, q, rows, left, k, 0, t, k);
    gemm_tile(false, true, k, k, cols, 1, right, cols, p, cols, 0, v, k);
    gemm_tile(false, false, k, k, k, 1, t, k, v, k, 0, core, k);
}

int lowrank_of_product(const float *left, const float *right, size_t rows, size_t cols, size_t k,
                       size_t r, float *b, float *a, double *lost, struct err *err)
{
    float *q = room(k, rows, err), *p = q ? room(k, cols, err) : NULL;
    float *small = p ? room(3 * k + 1, k, err) : NULL; /* three [k, k], and s */
    int status = small ? 0 : -1;
    if (!status) {
        float *u = small, *v = u + k * k, *core = v + k * k, *s = core + k * k;
        find_core(left, right, rows, cols, k, q, p, small, core);
        status = svd_exact(core, k, k, k, u, s, v, err);
        if (!status) {
            gemm_tile(true, false, rows, r, k, 1, q, rows, u, k, 0, b, r);
            gemm_tile(false, false, r, cols, k, 1, v, k, p, cols, 0, a, cols);
            share_out(b, a, rows, cols, r, s);
        }
        *lost = 0;
        for (size_t i = r; i < k && !status; i++)
            *lost += (double)s[i] * (double)s[i];
    }
    free(q);
    free(p);
    free(small);
    return status;
}

/* y [k, rows]: rows that span nearly the leading directions of d's columns; z [k, cols] = y d.
 * Until the part of d that they hold no longer grows. */
static void iterate(const float *d, size_t rows, size_t cols, size_t k, float *y, float *z)
{
    const double enough = 1e-6;
    double held = -1, total = squares(d, rows * cols);
    struct rng rng;
    rng_init(&rng, 0, 0);
    for (size_t i = 0; i < k * cols; i++)
        z[i] = (float)rng_normal(&rng);
    for (int round = 0; round < MOST_ROUNDS; round++) {
        if (round)
            orthonormal_rows(z, k, cols);
        gemm_tile(false, true, k, rows, cols, 1, z, cols, d, cols, 0, y, rows);
        orthonormal_rows(y, k, rows);
        gemm_tile(false, false, k, cols, rows, 1, y, rows, d, cols, 0, z, cols);
        double now = squares(z, k * cols);
        if (now - held <= enough * (total - now))
            break;
        held = now;
    }
}

/* left^T (or, if it is NULL, nothing) times the decomposition of m [rows, cols]. */
static int decompose(float *m, size_t rows, size_t cols, size_t r, const float *left,
                     size_t left_cols, float *b, float *a, double *held, struct err *err)
{
    float *s = room(r, 1, err), *u = left ? room(rows, r, err) : b;
    int status = s && u ? svd_exact(m, rows, cols, r, u, s, a, err) : -1;
    *held = 0;
    for (size_t i = 0; i < r && !status; i++)
        *held += (double)s[i] * (double)s[i];
    if (!status && left)
        gemm_tile(true, false, left_cols, r, rows, 1, left, left_cols, u, r, 0, b, r);
    if (!status)
        share_out(b, a, left ? left_cols : rows, cols, r, s);
    if (left)
        free(u);
    free(s);
    return status;
}

int lowrank_of_matrix(const float *d, size_t rows, size_t cols, size_t r, float *b, float *a,
                      double *lost, struct err *err)
{
    size_t shorter = size_min(rows, cols), k = r + size_max(r, 16);
    bool whole = shorter <= SMALL || 3 * k >= shorter;
    float *y = whole ? NULL : room(k, rows, err), *z = room(whole ? rows : k, cols, err);
    double held;
    int status = z && (whole || y) ? 0 : -1;
    if (!status && whole) {
        memcpy(z, d, rows * cols * sizeof *z);
        status = decompose(z, rows, cols, r, NULL, 0, b, a, &held, err);
    } else if (!status) {
        iterate(d, rows, cols, k, y, z);
        status = decompose(z, k, cols, r, y, rows, b, a, &held, err);
    }
    if (!status)
        *lost = fmax(squares(d, rows * cols) - held, 0);
    free(y);
    free(z);
    return status;
}
