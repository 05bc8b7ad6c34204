/* Dropout: its share, its scale, and that a mask is found again and differs between rows. */
#include "tap.h"

#include "compute/dropout.h"

enum { N = 1023, ROWS = 64 }; /* N is no multiple of the generator's block */

static float x[ROWS][N];

static void fill(uint64_t key)
{
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t k = 0; k < N; k++)
            x[row][k] = 1;
        dropout_row(x[row], N, 0.25, key, 7, row);
    }
}

int main(void)
{
    static float first[ROWS][N];
    size_t kept = 0, wrong = 0, by_lane[4] = {0};
    fill(1);
    memcpy(first, x, sizeof x);
    for (size_t row = 0; row < ROWS; row++)
        for (size_t k = 0; k < N; k++) {
            bool keep = x[row][k] != 0;
            kept += keep;
            by_lane[k % 4] += keep;
            wrong += keep && fabsf(x[row][k] - 1 / 0.75f) > 1e-6f;
        }
    double share = (double)kept / (N * ROWS);
    tap_ok(fabs(share - 0.75) < 0.01, "three quarters are kept (%.4f)", share);
    for (size_t lane = 0; lane < 4; lane++) {
        double part = (double)by_lane[lane] / (N * ROWS / 4.0);
        tap_ok(fabs(part - 0.75) < 0.02, "also of every fourth value from %zu on (%.4f)", lane,
               part);
    }
    tap_is_u64("what is kept is scaled by 1 / (1 - p)", wrong, 0);
    tap_ok(memcmp(x[0], x[1], sizeof x[0]) != 0, "rows have masks of their own");
    tap_ok(memcmp(x[0], x[1] + 1, 512 * sizeof(float)) != 0, "and not the neighbour's, moved");
    fill(1);
    tap_ok(!memcmp(first, x, sizeof x), "the same key gives the same mask");
    fill(2);
    tap_ok(memcmp(first, x, sizeof x) != 0, "another key gives another");
    return tap_done();
}
