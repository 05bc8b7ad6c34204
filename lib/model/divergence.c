#include "model/divergence.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

const char *const divergence_quantile_names[] = {"median", "q90", "q99", "q999", "max", NULL};
static const double shares[DIVERGENCE_QUANTILES] = {0.5, 0.9, 0.99, 0.999, 1};

static double divergence_of(const struct measured_token *t)
{
    return (double)t->divergence;
}

static double delta_of(const struct measured_token *t)
{
    return (double)t->delta;
}

static double same_top_of(const struct measured_token *t)
{
    return t->same_top ? 1 : 0;
}

/* The mean over targets, with its error by documents, and by tokens if wanted. */
static struct ratio mean_of(const struct evaluation *e,
                            double (*value)(const struct measured_token *), double *stderr_tokens)
{
    double *sums = xcalloc(e->n + 1, sizeof *sums), squares = 0, n = 0;
    for (size_t i = 0; i < e->n; i++)
        for (size_t t = 0; t < e->documents[i].n_measured; t++)
            sums[i] += value(&e->documents[i].measured[t]);
    struct ratio r = evaluation_ratio(e, sums);
    free(sums);
    for (size_t i = 0; i < e->n; i++)
        for (size_t t = 0; t < e->documents[i].n_measured; t++, n++)
            squares += pow(value(&e->documents[i].measured[t]) - r.mean, 2);
    if (stderr_tokens)
        *stderr_tokens = n > 1 ? sqrt(squares / (n - 1) / n) : NAN;
    return r;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void find_quantiles(const struct evaluation *e, double out[DIVERGENCE_QUANTILES])
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < e->n; i++)
        n += e->documents[i].n_measured;
    float *all = xreallocarray(NULL, n + 1, sizeof *all);
    for (size_t i = 0; i < e->n; i++)
        for (size_t t = 0; t < e->documents[i].n_measured; t++)
            all[at++] = e->documents[i].measured[t].divergence;
    qsort(all, n, sizeof *all, compare_floats);
    for (size_t q = 0; q < DIVERGENCE_QUANTILES; q++) {
        double place = shares[q] * ((double)n - 1);
        size_t below = n ? (size_t)place : 0, above = below + 1 < n ? below + 1 : below;
        double part = place - (double)below;
        out[q] = n ? (double)all[below] * (1 - part) + (double)all[above] * part : NAN;
    }
    free(all);
}

void divergence_summarize(const struct evaluation *e, struct divergence *d)
{
    d->kl = mean_of(e, divergence_of, &d->kl_stderr_tokens);
    d->low = d->kl.mean - 1.96 * d->kl.stderr_;
    d->high = d->kl.mean + 1.96 * d->kl.stderr_;
    d->same_top = mean_of(e, same_top_of, &d->same_top_stderr_tokens);
    d->delta = mean_of(e, delta_of, NULL);
    double squares = 0, n = 0;
    for (size_t i = 0; i < e->n; i++)
        for (size_t t = 0; t < e->documents[i].n_measured; t++, n++)
            squares += pow((double)e->documents[i].measured[t].delta, 2);
    d->rms_delta = n > 0 ? sqrt(squares / n) : NAN;
    find_quantiles(e, d->quantiles);
}
