/*
 * operand: an array of activations in the type that the backend multiplies with.
 *
 * float32 for fp32, bfloat16 for bf16: half the memory, and what the product rounds to anyway. Only
 * whole rows move between an operand and floats.
 */
#ifndef COMPUTE_OPERAND_H
#define COMPUTE_OPERAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct operand {
    void *p; /* float or uint16_t (bfloat16), [rows, cols] */
    size_t cols;
    bool bf16;
};

static inline size_t operand_size(bool bf16)
{
    return bf16 ? sizeof(uint16_t) : sizeof(float);
}

/* Zeroed; released with free(o->p). */
int operand_new(struct operand *o, size_t rows, size_t cols, bool bf16, const char *what,
                struct err *err);

static inline float *operand_f32(const struct operand *o, size_t row)
{
    return (float *)o->p + row * o->cols;
}

static inline uint16_t *operand_bf16(const struct operand *o, size_t row)
{
    return (uint16_t *)o->p + row * o->cols;
}

void floats_to_bf16(const float *in, uint16_t *out, size_t n); /* to nearest even */
void bf16_to_floats(const uint16_t *in, float *out, size_t n);

/* n values from column col of a row. */
void operand_store(const struct operand *o, size_t row, size_t col, const float *in, size_t n);
void operand_load(const struct operand *o, size_t row, size_t col, float *out, size_t n);
/* The row as floats: in place where it is float32, else copied to tmp [cols]. */
const float *operand_row(const struct operand *o, size_t row, float *tmp);

#endif
