/* sample: filters against a plain twin that sorts, frequencies against probabilities, edges. */
#include "model/sample.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"

enum { VOCAB = 500 };

static struct sampling greedy(void)
{
    struct sampling how;
    sampling_init(&how);
    return how;
}

static uint32_t pick(struct sampler *s, const struct sampling *how, const float *logits, double u)
{
    struct err err;
    uint32_t id = UINT32_MAX;
    if (sample_token(s, how, logits, NULL, 0, u, &id, &err))
        printf("# %s\n", err.msg);
    return id;
}

/* ---- the twin: sorts everything ---- */

struct entry {
    double p;
    uint32_t id;
};

static int by_probability(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->p != y->p)
        return x->p > y->p ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* p [VOCAB]: the probability of each token after the filters. */
static void twin(const struct sampling *how, const float *logits, double *p)
{
    struct entry e[VOCAB];
    double sum = 0, before = 0, kept = 0;
    for (uint32_t i = 0; i < VOCAB; i++) {
        e[i] = (struct entry){exp(logits[i] / how->temperature), i};
        p[i] = 0;
    }
    qsort(e, VOCAB, sizeof *e, by_probability);
    size_t k = how->top_k && how->top_k < VOCAB ? how->top_k : VOCAB, n = 0;
    for (size_t i = 0; i < k; i++)
        sum += e[i].p;
    for (; n < k; n++) {
        if (n && (before >= how->top_p * sum || e[n].p < how->min_p * e[0].p))
            break;
        before += e[n].p;
    }
    for (size_t i = 0; i < n; i++)
        kept += e[i].p;
    for (size_t i = 0; i < n; i++)
        p[e[i].id] = e[i].p / kept;
}

static void make_logits(float *logits, uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed, 0);
    for (size_t i = 0; i < VOCAB; i++)
        logits[i] = (float)(2 * rng_normal(&rng));
    for (size_t i = 0; i + 7 < VOCAB; i += 7)
        logits[i] = logits[i + 1]; /* ties */
}

/*
 * Evenly spaced u's hit each token as often as its probability says, to within one, since a token
 * owns one interval of u.
 */
static void test_against_twin(struct sampler *s, const char *name, struct sampling how)
{
    enum { DRAWS = 20000 };
    float logits[VOCAB];
    double p[VOCAB], worst = 0;
    size_t counts[VOCAB] = {0};
    make_logits(logits, 11);
    twin(&how, logits, p);
    for (size_t i = 0; i < DRAWS; i++)
        counts[pick(s, &how, logits, (i + 0.5) / DRAWS)]++;
    for (size_t i = 0; i < VOCAB; i++) {
        double off = fabs((double)counts[i] - p[i] * DRAWS);
        worst = off > worst ? off : worst;
    }
    tap_ok(worst <= 1.01, "%s: frequencies are the probabilities (off by %.2f of %d draws)", name,
           worst, DRAWS);
}

static void test_filters(struct sampler *s)
{
    struct sampling how = greedy();
    how.temperature = 1;
    test_against_twin(s, "temperature 1", how);
    how.temperature = 0.3;
    test_against_twin(s, "temperature 0.3", how);
    how.temperature = 5;
    test_against_twin(s, "temperature 5", how);
    how.temperature = 1;
    how.top_k = 2;
    test_against_twin(s, "top-k 2", how);
    how.top_k = 40;
    test_against_twin(s, "top-k 40", how);
    how.top_k = VOCAB + 5;
    test_against_twin(s, "top-k over the vocabulary", how);
    how.top_k = 0;
    how.top_p = 0.9;
    test_against_twin(s, "top-p 0.9", how);
    how.top_p = 0.01;
    test_against_twin(s, "top-p 0.01", how);
    how.top_p = 0;
    test_against_twin(s, "top-p 0 keeps the likeliest", how);
    how.top_p = 0.8;
    how.top_k = 10;
    test_against_twin(s, "top-p of what top-k left", how);
    how.top_p = 1;
    how.top_k = 0;
    how.min_p = 0.2;
    test_against_twin(s, "min-p 0.2", how);
    how.min_p = 1;
    test_against_twin(s, "min-p 1 keeps the likeliest and its equals", how);
    how = (struct sampling){0.7, 50, 0.95, 0.05, 1};
    test_against_twin(s, "all at once", how);
}

