/*
 * dtype_blocks: ggml's block formats, for the table in dtype.c.
 *
 * The layouts are those of ggml's ggml-common.h (block_q8_0 ... block_q6_K); numbers inside are
 * little-endian. Quantisers do the arithmetic of ggml's reference quantisers in the same order in
 * float32, so that the bytes are the same as llama.cpp's and gguf-py's.
 */
#ifndef FORMATS_DTYPE_BLOCKS_H
#define FORMATS_DTYPE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum {
    QK = 32,    /* numbers in a block of the simple types */
    QK_K = 256, /* and of the K types */
    Q8_0_BYTES = 2 + QK,
    Q4_0_BYTES = 2 + QK / 2,
    Q4_1_BYTES = 4 + QK / 2,
    Q5_0_BYTES = 2 + 4 + QK / 2,
    Q5_1_BYTES = 4 + 4 + QK / 2,
    Q2_K_BYTES = QK_K / 16 + QK_K / 4 + 4,
    Q3_K_BYTES = QK_K / 8 + QK_K / 4 + 12 + 2,
    Q4_K_BYTES = 4 + 12 + QK_K / 2,
    Q5_K_BYTES = 4 + 12 + QK_K / 8 + QK_K / 2,
    Q6_K_BYTES = QK_K / 2 + QK_K / 4 + QK_K / 16 + 2,
    IQ4_NL_BYTES = 2 + QK / 2,
};

extern const int8_t iq4_nl_values[16]; /* what its nibbles choose among */

void q8_0_to_float(const void *in, float *out, size_t n);
void q4_0_to_float(const void *in, float *out, size_t n);
void q4_1_to_float(const void *in, float *out, size_t n);
void q5_0_to_float(const void *in, float *out, size_t n);
void q5_1_to_float(const void *in, float *out, size_t n);
void q2_k_to_float(const void *in, float *out, size_t n);
void q3_k_to_float(const void *in, float *out, size_t n);
void q4_k_to_float(const void *in, float *out, size_t n);
void q5_k_to_float(const void *in, float *out, size_t n);
void q6_k_to_float(const void *in, float *out, size_t n);
void iq4_nl_to_float(const void *in, float *out, size_t n);

void q8_0_from_float(const float *in, void *out, size_t n);
void q4_0_from_float(const float *in, void *out, size_t n);
void q4_1_from_float(const float *in, void *out, size_t n);
void q5_0_from_float(const float *in, void *out, size_t n);
void q5_1_from_float(const float *in, void *out, size_t n);
void q2_k_from_float(const float *in, void *out, size_t n);
void q3_k_from_float(const float *in, void *out, size_t n);
void q4_k_from_float(const float *in, void *out, size_t n);
void q5_k_from_float(const float *in, void *out, size_t n);
void q6_k_from_float(const float *in, void *out, size_t n);

#endif
