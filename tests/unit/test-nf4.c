/* NF4 beside bitsandbytes: codes, scales, values; matrices of any width on any number of threads.
 */
#include "base/pool.h"
#include "compute/quantise.h"
#include "fixture.h"

static float *values(const struct safetensors *s, const char *kind, const char *key, size_t *n)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", kind, key);
    return fixture_floats(s, name, n);
}

static void check_bytes(const char *what, const uint8_t *got, const float *want, size_t n)
{
    size_t differ = 0;
    for (size_t i = 0; i < n; i++)
        differ += (float)got[i] != want[i];
    tap_is_u64(what, differ, 0);
}

static void check_values(const char *what, const struct matrix *m, const float *want)
{
    size_t n = m->rows * m->cols;
    float *got = xcalloc(n, sizeof *got), most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(want[i]));
    matrix_floats(m, 0, m->rows, 0, m->cols, got, m->cols);
    tap_close(what, got, want, n, 1e-6 * (double)most);
    size_t part = m->cols - 7;
    for (size_t i = 0; i < m->rows; i++)
        matrix_floats(m, i, 1, 3, part, got + i * m->cols + 3, m->cols);
    tap_close("a part of each row", got, want, n, 1e-6 * (double)most);
    free(got);
}

static void check_matrix(const char *dir, const char *name, const char *kind, size_t threads)
{
    struct err err;
    struct nf4 q;
    size_t n, rows;
    bool doubled = !strcmp(kind, "double");
    struct safetensors *s = fixture_tensors(dir, name);
    struct pool *pool = pool_new(threads, &err);
    float *weight = fixture_floats(s, "weight", &n), *packed = values(s, kind, "packed", &rows),
          *absmax = values(s, kind, "absmax", &rows), *want = values(s, kind, "dequantised", &rows);
    rows = (size_t)safetensors_find(s, "weight")->shape[0];
    struct matrix m = matrix_of_floats(weight, rows, n / rows);
    tap_ok(matrix_to_nf4(&m, doubled, pool, &q, &err) == 0, "%s, %s: quantised", name, kind);
    check_bytes("codes", q.codes, packed, (n + 1) / 2);
    if (doubled) {
        size_t k;
        float *codes = values(s, kind, "absmax_codes", &k);
        check_bytes("codes of scales", q.absmax_codes, codes, q.n_blocks);
        free(codes);
    }
    for (size_t i = 0; i < q.n_blocks; i++)
        if (fabsf(nf4_scale(&q, i) - absmax[i]) > 1e-6f * fabsf(absmax[i]))
            tap_ok(false, "scale %zu: %.9g, want %.9g", i, (double)nf4_scale(&q, i),
                   (double)absmax[i]);
    m.nf4 = &q;
    check_values("values", &m, want);
    nf4_release(&q);
    free(weight);
    free(packed);
    free(absmax);
    free(want);
    pool_free(pool);
    safetensors_close(s);
}

/* Many tasks: the same bytes from one thread and from three. */
static void check_threads(void)
{
    enum { ROWS = 300, COLS = 77 };
    struct err err;
    struct nf4 q[2];
    float *w = xcalloc(ROWS * COLS, sizeof *w);
    for (size_t i = 0; i < ROWS * COLS; i++)
        w[i] = (float)((i * 2654435761u) % 1000) / 500 - 1;
    struct matrix m = matrix_of_floats(w, ROWS, COLS);
    for (size_t i = 0; i < 2; i++) {
        struct pool *pool = pool_new(i ? 3 : 1, &err);
        tap_ok(matrix_to_nf4(&m, true, pool, &q[i], &err) == 0, "quantised");
        pool_free(pool);
    }
    tap_ok(!memcmp(q[0].codes, q[1].codes, ROWS * COLS / 2) &&
               !memcmp(q[0].absmax_codes, q[1].absmax_codes, q[0].n_blocks),
           "the same with 1 and 3 threads");
    tap_is_u64("bytes", nf4_bytes(ROWS * COLS, true),
               ROWS * COLS / 2 + (ROWS * COLS + 63) / 64 + 2 * sizeof(float));
    w[200] = NAN;
    struct pool *pool = pool_new(1, &err);
    nf4_release(&q[0]);
    tap_ok(matrix_to_nf4(&m, true, pool, &q[0], &err) != 0, "a NaN is an error");
    m.dtype = DTYPE_Q8_0;
    tap_ok(matrix_to_nf4(&m, true, pool, &q[0], &err) != 0, "a quantised matrix is an error");
    pool_free(pool);
    nf4_release(&q[1]);
    free(w);
}

int main(void)
{
    const char *srcdir = getenv("SRCDIR");
    char dir[512];
    snprintf(dir, sizeof dir, "%s/tests/data/nf4", srcdir ? srcdir : ".");
    static const char *const names[] = {"odd_7x50.safetensors", "special_16x96.safetensors"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        check_matrix(dir, names[i], "single", 1);
        check_matrix(dir, names[i], "double", 2);
    }
    check_threads();
    return tap_done();
}
