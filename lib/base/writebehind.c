#include "base/writebehind.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

enum { N_BUFFERS = 2 };

struct writebehind {
    writebehind_fn *write;
    void *arg;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct {
        void *p;
        size_t size;
        size_t len; /* to be written */
        bool full;
    } buffers[N_BUFFERS];
    size_t next; /* buffer that the caller fills; the thread takes them in the same order */
    bool done, failed;
    struct err err; /* of the write that failed */
};

/* Writes full buffers until there won't be another. After a failure they are emptied unwritten. */
static void *run(void *arg)
{
    struct writebehind *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (size_t i = 0;; i = (i + 1) % N_BUFFERS) {
        while (!w->buffers[i].full && !w->done)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (!w->buffers[i].full)
            break;
        if (!w->failed) {
            pthread_mutex_unlock(&w->mutex);
            int status = w->write(w->arg, w->buffers[i].p, w->buffers[i].len, &w->err);
            pthread_mutex_lock(&w->mutex);
            w->failed = status != 0;
        }
        w->buffers[i].full = false;
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

int writebehind_new(struct writebehind **out, writebehind_fn *write, void *arg, struct err *err)
{
    struct writebehind *w = xcalloc(1, sizeof *w);
    *out = NULL;
    w->write = write;
    w->arg = arg;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    errno = pthread_create(&w->thread, NULL, run, w);
    if (errno) {
        err_errno(err, "starting a thread");
        free(w);
        return -1;
    }
    *out = w;
    return 0;
}

void *writebehind_buffer(struct writebehind *w, size_t size, struct err *err)
{
    void *p = NULL;
    pthread_mutex_lock(&w->mutex);
    while (w->buffers[w->next].full)
        pthread_cond_wait(&w->changed, &w->mutex);
    if (w->failed) {
        err_set(err, "%s", w->err.msg);
    } else if (w->buffers[w->next].size < size) {
        free(w->buffers[w->next].p);
        p = w->buffers[w->next].p = mem_array(size, 1, "output buffer", err);
        w->buffers[w->next].size = p ? size : 0;
    } else {
        p = w->buffers[w->next].p;
    }
    pthread_mutex_unlock(&w->mutex);
    return p;
}

void writebehind_submit(struct writebehind *w, size_t len)
{
    pthread_mutex_lock(&w->mutex);
    w->buffers[w->next].len = len;
    w->buffers[w->next].full = true;
    w->next = (w->next + 1) % N_BUFFERS;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

int writebehind_finish(struct writebehind *w, struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    int status = w->failed ? err_set(err, "%s", w->err.msg) : 0;
    for (size_t i = 0; i < N_BUFFERS; i++)
        free(w->buffers[i].p);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
    return status;
}
