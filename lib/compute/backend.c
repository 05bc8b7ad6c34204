#include "compute/backend.h"

#include <stddef.h>

const char *const backend_choices[] = {"fp32", "bf16", "auto", NULL};

bool backend_available(enum backend backend)
{
    if (backend != BACKEND_BF16)
        return true;
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}
