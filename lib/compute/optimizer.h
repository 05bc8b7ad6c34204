/*
 * optimizer: the optimisers that a run can choose from, by one interface: AdamW (compute/adamw.h)
 * and Lion (compute/lion.h).
 */
#ifndef COMPUTE_OPTIMIZER_H
#define COMPUTE_OPTIMIZER_H

#include "base/err.h"
#include "compute/adamw.h"

enum optimizer_kind {
    OPTIMIZER_ADAMW, /* m and v: 8 bytes a parameter */
    OPTIMIZER_LION,  /* m: 4 bytes */
};
extern const char *const optimizer_choices[]; /* "adamw", "lion": for OPT_CHOICE */

struct optimizer_settings {
    enum optimizer_kind kind;
    double beta1, beta2, eps, weight_decay; /* eps: AdamW's */
};

struct optimizer {
    enum optimizer_kind kind;
    struct adamw adamw; /* Lion has its settings and m there; v is NULL */
};

int optimizer_init(struct optimizer *o, const struct optimizer_settings *settings, size_t n,
                   struct err *err);
void optimizer_release(struct optimizer *o);
/* Bytes for n parameters. */
size_t optimizer_bytes(enum optimizer_kind kind, size_t n);

/* A step begins, then parameters [first, first + count) of p are updated with the gradient scale *
 * g, each once or not at all. */
void optimizer_begin(struct optimizer *o);
void optimizer_update(struct optimizer *o, size_t first, size_t count, float *p, const float *g,
                      double scale, double lr);

#endif
