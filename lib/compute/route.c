#include "compute/route.h"

#include <string.h>

#include "compute/rows.h"

/* Whether fewer than `used` experts come before expert e: larger ones, and equal ones with lower
 * numbers. */
static bool is_chosen(const struct route_shape *s, const float *p, size_t e)
{
    size_t before = 0;
    for (size_t i = 0; i < s->n_experts && before < s->used; i++)
        before += p[i] > p[e] || (i < e && p[i] == p[e]);
    return before < s->used;
}

void route_forward(const struct route_shape *s, float *logits, uint32_t *expert, float *weight)
{
    size_t n = 0;
    float max = row_max(logits, s->n_experts);
    row_scale(logits, s->n_experts, 1 / row_exp(logits, s->n_experts, max));
    for (size_t e = 0; e < s->n_experts && n < s->used; e++)
        if (is_chosen(s, logits, e)) {
            expert[n] = (uint32_t)e;
            weight[n++] = logits[e];
        }
    if (s->normalised)
        row_scale(weight, s->used, 1 / row_sum(weight, s->used));
}

/*
 * With w_i = p_i / S over the chosen: dp_i = (dw_i - sum_j w_j dw_j) / S; else dp_i = dw_i. Then
 * the softmax: dl_e = p_e (dp_e - sum_i p_i dp_i), dp = 0 of those that weren't chosen.
 */
void route_backward(const struct route_shape *s, const float *p, const uint32_t *expert,
                    const float *weight, const float *d_weight, float *d_logits)
{
    float sum = 0, shared = 0, along = 0;
    for (size_t i = 0; i < s->used; i++) {
        sum += p[expert[i]];
        shared += weight[i] * d_weight[i];
    }
    memset(d_logits, 0, s->n_experts * sizeof *d_logits);
    for (size_t i = 0; i < s->used; i++) {
        float dp = s->normalised ? (d_weight[i] - shared) / sum : d_weight[i];
        d_logits[expert[i]] = dp;
        along += p[expert[i]] * dp;
    }
    for (size_t e = 0; e < s->n_experts; e++)
        d_logits[e] = p[e] * (d_logits[e] - along);
}
