/* Matrix products of both backends against plain loops, at odd sizes and from every stored type. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "compute/gemm.h"

static struct rng rng;

static float *randoms(size_t n)
{
    float *p = xcalloc(n + 1, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)rng_normal(&rng);
    return p;
}

/* What the backend multiplies with: values rounded to its type. */
static void round_values(float *p, size_t n, bool bf16)
{
    for (size_t i = 0; bf16 && i < n; i++)
        p[i] = bf16_to_float(float_to_bf16(p[i]));
}

static struct operand operand_of(const float *p, size_t rows, size_t cols, bool bf16)
{
    struct operand o;
    struct err err;
    operand_new(&o, rows, cols, bf16, "test", &err);
    for (size_t i = 0; i < rows; i++)
        operand_store(&o, i, 0, p + i * cols, cols);
    return o;
}

/* Whether matrices are stored as [in, out], where their type allows it. */
static bool turned;

/* A stored matrix [n, k] of a type, and what it stands for in `floats`. */
static struct matrix stored(enum dtype type, size_t n, size_t k, size_t head_dim, float **floats,
                            void **bytes)
{
    size_t size;
    float *values = randoms(n * k);
    dtype_bytes(type, n * k, &size);
    *bytes = xcalloc(size + 1, 1);
    dtypes[type].from_float(values, *bytes, n * k);
    struct matrix m = {.dtype = type,
                       .data = *bytes,
                       .rows = n,
                       .cols = k,
                       .row_bytes = size / n,
                       .order = {head_dim ? 2 : 0, head_dim / 2, 1}};
    if (turned && dtypes[type].block == 1 && !head_dim) {
        m.transposed = true;
        m.row_bytes = size / k;
    }
    free(values);
    *floats = xcalloc(n * k, sizeof **floats);
    matrix_floats(&m, 0, n, 0, k, *floats, k);
    return m;
}

static void plain_product(const float *a, size_t lda, size_t step_a, const float *b, size_t ldb,
                          size_t step_b, size_t m, size_t n, size_t k, float *c)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++)
                sum += (double)a[i * lda + l * step_a] * (double)b[j * ldb + l * step_b];
            c[i * n + j] += (float)sum;
        }
}

static void check_forward(struct gemm *g, const char *name, enum dtype type, size_t m, size_t n,
                          size_t k, size_t r, size_t head_dim, bool add)
{
    bool bf16 = gemm_wants_bf16(g);
    float *w, *x = randoms(m * k), *h = randoms(m * r), *b = randoms(n * r), *bias = randoms(n);
    float *y = randoms(m * n), *want = xcalloc(m * n, sizeof *want);
    void *bytes;
    struct matrix matrix = stored(type, n, k, head_dim, &w, &bytes);
    struct operand op = operand_of(x, m, k, bf16);
    for (size_t i = 0; i < m * n; i++)
        want[i] = (add ? y[i] : 0) + bias[i % n];
    struct gemm_forward job = {.w = &matrix, .bias = bias, .lora = {b, h, r}, .y = y, .add = add};
    gemm_forward(g, &op, m, &job, 1);
    bool rounds = bf16 && m > 16; /* few rows are multiplied in float32 */
    round_values(x, m * k, bf16);
    round_values(w, n * k, rounds);
    round_values(h, m * r, rounds);
    round_values(b, n * r, rounds);
    plain_product(x, k, 1, w, k, 1, m, n, k, want);
    plain_product(h, r, 1, b, r, 1, m, n, r, want);
    char what[200];
    snprintf(what, sizeof what, "%s: y [%zu, %zu] = x W^T, K %zu, %s, rank %zu%s%s", name, m, n, k,
             dtypes[type].name, r, head_dim ? ", reordered" : "", add ? ", added" : "");
    tap_close(what, y, want, m * n, 1e-5 * (double)k + 1e-4);
    free(w), free(x), free(h), free(b), free(bias), free(y), free(want), free(bytes), free(op.p);
}

static void check_backward(struct gemm *g, const char *name, enum dtype type, size_t m, size_t n1,
                           size_t n2, size_t k, size_t r, bool add)
{
    bool bf16 = gemm_wants_bf16(g);
    float *w[2], *dy[2], *a = randoms(r * k), *dh = randoms(m * r), *dx = randoms(m * k);
    float *want = xcalloc(m * k, sizeof *want);
    void *bytes[2];
    size_t n[] = {n1, n2};
    struct matrix matrix[2];
    struct operand op[2];
    struct gemm_backward jobs[2];
    for (size_t i = 0; add && i < m * k; i++)
        want[i] = dx[i];
    for (size_t j = 0; j < 2; j++) {
        dy[j] = randoms(m * n[j]);
        matrix[j] = stored(type, n[j], k, 0, &w[j], &bytes[j]);
        op[j] = operand_of(dy[j], m, n[j], bf16);
        jobs[j] = (struct gemm_backward){.w = &matrix[j], .dy = &op[j]};
    }
    jobs[1].a = a;
    jobs[1].dh = dh;
    jobs[1].r = r;
    gemm_backward(g, dx, m, add, jobs, 2);
    for (size_t j = 0; j < 2; j++) {
        round_values(dy[j], m * n[j], bf16);
        round_values(w[j], n[j] * k, bf16);
        plain_product(dy[j], n[j], 1, w[j], 1, k, m, k, n[j], want);
    }
    round_values(a, r * k, bf16);
    round_values(dh, m * r, bf16);
    plain_product(dh, r, 1, a, 1, k, m, k, r, want);
    char what[200];
    snprintf(what, sizeof what, "%s: dx [%zu, %zu] of N %zu + %zu, %s, rank %zu%s", name, m, k, n1,
             n2, dtypes[type].name, r, add ? ", added" : "");
    tap_close(what, dx, want, m * k, 1e-5 * (double)(n1 + n2) + 1e-4);
    for (size_t j = 0; j < 2; j++)
        free(w[j]), free(dy[j]), free(bytes[j]), free(op[j].p);
    free(a), free(dh), free(dx), free(want);
}

