/*
 * accuracy: a mean over questions and how far off it may be.
 */
#ifndef MODEL_ACCURACY_H
#define MODEL_ACCURACY_H

#include <stddef.h>

/* stderr_ is sqrt(sum of (v - mean)^2 / (n - 1) / n), for a share m of right answers
 * sqrt(m (1 - m) / (n - 1)); NaN with one. */
struct accuracy {
    double mean, stderr_;
};
struct accuracy accuracy_of(const double *v, size_t n);

#endif
