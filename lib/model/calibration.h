/*
 * calibration: whether a model is right as often as it is sure.
 *
 * Targets are put into bins of equal width by the probability of the likeliest token; a bin is the
 * interval (low, high], as in Guo et al. 2017 (arXiv:1706.04599, section 2), and the expected
 * calibration error is the mean of |accuracy - confidence| over bins, weighted by their targets.
 */
#ifndef MODEL_CALIBRATION_H
#define MODEL_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "model/evaluation.h"

enum { CALIBRATION_MAX_BINS = 1000 };

struct calibration_bin {
    uint64_t tokens;
    double confidence, accuracy; /* means; NaN in an empty bin */
};

struct calibration {
    struct calibration_bin *bins; /* [n_bins] */
    size_t n_bins;
    double expected_error, largest_error; /* over bins */
    struct ratio accuracy;                /* of the likeliest token; stderr by documents */
};

/* Of a joined evaluation whose documents have been measured; 1 to CALIBRATION_MAX_BINS bins. */
void calibration_summarize(const struct evaluation *e, size_t n_bins, struct calibration *c);
void calibration_release(struct calibration *c);

#endif
