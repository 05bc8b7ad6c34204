#include "model/measure.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "compute/rows.h"

double logits_log_sum(const float *logits, size_t vocab, float *scratch, float *max)
{
    memcpy(scratch, logits, vocab * sizeof *logits);
    *max = row_max(logits, vocab);
    return (double)*max + log(row_exp_long(scratch, vocab, *max));
}

static size_t find_first(const float *x, size_t n, float value)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] == value)
            return i;
    return n; /* they are no numbers */
}

/* A vocabulary is long: blocks are added in double. */
static double dot(const float *a, const float *b, size_t n)
{
    enum { BLOCK = 4096 };
    double sum = 0;
    for (size_t i = 0; i < n; i += BLOCK)
        sum += (double)row_dot(a + i, b + i, size_min(BLOCK, n - i));
    return sum;
}

void measure_token(const float *logits, float *other, size_t vocab, uint32_t target, float *scratch,
                   struct measured_token *out)
{
    float max;
    double log_sum = logits_log_sum(logits, vocab, scratch, &max);
    size_t top = find_first(logits, vocab, max);
    double logprob = (double)logits[target] - log_sum;
    *out = (struct measured_token){.logprob = (float)logprob,
                                   .confidence = (float)exp((double)max - log_sum),
                                   .right = top == target};
    if (!other)
        return;
    double other_sum = logits_log_sum(other, vocab, scratch, &max);
    double other_target = (double)other[target] - other_sum;
    out->same_top = top == find_first(other, vocab, max);
    out->delta = (float)(exp(logprob) - exp(other_target));
    row_add(other, logits, vocab, -1);
    double mean = dot(scratch, other, vocab) / exp(other_sum - (double)max);
    out->divergence = (float)(mean - other_sum + log_sum);
}
