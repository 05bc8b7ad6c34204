/*
 * schedule: the learning rate of each optimiser step.
 *
 * With steps N, warm-up W and k = 0..N-1: lr*k/W while k < W (so a warm-up begins at 0), then
 *     constant  lr
 *     linear    lr * (N-k) / (N-W)
 *     cosine    lr * (1 + cos(pi * (k-W) / (N-W))) / 2
 *     wsd       lr, and over the last D steps lr * (N-k) / D (warm-up, stable, decay:
 *               Hu et al. 2024, arXiv:2404.06395)
 * constant, linear and cosine are those of transformers.
 */
#ifndef COMPUTE_SCHEDULE_H
#define COMPUTE_SCHEDULE_H

#include <stdint.h>

#include "base/err.h"

enum schedule_kind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_WSD };

extern const char *const schedule_choices[]; /* in that order: for OPT_CHOICE */

struct schedule {
    enum schedule_kind kind;
    double lr;
    uint64_t steps;  /* N */
    uint64_t warmup; /* W <= N */
    uint64_t decay;  /* D <= N - W: wsd only */
};

double schedule_lr(const struct schedule *s, uint64_t step);

/*
 * A length as a user gives it: "20" steps, "3%" or "0.03" of `steps` (rounded up). Fails if it is
 * none of these or longer than `steps`.
 */
int schedule_length(const char *text, uint64_t steps, uint64_t *length, struct err *err);

#endif
