#include "model/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A token that may be chosen; weight is its probability up to a common factor. */
struct candidate {
    double weight;
    uint32_t id;
};

struct sampler {
    size_t vocab;
    bool *seen;                   /* [vocab], all false between calls */
    float *penalized;             /* [vocab], a copy of the logits */
    struct candidate *candidates; /* [vocab] */
};

void sampling_init(struct sampling *how)
{
    *how = (struct sampling){.top_p = 1, .repetition_penalty = 1};
}

struct sampler *sampler_new(size_t vocab)
{
    struct sampler *s = xcalloc(1, sizeof *s);
    s->vocab = vocab;
    s->seen = xcalloc(vocab, sizeof *s->seen);
    s->penalized = xcalloc(vocab, sizeof *s->penalized);
    s->candidates = xreallocarray(NULL, vocab, sizeof *s->candidates);
    return s;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->seen);
    free(s->penalized);
    free(s->candidates);
    free(s);
}

static const float *penalize(struct sampler *s, double penalty, const float *logits,
                             const uint32_t *context, size_t n)
{
    memcpy(s->penalized, logits, s->vocab * sizeof *logits);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = context[i];
        if (id >= s->vocab || s->seen[id])
            continue;
        s->seen[id] = true;
        s->penalized[id] = (float)(logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty);
    }
    for (size_t i = 0; i < n; i++)
        if (context[i] < s->vocab)
            s->seen[context[i]] = false;
    return s->penalized;
}

/* The likeliest token; fails where the row holds no finite maximum. */
static int find_best(const float *logits, size_t vocab, uint32_t *best, struct err *err)
{
    size_t at = 0;
    for (size_t i = 0; i < vocab; i++) {
        if (isnan(logits[i]))
            return err_set(err, "the logit of token %zu is not a number", i);
        if (logits[i] > logits[at])
            at = i;
    }
    if (!vocab || !isfinite(logits[at]))
        return err_set(err, "no logit is finite");
    *best = (uint32_t)at;
    return 0;
}

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->weight > b->weight || (a->weight == b->weight && a->id < b->id);
}

static void sift_down(struct candidate *heap, size_t n, size_t at)
{
    struct candidate moved = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

/*
 * Moves the first `limit` candidates in order of likelihood, or fewer where `share` of `total` is
 * reached or weights fall under `least`, to the end of the array: the likeliest last. Returns how
 * many. A heap, because a few of many thousands are wanted.
 */
static size_t take_likeliest(struct candidate *c, size_t n, size_t limit, double share,
                             double total, double least)
{
    size_t left = n;
    double sum = 0;
    for (size_t i = n / 2; i-- > 0;)
        sift_down(c, n, i);
    while (left && n - left < limit && c[0].weight >= least && (left == n || sum < share * total)) {
        struct candidate top = c[0];
        sum += top.weight;
        c[0] = c[--left];
        if (left)
            sift_down(c, left, 0);
        c[left] = top;
    }
    return n - left;
}

static double sum_weights(const struct candidate *c, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += c[i].weight;
    return sum;
}

/* Leaves the candidates that pass the filters; returns them and their number. */
static struct candidate *filter(const struct sampling *how, struct candidate *c, size_t *n)
{
    size_t k = how->top_k ? how->top_k : *n, kept;
    if (k >= *n && how->top_p >= 1 && how->min_p <= 0)
        return c;
    if (k < *n) { /* top-p shares out the probability of what top-k left */
        kept = take_likeliest(c, *n, k, INFINITY, 1, 0);
        c += *n - kept;
        *n = kept;
        if (how->top_p >= 1 && how->min_p <= 0)
            return c;
    }
    double share = how->top_p >= 1 ? INFINITY : how->top_p;
    kept = take_likeliest(c, *n, *n, share, sum_weights(c, *n), how->min_p); /* the best weighs 1 */
    c += *n - kept;
    *n = kept;
    return c;
}

static uint32_t draw(const struct candidate *c, size_t n, double u)
{
    double target = u * sum_weights(c, n), sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].weight <= 0)
            continue;
        last = i;
        sum += c[i].weight;
        if (target < sum)
            break;
    }
    return c[last].id;
}

int sample_token(struct sampler *s, const struct sampling *how, const float *logits,
                 const uint32_t *context, size_t n_context, double u, uint32_t *token,
                 struct err *err)
{
    uint32_t best = 0;
    if (how->repetition_penalty != 1)
        logits = penalize(s, how->repetition_penalty, logits, context, n_context);
    if (find_best(logits, s->vocab, &best, err))
        return -1;
    *token = best;
    if (how->temperature <= 0 || how->top_k == 1)
        return 0;
    double top = logits[best];
    for (size_t i = 0; i < s->vocab; i++)
        s->candidates[i] =
            (struct candidate){exp(((double)logits[i] - top) / how->temperature), (uint32_t)i};
    size_t n = s->vocab;
    struct candidate *c = filter(how, s->candidates, &n);
    *token = draw(c, n, u);
    return 0;
}

/* What is taken from a logit to make it a log p. */
static double log_sum_exp(const float *logits, size_t vocab)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < vocab; i++)
        if (logits[i] > top)
            top = logits[i];
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - top);
    /* cppcheck-suppress invalidFunctionArg ; the largest has added 1 */
    return top + log(sum);
}

double logits_logprob(const float *logits, size_t vocab, uint32_t token)
{
    return (double)logits[token] - log_sum_exp(logits, vocab);
}

/* out [n] stays sorted; most tokens are less likely than its last. */
void logits_likeliest(const float *logits, size_t vocab, size_t n, struct token_chance *out)
{
    double norm = log_sum_exp(logits, vocab);
    size_t held = 0;
    for (size_t i = 0; i < vocab && n; i++) {
        double logprob = (double)logits[i] - norm;
        if (held == n && logprob <= out[n - 1].logprob)
            continue;
        size_t at = held < n ? held++ : n - 1;
        for (; at && out[at - 1].logprob < logprob; at--)
            out[at] = out[at - 1];
        out[at] = (struct token_chance){(uint32_t)i, logprob};
    }
}