/* Probabilities 0.5, 0.25, 0.25 are exact in binary: top-p 0.5 keeps one, anything above two. */
static void test_top_p_edge(void)
{
    struct sampler *s = sampler_new(3);
    struct sampling how = greedy();
    const float logits[] = {0, logf(2), 0};
    size_t seen[3] = {0};
    how.temperature = 1;
    how.top_p = 0.5;
    for (int i = 0; i < 100; i++)
        seen[pick(s, &how, logits, i / 100.0)]++;
    tap_ok(seen[1] == 100, "top-p that is met exactly adds no further token");
    how.top_p = 0.501;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 99; i++)
        seen[pick(s, &how, logits, i / 99.0)]++;
    tap_ok(seen[0] == 33 && seen[1] == 66 && !seen[2],
           "one that isn't adds the lower of two equals");
    sampler_free(s);
}

static void test_greedy(void)
{
    struct sampler *s = sampler_new(4);
    struct sampling how = greedy();
    struct err err;
    uint32_t id;
    tap_is_u64("the likeliest", pick(s, &how, (float[]){1, 3, 2, 3}, 0.99), 1);
    how.temperature = 1e-30;
    tap_is_u64("a temperature close to 0", pick(s, &how, (float[]){1, 3, 2, -1}, 0.99), 1);
    how = greedy();
    tap_is_u64("tokens that are impossible", pick(s, &how, (float[]){-INFINITY, -5, -9, -6}, 0), 1);
    how.temperature = 1;
    tap_ok(pick(s, &how, (float[]){-INFINITY, -5, -INFINITY, -INFINITY}, 0.9999999) == 1,
           "an impossible token is never drawn");
    how.repetition_penalty = 2;
    how.temperature = 0;
    float logits[] = {4, 3, -1, -3};
    sample_token(s, &how, logits, (uint32_t[]){0, 0, 900}, 3, 0, &id, &err);
    tap_is_u64("the penalty divides once", id, 1);
    tap_ok(logits[0] == 4, "and leaves the logits as they are");
    sample_token(s, &how, (float[]){-4, -3, -9, -9}, (uint32_t[]){1}, 1, 0, &id, &err);
    tap_is_u64("and multiplies what is negative", id, 0);
    sample_token(s, &how, logits, NULL, 0, 0, &id, &err);
    tap_is_u64("and is forgotten", id, 0);
    tap_ok(sample_token(s, &how, (float[]){1, NAN, 2, 3}, NULL, 0, 0, &id, &err) &&
               strstr(err.msg, "token 1"),
           "a NaN is an error");
    tap_ok(sample_token(s, &how, (float[]){1, INFINITY, 2, 3}, NULL, 0, 0, &id, &err),
           "an infinity is an error");
    float none[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    tap_ok(sample_token(s, &how, none, NULL, 0, 0, &id, &err), "nothing to choose is an error");
    sampler_free(s);
}

static void test_logprob(void)
{
    float logits[VOCAB];
    double sum = 0;
    make_logits(logits, 3);
    for (uint32_t i = 0; i < VOCAB; i++)
        sum += exp(logits_logprob(logits, VOCAB, i));
    tap_ok(fabs(sum - 1) < 1e-12, "probabilities add up to 1");
    tap_ok(fabs(logits_logprob((float[]){0, logf(3)}, 2, 0) - log(0.25)) < 1e-7, "log p");
}

/* Against a choice of the best of what is left, again and again. */
static void test_likeliest(void)
{
    float logits[VOCAB];
    struct token_chance got[VOCAB];
    make_logits(logits, 3);
    logits[7] = logits[3] = logits[11]; /* ties */
    for (size_t n = 0; n <= VOCAB; n += n < 3 ? 1 : VOCAB - 3) {
        bool taken[VOCAB] = {false}, same = true;
        logits_likeliest(logits, VOCAB, n, got);
        for (size_t k = 0; k < n; k++) {
            uint32_t best = 0;
            while (taken[best])
                best++;
            for (uint32_t i = best; i < VOCAB; i++)
                if (!taken[i] && logits[i] > logits[best])
                    best = i;
            taken[best] = true;
            same &= got[k].id == best && got[k].logprob == logits_logprob(logits, VOCAB, best);
        }
        tap_ok(same, "the %zu likeliest tokens", n);
    }
}

int main(void)
{
    struct sampler *s = sampler_new(VOCAB);
    test_filters(s);
    sampler_free(s);
    test_top_p_edge();
    test_greedy();
    test_logprob();
    test_likeliest();
    return tap_done();
}
