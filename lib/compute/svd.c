#include "compute/svd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/gemm.h"
#include "compute/rows.h"

/* LAPACK's, column-major, from OpenBLAS, which has no header for it; the last argument is the
 * length of jobz, as Fortran passes it. */
extern void sgesdd_(const char *jobz, const int *m, const int *n, float *a, const int *lda,
                    float *s, float *u, const int *ldu, float *vt, const int *ldvt, float *work,
                    const int *lwork, int *iwork, int *info, size_t jobz_length);

/* What LAPACK works with: a^T, column-major, so the roles of u and v are changed. */
struct lapack {
    int m, n, k; /* rows and columns as LAPACK sees them; min of both */
    float *s, *u, *vt;
    int *iwork;
};

static int run_sgesdd(struct lapack *l, float *a, struct err *err)
{
    float size, *work = NULL;
    int ask = -1, lwork, info;
    sgesdd_("S", &l->m, &l->n, a, &l->m, l->s, l->u, &l->m, l->vt, &l->k, &size, &ask, l->iwork,
            &info, 1);
    if (info)
        return err_set(err, "a singular value decomposition of [%d, %d] is not possible", l->n,
                       l->m);
    lwork = (int)size + 1;
    work = mem_array((size_t)lwork, sizeof *work, "singular value decomposition", err);
    if (!work)
        return -1;
    sgesdd_("S", &l->m, &l->n, a, &l->m, l->s, l->u, &l->m, l->vt, &l->k, work, &lwork, l->iwork,
            &info, 1);
    free(work);
    return info ? err_set(err, "a singular value decomposition did not converge") : 0;
}

int svd_exact(float *a, size_t m, size_t n, size_t r, float *u, float *s, float *v, struct err *err)
{
    const size_t k = size_min(m, n), limit = 1 << 20;
    if (!r || r > k || m > limit || n > limit)
        return err_set(err, "no %zu singular values of a matrix [%zu, %zu]", r, m, n);
    struct lapack l = {.m = (int)n, .n = (int)m, .k = (int)k};
    l.s = mem_array(k, sizeof *l.s, "singular values", err);
    l.u = mem_array(n * k, sizeof *l.u, "singular vectors", err);
    l.vt = mem_array(k * m, sizeof *l.vt, "singular vectors", err);
    l.iwork = xcalloc(8 * k, sizeof *l.iwork);
    int status = l.s && l.u && l.vt ? run_sgesdd(&l, a, err) : -1;
    if (!status) {
        /* u of a^T [n, k], column-major, is v [k, n]; vt [k, m], column-major, is u [m, k]. */
        memcpy(s, l.s, r * sizeof *s);
        memcpy(v, l.u, r * n * sizeof *v);
        for (size_t i = 0; i < m; i++)
            memcpy(u + i * r, l.vt + i * k, r * sizeof *u);
    }
    free(l.iwork);
    free(l.s);
    free(l.u);
    free(l.vt);
    return status;
}

void orthonormal_rows(float *q, size_t k, size_t n)
{
    for (size_t i = 0; i < k; i++) {
        float *row = q + i * n, before = row_dot(row, row, n);
        for (int twice = 0; twice < 2; twice++)
            for (size_t j = 0; j < i; j++)
                row_add(row, q + j * n, n, -row_dot(row, q + j * n, n));
        float square = row_dot(row, row, n);
        bool dependent = !(square > 1e-12f * before);
        row_scale(row, n, dependent ? 0 : 1 / sqrtf(square));
    }
}

int svd_random(const float *a, size_t m, size_t n, size_t r, size_t rounds, uint64_t seed,
               uint64_t stream, float *u, float *s, float *v, struct err *err)
{
    enum { MORE = 8 };
    const size_t k = size_min(r + MORE, size_min(m, n));
    struct rng rng;
    rng_init(&rng, seed, stream);
    if (!r || r > k)
        return err_set(err, "no %zu singular values of a matrix [%zu, %zu]", r, m, n);
    float *left = mem_array(k * m, sizeof *left, "singular vectors", err);   /* [k, m] */
    float *right = mem_array(k * n, sizeof *right, "singular vectors", err); /* [k, n] */
    float *turn = mem_array(k * k, sizeof *turn, "singular vectors", err);   /* [k, r] */
    int status = left && right && turn ? 0 : -1;
    for (size_t i = 0; !status && i < k * n; i++)
        right[i] = (float)rng_normal(&rng);
    for (size_t round = 0; !status && round <= rounds; round++) {
        if (round) {
            gemm_tile(false, false, k, n, m, 1, left, m, a, n, 0, right, n);
            orthonormal_rows(right, k, n);
        }
        gemm_tile(false, true, k, m, n, 1, right, n, a, n, 0, left, m);
        orthonormal_rows(left, k, m);
    }
    if (!status) {
        /* left a = turn diag(s) v, so a ~ left^T turn diag(s) v. */
        gemm_tile(false, false, k, n, m, 1, left, m, a, n, 0, right, n);
        status = svd_exact(right, k, n, r, turn, s, v, err);
    }
    if (!status)
        gemm_tile(true, false, m, r, k, 1, left, m, turn, r, 0, u, r);
    free(left);
    free(right);
    free(turn);
    return status;
}
