#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct worker {
    struct pool *pool;
    size_t thread;
    pthread_t id;
};

/*
 * Rounds follow each other within microseconds in generation, so both sides look for a while before
 * they sleep, and nobody takes the lock or calls the kernel while the other side is awake: who goes
 * to sleep says so first and then looks again; who has news looks for sleepers afterwards.
 */
struct pool {
    struct worker *workers; /* n_threads - 1 of them */
    size_t n_threads;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    atomic_size_t round;    /* changes when there is work */
    atomic_size_t running;  /* workers that have not finished the round */
    atomic_size_t sleepers; /* workers that wait for `start` */
    atomic_bool waiting;    /* the caller waits for `done` */
    bool stop;
    void (*task)(void *arg, size_t i, size_t thread);
    void *arg;
    size_t n;
    atomic_size_t next;
};

static void run_tasks(struct pool *pool, size_t thread)
{
    size_t i;
    while ((i = atomic_fetch_add(&pool->next, 1)) < pool->n)
        pool->task(pool->arg, i, thread);
}

enum { LOOKS = 2000 }; /* some tens of microseconds */

static void pause_briefly(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void wait_for_round(struct pool *pool, size_t seen)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->round) == seen)
        pthread_cond_wait(&pool->start, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->lock);
}

static void finish_round(struct pool *pool)
{
    if (atomic_fetch_sub(&pool->running, 1) > 1 || !atomic_load(&pool->waiting))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->done);
    pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(struct pool *pool)
{
    for (int i = 0; i < LOOKS; i++) {
        if (!atomic_load_explicit(&pool->running, memory_order_acquire))
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, true);
    while (atomic_load(&pool->running))
        pthread_cond_wait(&pool->done, &pool->lock);
    atomic_store(&pool->waiting, false);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *pool = w->pool;
    for (size_t seen = 0;; seen++) {
        wait_for_round(pool, seen);
        if (pool->stop)
            return NULL;
        run_tasks(pool, w->thread);
        finish_round(pool);
    }
}

static size_t usable_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return (size_t)CPU_COUNT(&set);
}

struct pool *pool_new(size_t n_threads, struct err *err)
{
    if (!n_threads)
        n_threads = usable_processors();
    struct pool *pool = xcalloc(1, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = xcalloc(n_threads, sizeof *pool->workers);
    pool->n_threads = 1;
    /* Signals are the main thread's business. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = 0;
    for (size_t i = 1; i < n_threads && !failed; i++) {
        struct worker *w = &pool->workers[i - 1];
        *w = (struct worker){pool, i, 0};
        failed = pthread_create(&w->id, NULL, worker_main, w);
        if (!failed)
            pool->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        err_set(err, "starting %zu threads: %s", n_threads, strerror(failed));
        pool_free(pool);
        return NULL;
    }
    return pool;
}

static void start_round(struct pool *pool)
{
    atomic_store(&pool->running, pool->n_threads - 1);
    atomic_fetch_add(&pool->round, 1);
    if (!atomic_load(&pool->sleepers))
        return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->lock);
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pool->stop = true;
    start_round(pool);
    for (size_t i = 1; i < pool->n_threads; i++)
        pthread_join(pool->workers[i - 1].id, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->start);
    pthread_mutex_destroy(&pool->lock);
    free(pool->workers);
    free(pool);
}

size_t pool_threads(const struct pool *pool)
{
    return pool->n_threads;
}

void pool_run(struct pool *pool, size_t n, void (*task)(void *, size_t, size_t), void *arg)
{
    if (n <= 1 || pool->n_threads == 1) {
        for (size_t i = 0; i < n; i++)
            task(arg, i, 0);
        return;
    }
    pool->task = task;
    pool->arg = arg;
    pool->n = n;
    atomic_store(&pool->next, 0);
    start_round(pool);
    run_tasks(pool, 0);
    wait_for_workers(pool);
}
