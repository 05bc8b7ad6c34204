/*
 * divergence: how far a model's distributions are from another's, summed up over documents.
 */
#ifndef MODEL_DIVERGENCE_H
#define MODEL_DIVERGENCE_H

#include <stddef.h>

#include "model/evaluation.h"

/* Quantiles of the divergences of single tokens, between neighbours in proportion. */
enum { DIVERGENCE_QUANTILES = 5 };
extern const char *const divergence_quantile_names[]; /* "median", "q90", ..., "max" */

struct divergence {
    struct ratio kl;         /* mean over targets; stderr by documents, NaN with fewer than 2 */
    double kl_stderr_tokens; /* as if tokens were independent of each other */
    double low, high;        /* of the mean, 1.96 standard errors by documents away */
    double quantiles[DIVERGENCE_QUANTILES];
    struct ratio same_top; /* share of targets whose likeliest token is the same */
    double same_top_stderr_tokens;
    struct ratio delta; /* of p of the token that comes */
    double rms_delta;
};

/* Of a joined evaluation whose documents have been measured against another model. */
void divergence_summarize(const struct evaluation *e, struct divergence *d);

#endif
