/*
 * tap: the least that a unit test needs, in the Test Anything Protocol.
 *
 *     int main(void) { tap_is_u64("sum", 2 + 2, 4); return tap_done(); }
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count, tap_failures;

__attribute__((format(printf, 2, 3), unused)) static bool tap_ok(bool ok, const char *fmt, ...)
{
    va_list ap;
    printf("%s %d - ", ok ? "ok" : "not ok", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    tap_failures += !ok;
    return ok;
}

__attribute__((unused)) static bool tap_is_u64(const char *name, uint64_t got, uint64_t want)
{
    bool ok = tap_ok(got == want, "%s", name);
    if (!ok)
        printf("# got %" PRIu64 ", want %" PRIu64 "\n", got, want);
    return ok;
}

__attribute__((unused)) static bool tap_is_str(const char *name, const char *got, const char *want)
{
    bool ok = tap_ok(!strcmp(got, want), "%s", name);
    if (!ok)
        printf("# got  \"%s\"\n# want \"%s\"\n", got, want);
    return ok;
}

/* Largest absolute difference at most tol; says where and how far off it was. */
__attribute__((unused)) static bool tap_close(const char *name, const float *got, const float *want,
                                              size_t n, double tol)
{
    size_t worst = 0;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        if (!(d <= most)) {
            most = d;
            worst = i;
        }
    }
    bool ok = tap_ok(most <= tol, "%s (largest difference %.3g, allowed %.3g)", name, most, tol);
    if (!ok)
        printf("# at %zu: got %.9g, want %.9g\n", worst, (double)got[worst], (double)want[worst]);
    return ok;
}

/* A test that cannot run here says why; prove reports it as skipped. */
__attribute__((unused)) static int tap_skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    return 0;
}

__attribute__((unused)) static int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures ? 1 : 0;
}

#endif
