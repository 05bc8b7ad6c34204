#include "model/lora_init.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/rows.h"

const char *const lora_init_choices[] = {"default", "gaussian",      "orthogonal",     "olora",
                                         "pissa",   "pissa_niter_4", "pissa_niter_16", NULL};

bool lora_init_is_part(enum lora_init how)
{
    return how >= LORA_INIT_OLORA;
}

static void init_uniform(struct lora_pair *p, struct rng *rng)
{
    double bound = 1 / sqrt((double)p->in);
    for (size_t k = 0; k < p->r * p->in; k++)
        p->a[k] = (float)((2 * rng_uniform(rng) - 1) * bound);
}

static void init_gaussian(struct lora_pair *p, struct rng *rng)
{
    for (size_t k = 0; k < p->r * p->in; k++)
        p->a[k] = (float)(rng_normal(rng) / (double)p->r);
}

/* Rows of q [n, n], random ones, made orthonormal one after the other (Gram-Schmidt, twice). */
static void random_orthogonal(float *q, size_t n, struct rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        float *row = q + i * n;
        for (size_t k = 0; k < n; k++)
            row[k] = (float)rng_normal(rng);
        for (int twice = 0; twice < 2; twice++)
            for (size_t j = 0; j < i; j++)
                row_add(row, q + j * n, n, -row_dot(row, q + j * n, n));
        row_scale(row, n, 1 / sqrtf(row_dot(row, row, n)));
    }
}

/*
 * With an orthogonal Q [r, r], whose odd and even rows are orthogonal to each other: A = Q_odd^T R
 * / 10 and B = S Q_even / 10, R [r/2, in] and S [out, r/2] normal. So B A = 0 although neither is.
 */
static void init_orthogonal(struct lora_pair *p, struct rng *rng)
{
    size_t r = p->r, half = r / 2;
    float *q = xcalloc(r * r, sizeof *q), *row = xcalloc(p->in, sizeof *row);
    random_orthogonal(q, r, rng);
    memset(p->a, 0, r * p->in * sizeof *p->a);
    for (size_t h = 0; h < half; h++) {
        for (size_t k = 0; k < p->in; k++)
            row[k] = (float)(rng_normal(rng) / 10);
        for (size_t i = 0; i < r; i++)
            row_add(p->a + i * p->in, row, p->in, q[2 * h * r + i]);
    }
    memset(p->b, 0, p->out * r * sizeof *p->b);
    for (size_t n = 0; n < p->out; n++)
        for (size_t h = 0; h < half; h++)
            row_add(p->b + n * r, q + (2 * h + 1) * r, r, (float)(rng_normal(rng) / 10));
    free(q);
    free(row);
}

int lora_init(struct lora *l, enum lora_init how, uint64_t seed, struct err *err)
{
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        struct rng rng;
        rng_init(&rng, seed, lora_init_stream(p));
        if (how == LORA_INIT_ORTHOGONAL && p->r % 2)
            return err_set(err, "--init orthogonal wants even ranks, not %zu", p->r);
        if (how == LORA_INIT_ORTHOGONAL)
            init_orthogonal(p, &rng);
        else if (how == LORA_INIT_GAUSSIAN)
            init_gaussian(p, &rng);
        else
            init_uniform(p, &rng);
    }
    lora_changed(l);
    return 0;
}
