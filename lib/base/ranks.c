#include "base/ranks.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/ranks_link.h"

/* Processes that a launcher says it started: Open MPI's mpirun, that of others, srun. */
static size_t launched(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        long n = value ? strtol(value, NULL, 10) : 0;
        if (n > 0)
            return (size_t)n;
    }
    return 1;
}

int ranks_open(struct ranks **out, struct err *err)
{
    const size_t n = launched();
    *out = NULL;
    if (n == 1)
        return 0;
    struct ranks *r = xcalloc(1, sizeof *r);
    if (link_open(r, err)) {
        free(r);
        return -1;
    }
    if (r->n != n) {
        err_set(err,
                "%zu processes were started together, but MPI finds %zu: it is not this "
                "program's launcher (mpirun of Open MPI, or srun --mpi=pmix)",
                n, r->n);
        ranks_close(r);
        return -1;
    }
    *out = r;
    return 0;
}

size_t ranks_count(const struct ranks *r)
{
    return r ? r->n : 1;
}

size_t ranks_me(const struct ranks *r)
{
    return r ? r->me : 0;
}

size_t ranks_threads(const struct ranks *r)
{
    return r ? r->threads : 0;
}

void ranks_close(struct ranks *r)
{
    if (!r)
        return;
    link_close();
    free(r);
}

/* The message of rank k, and how many failed. */
static void spread_message(struct ranks *r, size_t k, size_t failed, struct err *err)
{
    struct err told = {""};
    if (r->me == k && err)
        told = *err;
    link_broadcast(k, told.msg, sizeof told.msg);
    told.msg[sizeof told.msg - 1] = 0;
    if (failed == r->n)
        err_set(err, "%s", told.msg);
    else
        err_set(err, "rank %zu: %s", k, told.msg);
}

int ranks_agree(struct ranks *r, int status, struct err *err)
{
    if (!r)
        return status;
    int *all = xcalloc(r->n, sizeof *all), most = 0;
    size_t first = r->n, failed = 0;
    all[r->me] = status;
    link_merge(all, r->n * sizeof *all);
    for (size_t k = 0; k < r->n; k++) {
        most = all[k] > most ? all[k] : most;
        failed += all[k] < 0;
        if (all[k] < 0 && first == r->n)
            first = k;
    }
    free(all);
    if (!failed)
        return most;
    r->failed = true;
    spread_message(r, first, failed, err);
    return -1;
}

bool ranks_have_failed(const struct ranks *r)
{
    return r && r->failed;
}

int ranks_same(struct ranks *r, const char *what, const void *p, size_t len, struct err *err)
{
    if (!r)
        return 0;
    const uint64_t mine = hash64(p, len, len);
    uint64_t first = mine;
    link_broadcast(0, &first, sizeof first);
    return ranks_agree(r, mine == first ? 0 : err_set(err, "%s differs from what rank 0 has", what),
                       err);
}

void ranks_broadcast(struct ranks *r, void *p, size_t len)
{
    if (r)
        link_broadcast(0, p, len);
}

void ranks_merge(struct ranks *r, void *p, size_t len)
{
    if (r)
        link_merge(p, len);
}

void ranks_deal(struct ranks *r, float *const *vectors, const size_t *counts, const size_t *slices,
                float *out)
{
    link_deal(r, vectors, counts, slices, out);
}

void ranks_gather(struct ranks *r, float *x, const size_t *slices)
{
    link_gather(r, x, slices);
}
