/*
 * route: which experts of a mixture a token goes to, and with what weights.
 *
 * p = softmax(logits) over all experts; the `used` largest are chosen (Shazeer et al. 2017,
 * arXiv:1701.06538; Jiang et al. 2024, arXiv:2401.04088) and weigh their experts' outputs, divided
 * by their sum where `normalised`.
 */
#ifndef COMPUTE_ROUTE_H
#define COMPUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route_shape {
    size_t n_experts, used; /* used <= n_experts */
    bool normalised;
};

/* One token: logits [n_experts] become p; expert [used] ascending (of equal p the first are chosen)
 * and weight [used]. */
void route_forward(const struct route_shape *shape, float *logits, uint32_t *expert, float *weight);

/* The gradient of the logits [n_experts] from that of the weights. The choice itself has none. */
void route_backward(const struct route_shape *shape, const float *p, const uint32_t *expert,
                    const float *weight, const float *d_weight, float *d_logits);

#endif
