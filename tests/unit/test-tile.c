/* Products of attention's small matrices in both arithmetics, each operand out of rows or of
 * turned rows, against plain loops. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "compute/backend.h"
#include "compute/operand.h"
#include "compute/tile.h"
#include "formats/dtype.h"

static struct rng rng;

static size_t padded(size_t n)
{
    return (n + 31) / 32 * 32;
}

/* [rows, cols] in rows of `ld`, zeros around it, rows up to a multiple of 32. */
static float *randoms(size_t rows, size_t cols, size_t ld)
{
    float *p = xcalloc(padded(rows) * ld, sizeof *p);
    for (size_t i = 0; i < rows * cols; i++)
        p[i / cols * ld + i % cols] = bf16_to_float(float_to_bf16((float)rng_normal(&rng)));
    return p;
}

static uint16_t *halves(const float *x, size_t n)
{
    uint16_t *p = xcalloc(n, sizeof *p);
    floats_to_bf16(x, p, n);
    return p;
}

/* a [m, k], b [k, n] as its rows or, across, as its transpose's. */
static void check(size_t m, size_t n, size_t k, bool across, bool bf16)
{
    size_t lda = padded(k), ldb = padded(across ? k : n), ldc = n + 3;
    float *a = randoms(m, k, lda), *b = across ? randoms(n, k, ldb) : randoms(k, n, ldb);
    float *c = xcalloc(m * ldc, sizeof *c), *want = xcalloc(m * ldc, sizeof *want);
    for (size_t i = 0; i < m * ldc; i++)
        want[i] = c[i] = (float)(i % 7);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            for (size_t l = 0; l < k; l++)
                want[i * ldc + j] += a[i * lda + l] * (across ? b[j * ldb + l] : b[l * ldb + j]);
    uint16_t *a16 = halves(a, padded(m) * lda), *b16 = halves(b, padded(across ? n : k) * ldb);
    uint32_t *panels = xcalloc(tile_panel_words(k, n), sizeof *panels);
    struct tile_left left = {bf16 ? (void *)a16 : a, lda, bf16, false};
    struct tile_right right = {b, ldb, false, across};
    if (bf16)
        right = across ? tile_across(b16, ldb, k, n, panels) : tile_along(b16, ldb, k, n, panels);
    tile_multiply(&left, &right, m, n, k, c, ldc, true);
    char what[200];
    snprintf(what, sizeof what, "%s: [%zu, %zu] over %zu%s, and nothing beside it",
             bf16 ? "bf16" : "fp32", m, n, k, across ? ", turned" : "");
    tap_close(what, c, want, m * ldc, 1e-5 * (double)k + 1e-5);
    free(a), free(b), free(c), free(want), free(a16), free(b16), free(panels);
}

static void check_turn(size_t rows, size_t cols)
{
    size_t ld = cols + 5, ldo = padded(rows), wide = padded(cols);
    float *x = randoms(rows, cols, ld);
    uint16_t *x16 = halves(x, padded(rows) * ld), *out = xcalloc(wide * ldo, sizeof *out);
    tile_turn_bf16(x16, ld, rows, cols, out, ldo);
    bool same = true;
    for (size_t i = 0; i < ldo; i++)
        for (size_t j = 0; j < cols; j++)
            same = same && out[j * ldo + i] == (i < rows ? x16[i * ld + j] : 0);
    tap_ok(same, "[%zu, %zu] turned, zeros behind it", rows, cols);
    free(x), free(x16), free(out);
}

int main(void)
{
    static const size_t sizes[][3] = {{256, 64, 64}, {1, 1, 2},    {7, 33, 6},
                                      {64, 64, 200}, {37, 16, 24}, {20, 48, 256}};
    rng_init(&rng, 5, 1);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (int across = 0; across < 2; across++) {
            check(sizes[i][0], sizes[i][1], sizes[i][2], across, false);
            if (backend_available(BACKEND_BF16))
                check(sizes[i][0], sizes[i][1], sizes[i][2], across, true);
        }
    float x[48 * 32], y[32 * 48], want[32 * 48];
    for (size_t i = 0; i < 48 * 32; i++)
        x[i] = want[i % 32 * 48 + i / 32] = (float)i;
    tile_turn(x, 32, 48, 32, y, 48);
    tap_close("float32 [48, 32] turned", y, want, 32 * 48, 0);
    if (backend_available(BACKEND_BF16)) {
        check_turn(64, 64);
        check_turn(33, 20);
        check_turn(1, 2);
    }
    return tap_done();
}
