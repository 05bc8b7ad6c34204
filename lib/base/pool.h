/*
 * pool: a fixed set of threads that runs numbered tasks.
 *
 * The tasks are a function of the problem, never of the number of threads, and each writes its own
 * part of the result; so every result is the same for any number of threads.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/* n_threads = 0: as many as processors this process may use. */
struct pool *pool_new(size_t n_threads, struct err *err);
void pool_free(struct pool *pool);
size_t pool_threads(const struct pool *pool);

/*
 * Runs task(arg, i, thread) for i = 0..n-1, each once, and returns when all are done. `thread`, in
 * 0..pool_threads-1, picks scratch memory. The caller works too, as thread 0. Not reentrant.
 */
void pool_run(struct pool *pool, size_t n, void (*task)(void *arg, size_t i, size_t thread),
              void *arg);

#endif