static void check_grads(struct gemm *g, const char *name, size_t m, size_t wide, size_t r)
{
    bool bf16 = gemm_wants_bf16(g);
    float *v = randoms(m * wide), *thin = randoms(m * r), *da = randoms(r * wide),
          *db = randoms(wide * r);
    float *want_a = xcalloc(r * wide, sizeof *da), *want_b = xcalloc(wide * r, sizeof *db);
    memcpy(want_a, da, r * wide * sizeof *da);
    memcpy(want_b, db, r * wide * sizeof *db);
    struct operand op = operand_of(v, m, wide, bf16);
    gemm_grad_a(g, &op, m, thin, r, da);
    gemm_grad_b(g, &op, m, thin, r, db);
    round_values(v, m * wide, bf16);
    round_values(thin, m * r, bf16);
    plain_product(thin, 1, r, v, 1, wide, r, wide, m, want_a);
    plain_product(v, 1, wide, thin, 1, r, wide, r, m, want_b);
    char what[200];
    snprintf(what, sizeof what, "%s: da [%zu, %zu] over %zu rows", name, r, wide, m);
    tap_close(what, da, want_a, r * wide, 1e-5 * (double)m + 1e-4);
    snprintf(what, sizeof what, "%s: db [%zu, %zu] over %zu rows", name, wide, r, m);
    tap_close(what, db, want_b, r * wide, 1e-5 * (double)m + 1e-4);
    free(v), free(thin), free(da), free(db), free(want_a), free(want_b), free(op.p);
}

static void check_down(struct gemm *g, const char *name, size_t m, size_t n, size_t r)
{
    bool bf16 = gemm_wants_bf16(g);
    float *x = randoms(m * n), *a = randoms(r * n), *h = xcalloc(m * r, 4),
          *want = xcalloc(m * r, 4);
    struct operand op = operand_of(x, m, n, bf16);
    round_values(x, m * n, bf16);
    gemm_down(g, &op, m, a, r, 2, h);
    float *rounded = xcalloc(r * n, sizeof *a);
    memcpy(rounded, a, r * n * sizeof *a);
    round_values(rounded, r * n, bf16 && m > 16);
    plain_product(x, n, 1, rounded, n, 1, m, r, n, want);
    for (size_t i = 0; i < m * r; i++)
        want[i] *= 2;
    char what[200];
    snprintf(what, sizeof what, "%s: h [%zu, %zu] = 2 x A^T, K %zu", name, m, r, n);
    tap_close(what, h, want, m * r, 2e-5 * (double)n + 1e-4);
    memset(want, 0, m * r * sizeof *want);
    gemm_down_backward(g, &op, m, a, r, 2, h); /* the same numbers as B [n, r] */
    memcpy(rounded, a, r * n * sizeof *a);
    round_values(rounded, r * n, bf16);
    plain_product(x, n, 1, rounded, 1, r, m, r, n, want);
    for (size_t i = 0; i < m * r; i++)
        want[i] *= 2;
    snprintf(what, sizeof what, "%s: dh [%zu, %zu] = 2 dy B, N %zu", name, m, r, n);
    tap_close(what, h, want, m * r, 2e-5 * (double)n + 1e-4);
    free(x), free(a), free(h), free(want), free(rounded), free(op.p);
}

/* Products of whole small matrices, each way round; c is padded by 3 columns that must not change.
 */
