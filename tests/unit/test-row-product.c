/* Products of stored rows, by every kernel that this processor has, against plain loops: same bits.
 */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/simd.h"
#include "compute/gemm_backend.h"
#include "compute/rows.h"

enum { ROWS = ROW_TILE };

static struct rng rng;

/* Blocks of any bytes, but with scales (all 16-bit numbers) that are finite. */
static uint8_t *stored_rows(enum dtype type, size_t bytes)
{
    uint8_t *p = xmalloc(bytes + 1); /* one more, so that rows can begin at an odd address */
    for (size_t i = 0; i <= bytes; i++)
        p[i] = (uint8_t)rng_below(&rng, 256) & (type <= DTYPE_BF16 ? 0x3f : 0xff);
    return p;
}

/* Makes each f16 scale in a block an ordinary number: clears its exponent's top bit. */
static void tame_scales(enum dtype type, uint8_t *row, size_t n)
{
    static const size_t at[DTYPE_COUNT][2] = {
        [DTYPE_Q8_0] = {1, 1},     [DTYPE_Q4_0] = {1, 1},   [DTYPE_Q4_1] = {1, 3},
        [DTYPE_Q5_0] = {1, 1},     [DTYPE_Q5_1] = {1, 3},   [DTYPE_Q2_K] = {81, 83},
        [DTYPE_Q3_K] = {109, 109}, [DTYPE_Q4_K] = {1, 3},   [DTYPE_Q5_K] = {1, 3},
        [DTYPE_Q6_K] = {209, 209}, [DTYPE_IQ4_NL] = {1, 1},
    };
    for (size_t i = 0; type > DTYPE_BF16 && i < n; i += dtypes[type].block)
        for (int j = 0; j < 2; j++)
            row[i / dtypes[type].block * dtypes[type].block_bytes + at[type][j]] &= 0xbf;
}

static void check_product(const struct row_kernels *kernels, enum dtype type, size_t n)
{
    row_product *product = kernels->product[type];
    const struct dtype_info *t = &dtypes[type];
    size_t bytes = n / t->block * t->block_bytes;
    uint8_t *all = stored_rows(type, bytes * ROWS), *p = all + 1;
    float *x = xcalloc(n + 1, sizeof *x), *row = xcalloc(n + 1, sizeof *row);
    float *expanded = xcalloc(n + 1, sizeof *expanded);
    bool same = true;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)rng_normal(&rng);
    for (size_t r = 0; r < ROWS; r++) {
        tame_scales(type, p + r * bytes, n);
        t->to_float(p + r * bytes, row, n);
        float want = row_dot(row, x, n), got = product(p + r * bytes, x, n);
        same &= isfinite(want) && !memcmp(&want, &got, sizeof want);
        if (kernels->expand[type]) {
            kernels->expand[type](p + r * bytes, expanded, n);
            same &= !memcmp(expanded, row, n * sizeof *row);
        }
        if (!same)
            printf("# row %zu: %.9g, want %.9g\n", r, (double)got, (double)want);
    }
    tap_ok(same, "%s: %s, %zu numbers a row", kernels->name, t->name, n);
    free(all);
    free(x);
    free(row);
    free(expanded);
}

static void check_tile(const struct row_kernels *kernels, size_t n)
{
    size_t ldw = n + 3, ldx = n + 1;
    float *w = xcalloc(ROWS * ldw, sizeof *w), *x = xcalloc(ROWS * ldx, sizeof *x);
    float out[ROWS][ROWS];
    bool same = true;
    for (size_t i = 0; i < ROWS * ldw; i++)
        w[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < ROWS * ldx; i++)
        x[i] = (float)rng_normal(&rng);
    kernels->tile(w, ldw, x, ldx, n, out);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < ROWS; j++) {
            float want = row_dot(w + i * ldw, x + j * ldx, n);
            same &= !memcmp(&want, &out[i][j], sizeof want);
        }
    tap_ok(same, "%s: a tile of %zu numbers a row", kernels->name, n);
    free(w);
    free(x);
}

/* A matrix in which all ways of storing one occur: types, turned, or with rows in another order. */
struct stored {
    enum dtype type;
    size_t rows, cols;
    bool transposed;
    size_t head_dim;
};

