/* Attention against plain loops, with windows, soft caps and shared key heads; its gradients
 * against the chain rule written out, and the single row of a cache. */
#include "tap.h"

#include "base/mem.h"
#include "base/rng.h"
#include "compute/attention.h"
#include "compute/backend.h"
#include "formats/dtype.h"

struct problem {
    struct attention_shape shape;
    const size_t *lengths;
    size_t n_documents, rows, window;
    float *q, *k, *v, *d_out;        /* inputs */
    float *out, *lse, *dq, *dk, *dv; /* by plain loops */
};

static float *randoms(struct rng *rng, size_t n)
{
    float *p = xcalloc(n, sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = (float)rng_normal(rng);
    return p;
}

/* Score of rows i, j and what it has to be multiplied with on the way back. */
static double score(const struct problem *p, size_t i, size_t j, size_t h, double *slope)
{
    const struct attention_shape *s = &p->shape;
    size_t d = s->head_dim, g = h / (s->n_heads / s->n_kv_heads);
    double sum = 0, cap = (double)s->softcap;
    for (size_t c = 0; c < d; c++)
        sum += (double)p->q[(i * s->n_heads + h) * d + c] *
               (double)p->k[(j * s->n_kv_heads + g) * d + c];
    sum *= (double)s->scale;
    *slope = 1;
    if (cap > 0) {
        double t = tanh(sum / cap);
        *slope = 1 - t * t;
        sum = cap * t;
    }
    return sum;
}

/* One query row and head, everything in double. */
static void plain_row(struct problem *p, size_t first, size_t i, size_t h)
{
    const struct attention_shape *s = &p->shape;
    size_t d = s->head_dim, g = h / (s->n_heads / s->n_kv_heads), at = (i * s->n_heads + h) * d;
    if (i - first >= p->window)
        first = i + 1 - p->window;
    double sum = 0, along = 0, slope;
    for (size_t j = first; j <= i; j++)
        sum += exp(score(p, i, j, h, &slope));
    p->lse[i * s->n_heads + h] = (float)log(sum);
    for (size_t j = first; j <= i; j++) {
        double w = exp(score(p, i, j, h, &slope)) / sum;
        for (size_t c = 0; c < d; c++)
            p->out[at + c] += (float)(w * (double)p->v[(j * s->n_kv_heads + g) * d + c]);
    }
    for (size_t c = 0; c < d; c++)
        along += (double)p->out[at + c] * (double)p->d_out[at + c];
    for (size_t j = first; j <= i; j++) {
        size_t key = (j * s->n_kv_heads + g) * d;
        double w = exp(score(p, i, j, h, &slope)) / sum, dw = 0;
        for (size_t c = 0; c < d; c++) {
            p->dv[key + c] += (float)(w * (double)p->d_out[at + c]);
            dw += (double)p->d_out[at + c] * (double)p->v[key + c];
        }
        double ds = w * (dw - along) * slope * (double)s->scale;
        for (size_t c = 0; c < d; c++) {
            p->dq[at + c] += (float)(ds * (double)p->k[key + c]);
            p->dk[key + c] += (float)(ds * (double)p->q[at + c]);
        }
    }
}

static struct problem problem_of(struct rng *rng, struct attention_shape shape,
                                 const size_t *lengths, size_t n, size_t window)
{
    struct problem p = {.shape = shape, .lengths = lengths, .n_documents = n, .window = window};
    for (size_t i = 0; i < n; i++)
        p.rows += lengths[i];
    size_t q = p.rows * shape.n_heads * shape.head_dim,
           k = p.rows * shape.n_kv_heads * shape.head_dim;
    p.q = randoms(rng, q), p.k = randoms(rng, k), p.v = randoms(rng, k);
    p.d_out = randoms(rng, q);
    p.out = xcalloc(q, sizeof(float)), p.dq = xcalloc(q, sizeof(float));
    p.dk = xcalloc(k, sizeof(float)), p.dv = xcalloc(k, sizeof(float));
    p.lse = xcalloc(p.rows * shape.n_heads, sizeof(float));
    for (size_t i = 0, start = 0; i < n; start += lengths[i++])
        for (size_t t = 0; t < lengths[i]; t++)
            for (size_t h = 0; h < shape.n_heads; h++)
                plain_row(&p, start, start + t, h);
    return p;
}

static void problem_release(struct problem *p)
{
    float *arrays[] = {p->q, p->k, p->v, p->d_out, p->out, p->lse, p->dq, p->dk, p->dv};
    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++)
        free(arrays[i]);
}

static struct operand as_operand(const float *x, size_t rows, size_t cols, bool bf16)
{
    struct operand o;
    struct err err;
    operand_new(&o, rows, cols, bf16, "test", &err);
    for (size_t i = 0; x && i < rows; i++)
        operand_store(&o, i, 0, x + i * cols, cols);
    return o;
}