static void check_tile(bool turn_a, bool turn_b, size_t m, size_t n, size_t k, float beta)
{
    float *a = randoms(m * k), *b = randoms(n * k), *c = randoms(m * (n + 3));
    float *want = xcalloc(m * n, sizeof *want), *got = xcalloc(m * n, sizeof *got);
    size_t lda = turn_a ? m : k, ldb = turn_b ? k : n;
    float corner = c[m * (n + 3) - 1];
    for (size_t i = 0; i < m * n; i++)
        want[i] = beta * c[i / n * (n + 3) + i % n];
    gemm_tile(turn_a, turn_b, m, n, k, 0.5f, a, lda, b, ldb, beta, c, n + 3);
    for (size_t i = 0; i < m * n; i++)
        got[i] = c[i / n * (n + 3) + i % n];
    for (size_t i = 0; i < m * k; i++)
        a[i] *= 0.5f;
    plain_product(a, turn_a ? 1 : lda, turn_a ? lda : 1, b, turn_b ? ldb : 1, turn_b ? 1 : ldb, m,
                  n, k, want);
    char what[200];
    snprintf(what, sizeof what, "tile: [%zu, %zu] over %zu%s%s", m, n, k,
             turn_a ? ", a turned" : "", turn_b ? ", b turned" : "");
    tap_close(what, got, want, m * n, 1e-5 * (double)k + 1e-4);
    tap_ok(c[m * (n + 3) - 1] == corner, "nothing is written beside the tile");
    free(a), free(b), free(c), free(want), free(got);
}

static void check_tiles(void)
{
    static const size_t sizes[][3] = {{64, 256, 64}, {1, 1, 1},    {7, 33, 5},
                                      {64, 64, 200}, {37, 90, 24}, {256, 64, 64}};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (int turn = 0; turn < 4; turn++)
            check_tile(turn & 1, turn & 2, sizes[i][0], sizes[i][1], sizes[i][2], (float)(i % 2));
}

/* All types, and sizes that are no multiple of any block. */
static void check_products(struct gemm *g, const char *name)
{
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (dtypes[t].from_float) {
            check_forward(g, name, (enum dtype)t, 40, 96, 256, 3, t % 2 ? 32 : 0, false);
            check_backward(g, name, (enum dtype)t, 40, 64, 37, 256, 3, t % 2);
        }
    static const size_t sizes[][4] = {
        /* m, n, k, r */
        {1, 33, 48, 0},  {5, 70, 32, 2},     {16, 64, 64, 8},   {17, 1, 1, 1},     {29, 31, 33, 5},
        {64, 16, 96, 0}, {100, 600, 40, 16}, {515, 130, 66, 4}, {1100, 40, 24, 7},
    };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        const size_t *s = sizes[i];
        check_forward(g, name, DTYPE_F32, s[0], s[1], s[2], s[3], 0, i % 2);
        check_backward(g, name, DTYPE_BF16, s[0], s[1], 7, s[2], s[3], i % 2);
        check_grads(g, name, s[0], s[1], s[3] + 1);
        check_down(g, name, s[0], s[2], s[3] + 1);
    }
    check_backward(g, name, DTYPE_F32, 20, 2100, 1025, 64, 2, false);
    /* Rows a page or more apart, in one part and in two, the second odd. */
    check_forward(g, name, DTYPE_BF16, 120, 40, 2048, 3, 0, false);
    check_backward(g, name, DTYPE_BF16, 120, 4096, 7, 40, 3, false);
    check_backward(g, name, DTYPE_F32, 20, 4095, 2047, 40, 0, false);
}

static void check_backend(enum backend backend, size_t threads)
{
    struct err err;
    struct pool *pool = pool_new(threads, &err);
    struct gemm *g;
    const char *name = backend_choices[backend];
    if (!tap_ok(gemm_new(&g, backend, pool, &err) == 0, "%s: open", name))
        return;
    check_products(g, name);
    /* The part of the sum that has the adapter is a shorter one, with fewer columns than the other.
     */
    if (backend == BACKEND_BF16)
        check_forward(g, name, DTYPE_BF16, 17, 2048, 2050, 16, 0, false);
    turned = true;
    printf("# stored as [in, out]\n");
    check_products(g, name);
    turned = false;
    gemm_free(g);
    pool_free(pool);
}

/* W[i][j] of a transposed matrix is the file's [j][i]; parts of it are parts of the whole. */
static void check_turned(void)
{
    enum { N = 150, K = 37, ROW = 3, COL = 5, ROWS = 131, COLS = 30 };
    float *file = randoms(K * N), *want = xcalloc(ROWS * COLS, 4), *got = xcalloc(ROWS * COLS, 4);
    struct matrix m = matrix_of_floats(file, N, K);
    m.transposed = true;
    m.row_bytes = N * sizeof *file;
    for (size_t i = 0; i < ROWS * COLS; i++)
        want[i] = file[(COL + i % COLS) * N + ROW + i / COLS];
    matrix_floats(&m, ROW, ROWS, COL, COLS, got, COLS);
    tap_close("part of a matrix stored as [in, out]", got, want, ROWS * COLS, 0);
    free(file), free(want), free(got);
}

int main(void)
{
    rng_init(&rng, 1, 1);
    check_turned();
    check_backend(BACKEND_FP32, 1);
    check_backend(BACKEND_FP32, 3);
    check_tiles();
    if (backend_available(BACKEND_BF16)) {
        check_backend(BACKEND_BF16, 1);
        check_backend(BACKEND_BF16, 3);
    } else {
        printf("# bf16 is not tested: this CPU has no AVX512-BF16\n");
    }
    return tap_done();
}