static struct matrix make_matrix(const struct stored *s, void **bytes)
{
    size_t size, n = s->rows * s->cols;
    float *values = xcalloc(n, sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)rng_normal(&rng);
    dtype_bytes(s->type, n, &size);
    *bytes = xcalloc(size, 1);
    dtypes[s->type].from_float(values, *bytes, n);
    free(values);
    return (struct matrix){.dtype = s->type,
                           .data = *bytes,
                           .rows = s->rows,
                           .cols = s->cols,
                           .row_bytes = size / (s->transposed ? s->cols : s->rows),
                           .transposed = s->transposed,
                           .order = {s->head_dim ? 2 : 0, s->head_dim / 2, 1}};
}

/* Few rows, alone and together, with every kernel: y [m, N] by row_dot, to the bit. */
static void check_gemm(const struct row_kernels *kernels, const struct stored *s, size_t m,
                       size_t threads)
{
    void *bytes;
    struct err err;
    struct matrix w = make_matrix(s, &bytes);
    struct pool *pool = pool_new(threads, &err);
    struct gemm *g;
    gemm_new(&g, BACKEND_FP32, pool, &err);
    g->kernels = kernels;
    float *floats = xcalloc(s->rows * s->cols, sizeof *floats), *bias = xcalloc(s->rows, 4);
    float *x = xcalloc(m * s->cols, sizeof *x), *y = xcalloc(m * s->rows, sizeof *y);
    matrix_floats(&w, 0, s->rows, 0, s->cols, floats, s->cols);
    for (size_t i = 0; i < m * s->cols; i++)
        x[i] = (float)rng_normal(&rng);
    for (size_t i = 0; i < s->rows; i++)
        bias[i] = (float)rng_normal(&rng);
    struct operand xs = {x, s->cols, false};
    struct gemm_forward job = {.w = &w, .bias = bias, .y = y};
    gemm_forward(g, &xs, m, &job, 1);
    bool same = true;
    for (size_t i = 0; i < m; i++)
        for (size_t r = 0; r < s->rows; r++) {
            float want = bias[r] + row_dot(floats + r * s->cols, x + i * s->cols, s->cols);
            same &= !memcmp(&want, &y[i * s->rows + r], sizeof want);
        }
    tap_ok(same, "%s: [%zu, %zu] of %s%s%s times %zu rows, %zu threads", kernels->name, s->rows,
           s->cols, dtypes[s->type].name, s->transposed ? ", turned" : "",
           s->head_dim ? ", reordered" : "", m, threads);
    gemm_free(g);
    pool_free(pool);
    free(floats);
    free(bias);
    free(bytes);
    free(x);
    free(y);
}

static const struct stored shapes[] = {
    {DTYPE_F32, 33, 47, false, 0},   {DTYPE_F32, 40, 19, true, 0},
    {DTYPE_F16, 48, 33, false, 16},  {DTYPE_BF16, 70, 64, true, 0},
    {DTYPE_Q8_0, 130, 64, false, 0}, {DTYPE_Q4_1, 64, 96, false, 8},
    {DTYPE_Q2_K, 13, 256, false, 0}, {DTYPE_Q4_K, 530, 512, false, 0},
    {DTYPE_F16, 3, 16400, false, 0},
};

int main(void)
{
    static const size_t ms[] = {1, 2, 4, 7, GEMM_FEW};
    size_t n;
    const struct row_kernels *const *all = row_kernels_all(&n);
    rng_init(&rng, 5, 0);
    tap_ok(all[0] == row_kernels(), "the first of the kernels are those that are used");
    for (size_t i = 0; i < n; i++)
        for (enum dtype type = 0; type < DTYPE_COUNT; type++)
            for (size_t k = 0; all[i]->product[type] && k < 4; k++) {
                static const size_t plain[] = {1, 16, 47, 600}, blocks[] = {1, 2, 3, 18};
                size_t block = dtypes[type].block;
                check_product(all[i], type, block == 1 ? plain[k] : blocks[k] * block);
            }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 1; all[i]->tile && k < 100; k += 14)
            check_tile(all[i], k);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_SIZE(shapes); k++)
            for (size_t j = 0; j < ARRAY_SIZE(ms); j++)
                check_gemm(all[i], &shapes[k], ms[j], 1 + (k + j) % 3);
    return tap_done();
}
