#include "compute/row_product.h"

#include <stdbool.h>

#include "base/mem.h"
#include "compute/row_product_kernels.h"

static const struct row_kernels plain = {.name = "plain"};

#if defined(__x86_64__)
#include <cpuid.h>

static const struct row_kernels *const all[] = {&row_kernels_avx512, &row_kernels_avx2, &plain};

/* Not every compiler's __builtin_cpu_supports knows of it. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static size_t first_supported(void)
{
    __builtin_cpu_init();
    bool f16c = __builtin_cpu_supports("avx2") && has_f16c();
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return f16c ? wide ? 0 : 1 : 2;
}
#else
static const struct row_kernels *const all[] = {&plain};

static size_t first_supported(void)
{
    return 0;
}
#endif

const struct row_kernels *const *row_kernels_all(size_t *n)
{
    size_t first = first_supported();
    *n = ARRAY_SIZE(all) - first;
    return all + first;
}

const struct row_kernels *row_kernels(void)
{
    return all[first_supported()];
}
