/*
 * sandbox_calls: the system calls that a sandbox has no use for, and what holds for all threads.
 * Private to lib/base/sandbox*.c.
 */
#ifndef BASE_SANDBOX_CALLS_H
#define BASE_SANDBOX_CALLS_H

#include <stdbool.h>

#include "base/err.h"

/* Sanitizers look for leaks by tracing the process, which a sandbox is there to prevent. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANDBOX_NOT_HERE
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define SANDBOX_NOT_HERE
#endif
#endif

/* Programs that are run get no more rights than this one: a condition for all that follows. */
int sandbox_no_new_privileges(void);

/* Has each thread of the process call f once: libraries start threads before main() does anything,
 * and Landlock is a thread's own. Fails where f returned other than 0 (its errno says why) or a
 * thread doesn't answer. */
int sandbox_in_all_threads(int (*f)(const void *arg), const void *arg, struct err *err);

/* No sockets, tracing, mounting and the like in any thread; they fail with EPERM. `runs`: programs
 * may be run. */
int sandbox_limit_calls(bool runs);

#endif
