/* Ranks by MPI. Its errors end the run, all ranks of it, with a message of its own. */
#include "base/ranks_link.h"

#ifdef HAVE_MPI

#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Counts are ints: what is longer goes in pieces. */
enum { PIECE = 1 << 28 };

/* This rank's share of the processors that it and the others on this machine may use. */
static size_t share_of_processors(void)
{
    MPI_Comm here;
    cpu_set_t mine, all;
    int n;
    CPU_ZERO(&mine);
    sched_getaffinity(0, sizeof mine, &mine);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here);
    MPI_Comm_size(here, &n);
    MPI_Allreduce(&mine, &all, (int)sizeof mine, MPI_BYTE, MPI_BOR, here);
    MPI_Comm_free(&here);
    const size_t share = size_min((size_t)CPU_COUNT(&mine), (size_t)CPU_COUNT(&all) / (size_t)n);
    return size_max(share, 1);
}

int link_open(struct ranks *r, struct err *err)
{
    int given, n, me;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS ||
        given < MPI_THREAD_FUNNELED)
        return err_set(err, "MPI: can't be started");
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    *r = (struct ranks){.n = (size_t)n, .me = (size_t)me, .threads = share_of_processors()};
    return 0;
}

void link_close(void)
{
    MPI_Finalize();
}

void link_broadcast(size_t from, void *p, size_t len)
{
    for (size_t at = 0; at < len; at += PIECE)
        MPI_Bcast((char *)p + at, (int)size_min(len - at, PIECE), MPI_BYTE, (int)from,
                  MPI_COMM_WORLD);
}

void link_merge(void *p, size_t len)
{
    for (size_t at = 0; at < len; at += PIECE)
        MPI_Allreduce(MPI_IN_PLACE, (char *)p + at, (int)size_min(len - at, PIECE), MPI_BYTE,
                      MPI_BOR, MPI_COMM_WORLD);
}

/* Messages on their way. */
struct flight {
    MPI_Request *requests;
    size_t n, cap;
};

static void wait_for_all(struct flight *f)
{
    MPI_Waitall((int)f->n, f->requests, MPI_STATUSES_IGNORE);
    free(f->requests);
}

static void send(struct flight *f, const float *x, size_t len, size_t to)
{
    for (size_t at = 0; at < len; at += PIECE) {
        ARRAY_GROW(f->requests, f->n, f->cap);
        MPI_Isend(x + at, (int)size_min(len - at, PIECE), MPI_FLOAT, (int)to, 0, MPI_COMM_WORLD,
                  &f->requests[f->n++]);
    }
}

static void receive(struct flight *f, float *x, size_t len, size_t from)
{
    for (size_t at = 0; at < len; at += PIECE) {
        ARRAY_GROW(f->requests, f->n, f->cap);
        MPI_Irecv(x + at, (int)size_min(len - at, PIECE), MPI_FLOAT, (int)from, 0, MPI_COMM_WORLD,
                  &f->requests[f->n++]);
    }
}

/* Each sends to the rank behind it first, so that no one hears from all at once. */
void link_deal(const struct ranks *r, float *const *vectors, const size_t *counts,
               const size_t *slices, float *out)
{
    const size_t length = slices[r->me + 1] - slices[r->me];
    struct flight f = {0};
    for (size_t k = 0; k < r->n; out += counts[k++] * length)
        for (size_t i = 0; i < counts[k]; i++)
            if (k == r->me)
                memcpy(out + i * length, vectors[i] + slices[k], length * sizeof *out);
            else
                receive(&f, out + i * length, length, k);
    for (size_t step = 1; step < r->n; step++) {
        const size_t k = (r->me + step) % r->n;
        for (size_t i = 0; i < counts[r->me]; i++)
            send(&f, vectors[i] + slices[k], slices[k + 1] - slices[k], k);
    }
    wait_for_all(&f);
}

void link_gather(const struct ranks *r, float *x, const size_t *slices)
{
    struct flight f = {0};
    for (size_t k = 0; k < r->n; k++)
        if (k != r->me)
            receive(&f, x + slices[k], slices[k + 1] - slices[k], k);
    for (size_t step = 1; step < r->n; step++) {
        const size_t k = (r->me + step) % r->n;
        send(&f, x + slices[r->me], slices[r->me + 1] - slices[r->me], k);
    }
    wait_for_all(&f);
}

#else

int link_open(struct ranks *r, struct err *err)
{
    (void)r;
    return err_set(err, "built without MPI, but started as several processes");
}

void link_close(void)
{
}

void link_broadcast(size_t from, void *p, size_t len)
{
    (void)from, (void)p, (void)len;
}

void link_merge(void *p, size_t len)
{
    (void)p, (void)len;
}

void link_deal(const struct ranks *r, float *const *vectors, const size_t *counts,
               const size_t *slices, float *out)
{
    (void)r, (void)vectors, (void)counts, (void)slices, (void)out;
}

void link_gather(const struct ranks *r, float *x, const size_t *slices)
{
    (void)r, (void)x, (void)slices;
}

#endif
