/* Adapters that begin as a part of the base's matrices: PiSSA and OLoRA. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "compute/gemm.h"
#include "compute/rows.h"
#include "compute/svd.h"
#include "model/lora_init.h"

struct part_run {
    struct lora *l;
    struct decoder *d;
    enum lora_init how;
    uint64_t seed;
    struct err *errors; /* [n_pairs] */
};

/* A [r, in] = sqrt(S / scale) V, B [out, r] = U sqrt(S / scale), of the r largest. */
static int pissa(const struct part_run *run, const struct lora_pair *p, float *w, size_t r,
                 float *a, float *b, struct err *err)
{
    float *s = xcalloc(r, sizeof *s);
    size_t rounds = run->how == LORA_INIT_PISSA_NITER_4 ? 4 : 16;
    int status = run->how == LORA_INIT_PISSA ? svd_exact(w, p->out, p->in, r, b, s, a, err)
                                             : svd_random(w, p->out, p->in, r, rounds, run->seed,
                                                          lora_init_stream(p), b, s, a, err);
    for (size_t k = 0; k < r && !status; k++) {
        float root = sqrtf(s[k] / p->scale);
        row_scale(a + k * p->in, p->in, root);
        for (size_t n = 0; n < p->out; n++)
            b[n * r + k] *= root;
    }
    free(s);
    return status;
}

/* W = Q R: B = the first r columns of Q, A = the first r rows of R = Q^T W. */
static void olora(const struct lora_pair *p, const float *w, size_t r, float *a, float *b)
{
    float *q = xcalloc(r * p->out, sizeof *q); /* [r, out] */
    for (size_t k = 0; k < r; k++)
        for (size_t n = 0; n < p->out; n++)
            q[k * p->out + n] = w[n * p->in + k];
    orthonormal_rows(q, r, p->out);
    gemm_tile(false, false, r, p->in, p->out, 1, q, p->out, w, p->in, 0, a, p->in);
    for (size_t k = 0; k < r; k++)
        for (size_t n = 0; n < p->out; n++)
            b[n * r + k] = q[k * p->out + n];
    free(q);
}

/* What is trained, and the same again with the other sign. */
static void put_halves(struct lora_pair *p, size_t r, const float *a, const float *b)
{
    memcpy(p->a, a, r * p->in * sizeof *a);
    memcpy(p->a + r * p->in, a, r * p->in * sizeof *a);
    for (size_t n = 0; n < p->out; n++)
        for (size_t k = 0; k < r; k++) {
            p->b[n * p->r + k] = b[n * r + k];
            p->b[n * p->r + r + k] = -b[n * r + k];
        }
}

static int init_pair(const struct part_run *run, struct lora_pair *p, struct err *err)
{
    const size_t r = p->fixed;
    if (r > size_min(p->in, p->out))
        return err_set(err, "--init %s: a matrix [%zu, %zu] has no rank of %zu",
                       lora_init_choices[run->how], p->out, p->in, r);
    float *w = mem_array(p->out * p->in, sizeof *w, "first values", err);
    float *a = mem_array(r * p->in, sizeof *a, "first values", err);
    float *b = mem_array(p->out * r, sizeof *b, "first values", err);
    int status = w && a && b ? 0 : -1;
    if (!status)
        decoder_base_values(run->d, p->slot, p->layer, w);
    if (!status && run->how == LORA_INIT_OLORA)
        olora(p, w, r, a, b);
    else if (!status)
        status = pissa(run, p, w, r, a, b, err);
    if (!status)
        put_halves(p, r, a, b);
    free(w);
    free(a);
    free(b);
    return status;
}

static void part_task(void *arg, size_t i, size_t thread)
{
    (void)thread;
    struct part_run *run = arg;
    run->errors[i].msg[0] = 0;
    if (init_pair(run, &run->l->pairs[i], &run->errors[i]) && !run->errors[i].msg[0])
        err_set(&run->errors[i], "no first values");
}

int lora_init_part(struct lora *l, struct decoder *d, enum lora_init how, uint64_t seed,
                   size_t threads, struct err *err)
{
    struct part_run run = {l, d, how, seed, xcalloc(l->n_pairs, sizeof *run.errors)};
    struct pool *pool = pool_new(threads, err);
    int status = pool ? 0 : -1;
    if (pool)
        pool_run(pool, l->n_pairs, part_task, &run);
    pool_free(pool);
    for (size_t i = 0; i < l->n_pairs && !status; i++)
        if (run.errors[i].msg[0])
            status = err_set(err, "%s", run.errors[i].msg);
    free(run.errors);
    lora_changed(l);
    return status;
}
