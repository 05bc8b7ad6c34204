#include "model/spike.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const spike_choices[] = {"ignore", "stop", "skip", NULL};

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Reorders x [n]; n > 0. */
static double median(double *x, size_t n)
{
    qsort(x, n, sizeof *x, ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void spike_usual(const struct spike_memory *m, double *loss, double *distance)
{
    const double deviation_of_median = 1.4826, least = 0.01;
    double x[SPIKE_WINDOW];
    *loss = *distance = 0;
    if (!m->n)
        return;
    memcpy(x, m->losses, m->n * sizeof *x);
    *loss = median(x, m->n);
    for (size_t i = 0; i < m->n; i++)
        x[i] = fabs(m->losses[i] - *loss);
    *distance = fmax(deviation_of_median * median(x, m->n), least * fabs(*loss));
}

bool spike_found(const struct spike_memory *m, double loss, double factor)
{
    double usual, distance;
    if (m->n < SPIKE_KNOWS)
        return false;
    spike_usual(m, &usual, &distance);
    return loss - usual > factor * distance;
}

void spike_learn(struct spike_memory *m, double loss)
{
    if (m->n == SPIKE_WINDOW)
        memmove(m->losses, m->losses + 1, --m->n * sizeof *m->losses);
    m->losses[m->n++] = loss;
    m->in_row = 0;
}

void spike_leave_out(struct spike_memory *m)
{
    m->left_out++;
    m->in_row++;
}
