/*
 * allocate: to be preloaded; makes one allocation of a program fail.
 *
 * FAULT_SIZE  allocations of fewer bytes don't count
 * FAULT_N     the Nth of the others fails; where FAULT_REST is set, all after it, too
 * FAULT_FILE  gets their number when the program ends
 *
 * Counting begins when the program reads its options: what the loader and libraries allocate
 * before isn't its own. Nor is counted what libarchive allocates, see there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

static atomic_bool counting;
static atomic_ullong count;
static unsigned long long fail_at, least;
static bool fail_rest;

static unsigned long long number(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

int getopt_long(int argc, char *const *argv, const char *letters, const struct option *options,
                int *index)
{
    static int (*real)(int, char *const *, const char *, const struct option *, int *);
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "getopt_long");
        least = number("FAULT_SIZE");
        fail_at = number("FAULT_N");
        fail_rest = getenv("FAULT_REST") != NULL;
        counting = true;
    }
    return real(argc, argv, letters, options, index);
}

/* libarchive doesn't look whether it got what it asked for, and calls what zlib and its like could
 * not get damage. */
static bool is_excused(const void *caller)
{
    Dl_info at;
    return dladdr(caller, &at) && at.dli_fname &&
           (strstr(at.dli_fname, "/libarchive") || strstr(at.dli_fname, "/libz") ||
            strstr(at.dli_fname, "/liblz"));
}

static bool fails(size_t size, const void *caller)
{
    if (!counting || size < least || is_excused(caller))
        return false;
    unsigned long long n = ++count;
    if (!fail_at || n < fail_at || (n > fail_at && !fail_rest))
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(n * size, __builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return size && fails(size, __builtin_return_address(0)) ? NULL : __libc_realloc(p, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(align, size);
}

int posix_memalign(void **p, size_t align, size_t size)
{
    if (fails(size, __builtin_return_address(0)))
        return ENOMEM;
    *p = __libc_memalign(align, size);
    return *p ? 0 : ENOMEM;
}

__attribute__((destructor)) static void tell(void)
{
    char text[32];
    const char *path = getenv("FAULT_FILE");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd < 0)
        return;
    int len = snprintf(text, sizeof text, "%llu\n", (unsigned long long)count);
    if (write(fd, text, (size_t)len) != len)
        _exit(125);
    close(fd);
}
