/* What bfloat16's attention does to a tile of scores in one go, against the several goes that
 * float32's has. */
#include "tap.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/attention_bf16.h"
#include "compute/backend.h"
#include "compute/operand.h"
#include "compute/tile.h"

enum { SIZE = KEY_TILE * QUERY_TILE };

static struct rng rng;
static float scores[SIZE], more[SIZE], want[SIZE], got[SIZE];
static float column[QUERY_TILE], other[QUERY_TILE];
static uint16_t rows[SIZE];
static uint32_t panels[SIZE], want_panels[SIZE];

static void fill(float *x, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * rng_normal(&rng));
}

/* Panels of `tile`, made by rounding it first, into want_panels. */
static bool panels_are(const float *tile, size_t nk, size_t columns)
{
    uint16_t rounded[SIZE];
    floats_to_bf16(tile, rounded, nk * QUERY_TILE);
    tile_along(rounded, QUERY_TILE, nk, columns, want_panels);
    for (size_t q = 0; q < columns; q += 32)
        for (size_t k = 0; k < (nk + 1) / 2; k++) {
            size_t at = (q / 32 * ((nk + 1) / 2) + k) * 32;
            size_t width = columns - q < 32 ? columns - q : 32;
            if (memcmp(panels + at, want_panels + at, width * sizeof *panels))
                return false;
        }
    return true;
}

/* Exponents are up to some hundred, of which float32 has 1e-6 left; rounding takes up to 1/256. */
static void check_exp(size_t nk, size_t columns)
{
    float sum[QUERY_TILE] = {0}, want_sum[QUERY_TILE] = {0};
    float products[QUERY_TILE] = {0};
    fill(scores, SIZE, 30);
    fill(column, QUERY_TILE, 1);
    scores[0] = scores[(nk - 1) * QUERY_TILE + columns - 1] = -INFINITY;
    for (size_t q = 0; q < QUERY_TILE; q++)
        column[q] += 9;
    memcpy(want, scores, sizeof want);
    tile_exp(want, nk, columns, 0.1f, column, want_sum);
    bf16_tile_exp(scores, nk, columns, 0.1f, column, sum, panels);
    float most = 1e-30f;
    for (size_t q = 0; q < columns; q++)
        most = want_sum[q] > most ? want_sum[q] : most;
    tap_close("sums of exponentials", sum, want_sum, columns, 1e-6 * (double)most);

    /* Times a row of ones, panels give the columns' sums, of what was rounded. */
    uint16_t one[KEY_TILE];
    for (size_t i = 0; i < KEY_TILE; i++)
        one[i] = 0x3f80;
    struct tile_left left = {one, KEY_TILE, true, false};
    struct tile_right right = tile_panels(panels, nk);
    tile_multiply(&left, &right, 1, columns, nk, products, QUERY_TILE, false);
    tap_close("panels of exponentials", products, want_sum, columns, 4e-3 * (double)most);
}

static void check_back(size_t nk, size_t columns)
{
    fill(scores, SIZE, 30);
    fill(more, SIZE, 1);
    fill(column, QUERY_TILE, 1);
    fill(other, QUERY_TILE, 1);
    for (size_t q = 0; q < QUERY_TILE; q++)
        column[q] += 9;
    scores[3] = -INFINITY;
    column[columns - 1] = INFINITY;
    memcpy(want, scores, sizeof want);
    tile_weights(want, nk, columns, 0.1f, column);
    bf16_tile_weights(scores, nk, columns, 0.1f, column, rows);
    double worst = 0;
    bool rounded = true;
    for (size_t j = 0; j < nk; j++)
        for (size_t q = 0; q < columns; q++) {
            size_t at = j * QUERY_TILE + q;
            uint16_t r;
            floats_to_bf16(&scores[at], &r, 1);
            rounded = rounded && r == rows[at];
            worst = fmax(worst,
                         fabs((double)scores[at] - (double)want[at]) / ((double)want[at] + 1e-30));
        }
    tap_ok(worst < 4e-6, "weights of %zu keys, %zu queries: %g off", nk, columns, worst);
    tap_ok(scores[3] == 0 && scores[columns - 1] == 0, "what is hidden has no weight");
    tap_ok(rounded, "the same rounded");

    memcpy(got, more, sizeof got);
    tile_softmax_backward(got, scores, nk, columns, 0.1f, other);
    bf16_tile_softmax_backward(more, scores, nk, columns, 0.1f, other, rows, panels);
    bool same = true;
    for (size_t j = 0; j < nk; j++) {
        uint16_t row[QUERY_TILE];
        floats_to_bf16(got + j * QUERY_TILE, row, QUERY_TILE);
        for (size_t q = 0; q < columns; q++) {
            /* Products of three numbers in another order. */
            int off = (int)row[q] - (int)rows[j * QUERY_TILE + q];
            same = same && off >= -1 && off <= 1;
        }
    }
    tap_ok(same, "gradients of scores");
    for (size_t i = 0; i < nk * QUERY_TILE; i++)
        bf16_to_floats(&rows[i], &got[i], 1);
    tap_ok(panels_are(got, nk, columns), "the same in panels");
}

static void check_max(size_t nk, size_t columns)
{
    fill(scores, SIZE, 3);
    fill(column, QUERY_TILE, 1);
    memcpy(other, column, sizeof other);
    scores[5] = -INFINITY;
    tile_max(scores, nk, columns, column);
    bf16_tile_max(scores, nk, columns, other);
    tap_ok(!memcmp(column, other, columns * sizeof *column), "maxima of %zu keys", nk);
}

int main(void)
{
    static const size_t sizes[][2] = {{KEY_TILE, QUERY_TILE}, {1, 16}, {33, 48}, {64, 32}, {7, 64}};
    rng_init(&rng, 6, 1);
    if (!backend_available(BACKEND_BF16)) {
        printf("1..0 # SKIP this CPU has no AVX512-BF16\n");
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        check_max(sizes[i][0], sizes[i][1]);
        check_exp(sizes[i][0], sizes[i][1]);
        check_back(sizes[i][0], sizes[i][1]);
    }
    return tap_done();
}
