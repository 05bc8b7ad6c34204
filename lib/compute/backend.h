/*
 * backend: which arithmetic the matrix products use.
 *
 * fp32 is the reference: float32 throughout, through OpenBLAS. bf16 rounds the operands of matrix
 * products to bfloat16 and accumulates in float32 (AVX512-BF16); it is offered where the CPU has
 * it.
 */
#ifndef COMPUTE_BACKEND_H
#define COMPUTE_BACKEND_H

#include <stdbool.h>

enum backend { BACKEND_FP32, BACKEND_BF16, BACKEND_AUTO };

extern const char *const backend_choices[]; /* "fp32", "bf16", "auto": for OPT_CHOICE */
bool backend_available(enum backend backend);

#endif
