#include "model/calibration.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static size_t bin_of(double confidence, size_t n_bins)
{
    double at = ceil(confidence * (double)n_bins) - 1;
    return at <= 0 ? 0 : size_min((size_t)at, n_bins - 1);
}

/* Sums become means, and what the bins say together. */
static void settle(struct calibration *c)
{
    double n = 0, weighted = 0;
    for (size_t i = 0; i < c->n_bins; i++) {
        struct calibration_bin *bin = &c->bins[i];
        double tokens = (double)bin->tokens;
        bin->confidence = bin->tokens ? bin->confidence / tokens : NAN;
        bin->accuracy = bin->tokens ? bin->accuracy / tokens : NAN;
        if (!bin->tokens)
            continue;
        double error = fabs(bin->accuracy - bin->confidence);
        weighted += error * tokens;
        n += tokens;
        if (error > c->largest_error)
            c->largest_error = error;
    }
    c->expected_error = n > 0 ? weighted / n : NAN;
}

void calibration_summarize(const struct evaluation *e, size_t n_bins, struct calibration *c)
{
    double *right = xcalloc(e->n + 1, sizeof *right);
    *c = (struct calibration){.bins = xcalloc(n_bins, sizeof *c->bins), .n_bins = n_bins};
    for (size_t i = 0; i < e->n; i++)
        for (size_t t = 0; t < e->documents[i].n_measured; t++) {
            const struct measured_token *token = &e->documents[i].measured[t];
            struct calibration_bin *bin = &c->bins[bin_of((double)token->confidence, n_bins)];
            bin->tokens++;
            bin->confidence += (double)token->confidence;
            bin->accuracy += token->right;
            right[i] += token->right;
        }
    c->accuracy = evaluation_ratio(e, right);
    free(right);
    settle(c);
}

void calibration_release(struct calibration *c)
{
    free(c->bins);
    *c = (struct calibration){0};
}
