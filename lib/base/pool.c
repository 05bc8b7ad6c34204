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

struct pool {
    struct worker *workers; /* n_threads - 1 of them */
    size_t n_threads;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    atomic_size_t round; /* changes when there is work */
    size_t running;      /* workers that have not finished the round */
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

/* Rounds follow each other within microseconds, so a worker looks a while before it sleeps. */
static void wait_for_round(struct pool *pool, size_t seen)
{
    for (int i = 0; i < 2000; i++) {
        if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen)
            break;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->round) == seen)
        pthread_cond_wait(&pool->start, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *pool = w->pool;
    size_t seen = 0;
    for (;;) {
        wait_for_round(pool, seen);
        seen++;
        if (pool->stop)
            return NULL;
        run_tasks(pool, w->thread);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->lock);
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
    pthread_mutex_lock(&pool->lock);
    pool->running = pool->n_threads - 1;
    atomic_fetch_add_explicit(&pool->round, 1, memory_order_release);
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
    pthread_mutex_lock(&pool->lock);
    while (pool->running)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}
