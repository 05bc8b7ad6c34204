/*
 * mem: allocation that does not come back empty-handed, and checked sizes.
 *
 * The x-functions end the program with one line on stderr when memory is out:
 * they serve small things whose size the program chose. Sizes that come from a
 * file, and large arrays, go through mem_array, which fails with a message.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* Grows to n items of the given size, checked for overflow. */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xmemdup0(const void *p, size_t len); /* a copy with a NUL behind it */

/* *out = a * b or a + b; false on overflow. */
bool size_mul(size_t a, size_t b, size_t *out);
bool size_add(size_t a, size_t b, size_t *out);

/*
 * n * size zeroed bytes aligned to 64, with huge pages asked for when large. NULL with a message
 * naming `what` if the product overflows or memory is out. Released with free().
 */
void *mem_array(size_t n, size_t size, const char *what, struct err *err);
/* Bytes of memory that such an array takes; SIZE_MAX if they are more than can be addressed. */
size_t mem_array_bytes(size_t n, size_t size);

/* The next multiple of unit. */
static inline size_t size_round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Peak resident set of this process in bytes, and the current one; 0 where unknown. */
size_t mem_peak_rss(void);
size_t mem_rss(void);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Makes room for one more item in a growing array: ARRAY_GROW(list, n, cap); list[n++] = item; */
#define ARRAY_GROW(p, n, cap)                                                                      \
    do {                                                                                           \
        if ((n) >= (cap)) {                                                                        \
            (cap) = (cap) ? (cap) + (cap) / 2 : 16;                                                \
            if ((cap) < (n) + 1)                                                                   \
                (cap) = (n) + 1;                                                                   \
            (p) = xreallocarray((p), (cap), sizeof *(p));                                          \
        }                                                                                          \
    } while (0)

#endif