/* Values of a backend's operands are rounded: the plain loops get the same ones. */
static void round_inputs(struct problem *p, size_t q, size_t k)
{
    float *arrays[] = {p->q, p->k, p->v};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < (i ? k : q); j++)
            arrays[i][j] = bf16_to_float(float_to_bf16(arrays[i][j]));
}

static void check(struct rng *rng, struct attention_shape shape, const size_t *lengths, size_t n,
                  size_t window, bool bf16)
{
    struct err err;
    struct pool *pool = pool_new(2, &err);
    struct attention *a;
    struct problem p = problem_of(rng, shape, lengths, n, window);
    size_t q = shape.n_heads * shape.head_dim, k = shape.n_kv_heads * shape.head_dim;
    if (bf16)
        round_inputs(&p, p.rows * q, p.rows * k);
    struct operand oq = as_operand(p.q, p.rows, q, bf16), ok = as_operand(p.k, p.rows, k, bf16),
                   ov = as_operand(p.v, p.rows, k, bf16), out = as_operand(NULL, p.rows, q, bf16);
    float *lse = xcalloc(p.rows * shape.n_heads, sizeof *lse), *dq = randoms(rng, p.rows * q),
          *dk = randoms(rng, p.rows * k), *dv = randoms(rng, p.rows * k),
          *got = xcalloc(p.rows * q, sizeof *got);
    attention_new(&a, &shape, pool, &err);
    attention_forward(a, &oq, &ok, &ov, lengths, n, window, &out, lse, &err);
    attention_backward(a, &oq, &ok, &ov, &out, lse, lengths, n, window, p.d_out, dq, dk, dv, &err);
    for (size_t i = 0; i < p.rows; i++)
        operand_load(&out, i, 0, got + i * q, q);
    char what[200];
    snprintf(what, sizeof what, "%s, %zu/%zu heads of %zu, %zu rows, window %zu, cap %g",
             bf16 ? "bf16" : "fp32", shape.n_heads, shape.n_kv_heads, shape.head_dim, p.rows,
             window == ATTENTION_ALL ? 0 : window, (double)shape.softcap);
    printf("# %s\n", what);
    /* bfloat16 keeps 8 bits of values up to about 4; sums of some tens of such products. */
    double tolerance = bf16 ? 0.1 : 3e-5;
    tap_close("output", got, p.out, p.rows * q, bf16 ? 0.05 : 1e-5);
    tap_close("dq", dq, p.dq, p.rows * q, tolerance);
    tap_close("dk", dk, p.dk, p.rows * k, tolerance);
    tap_close("dv", dv, p.dv, p.rows * k, tolerance);
    if (!bf16) {
        size_t last = p.rows - 1, length = lengths[n - 1];
        float *scores = xcalloc(length, sizeof *scores);
        for (size_t h = 0; h < shape.n_kv_heads; h++)
            attention_decode(&shape, h, p.q + last * q, p.k + (p.rows - length) * k,
                             p.v + (p.rows - length) * k, length, window, got, scores);
        tap_close("one row of a cache", got, p.out + last * q, q, 1e-5);
        free(scores);
    }
    attention_free(a);
    pool_free(pool);
    free(oq.p), free(ok.p), free(ov.p), free(out.p);
    free(lse), free(dq), free(dk), free(dv), free(got);
    problem_release(&p);
}

int main(void)
{
    static const size_t lengths[] = {1, 5, 330, 64, 17};
    static const size_t windows[] = {ATTENTION_ALL, 1, 9, 70, 300};
    static const size_t long_one[] = {3, 1100, 40}; /* its keys are taken in two parts */
    struct rng rng;
    rng_init(&rng, 3, 1);
    struct attention_shape shapes[] = {
        {.n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .scale = 0.25f},
        {.n_heads = 2, .n_kv_heads = 1, .head_dim = 20, .scale = 0.4f, .softcap = 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
        for (size_t w = 0; w < ARRAY_SIZE(windows); w++)
            check(&rng, shapes[i], lengths, ARRAY_SIZE(lengths), windows[w], false);
    for (size_t w = 0; w < ARRAY_SIZE(windows); w += 2)
        check(&rng, shapes[0], long_one, ARRAY_SIZE(long_one), windows[w], false);
    if (backend_available(BACKEND_BF16))
        check(&rng, shapes[0], long_one, ARRAY_SIZE(long_one), ATTENTION_ALL, true);
    for (size_t i = 0; i < ARRAY_SIZE(shapes) && backend_available(BACKEND_BF16); i++)
        for (size_t w = 0; w < ARRAY_SIZE(windows); w += 2)
            check(&rng, shapes[i], lengths, ARRAY_SIZE(lengths), windows[w], true);
    return tap_done();
}
