/* noise: its distribution, and that it is found again. */
#include "tap.h"

#include <math.h>

#include "base/mem.h"
#include "compute/noise.h"

enum { ROWS = 200, N = 101 };

static void add(float *x, uint64_t key, uint64_t stream)
{
    for (size_t row = 0; row < ROWS; row++)
        noise_row(x + row * N, N, 0.5f, key, stream, row);
}

int main(void)
{
    const size_t n = ROWS * N;
    float *x = xcalloc(4 * n, sizeof *x), *again = x + n, *other = again + n, *stream = other + n;
    double sum = 0, squares = 0, neighbours = 0, worst = 0;
    add(x, 7, 1);
    add(again, 7, 1);
    add(other, 8, 1);
    add(stream, 7, 2);
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        neighbours += i ? (double)x[i] * (double)x[i - 1] : 0;
        worst = fmax(worst, fabs((double)x[i]));
    }
    /* Uniform in [-0.5, 0.5): variance 1/12; five standard errors of each mean. */
    const double root = sqrt((double)n);
    tap_ok(worst <= 0.5 && worst > 0.499, "within its size (%g)", worst);
    tap_ok(fabs(sum / (double)n) < 5 * sqrt(1 / 12.0) / root, "mean 0");
    tap_ok(fabs(squares / (double)n - 1 / 12.0) < 5 * sqrt(1 / 180.0) / root, "variance 1/12");
    tap_ok(fabs(neighbours / (double)n) < 5 / 12.0 / root, "neighbours are independent");
    tap_ok(!memcmp(x, again, n * sizeof *x), "the same key, stream and row: the same noise");
    size_t same = 0;
    for (size_t i = 0; i < n; i++)
        same += x[i] == other[i] || x[i] == stream[i];
    tap_ok(same < 10, "another key or stream: other noise");
    noise_row(again, N, 0.5f, 7, 1, 0);
    bool added = true;
    for (size_t i = 0; i < N; i++)
        added = added && again[i] == 2 * x[i];
    tap_ok(added, "noise is added to what is there");
    free(x);
    return tap_done();
}
