/* The bfloat16 backend (AVX512-BF16). */
#include "compute/gemm_backend.h"

const struct gemm_ops gemm_bf16_ops = {.bf16 = true};
