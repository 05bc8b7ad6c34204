#include "base/mem.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The one place in the library that ends the program: there is no memory left to report with. */
static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "%s: out of memory (%zu bytes asked for)\n", program_invocation_short_name,
            size);
    exit(1);
}

void *xmalloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *xrealloc(void *p, size_t size)
{
    p = realloc(p, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes))
        out_of_memory(SIZE_MAX);
    return xrealloc(p, bytes);
}

char *xstrdup(const char *s)
{
    return xmemdup0(s, strlen(s));
}

char *xmemdup0(const void *p, size_t len)
{
    char *copy = xmalloc(len + 1);
    if (len)
        memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

enum { ALIGN = 64, HUGE_PAGE = 2 << 20 };

static size_t array_align(size_t bytes)
{
    return bytes >= 2 * (size_t)HUGE_PAGE ? HUGE_PAGE : ALIGN;
}

size_t mem_array_bytes(size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes) || bytes > SIZE_MAX / 2)
        return SIZE_MAX;
    return size_round_up(bytes ? bytes : 1, array_align(bytes));
}

void *mem_array(size_t n, size_t size, const char *what, struct err *err)
{
    const size_t bytes = mem_array_bytes(n, size);
    if (bytes == SIZE_MAX) {
        err_set(err, "%s: %zu x %zu bytes are more than can be addressed", what, n, size);
        return NULL;
    }
    const size_t align = array_align(bytes);
    void *p = aligned_alloc(align, bytes);
    if (!p) {
        err_set(err, "%s: no memory for %zu MiB", what, bytes >> 20);
        return NULL;
    }
    if (align == HUGE_PAGE)
        madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return p;
}

size_t mem_peak_rss(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (size_t)usage.ru_maxrss << 10;
}

size_t mem_rss(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    size_t total, resident = 0;
    if (!f)
        return 0;
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's numbers fit. */
    if (fscanf(f, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}
