/*
 * lion: the optimiser of Chen et al. 2023 (arXiv:2302.06675, algorithm 2): the sign of a running
 * mean, which is all the memory that it needs.
 */
#ifndef COMPUTE_LION_H
#define COMPUTE_LION_H

#include <stddef.h>

struct lion {
    double beta1, beta2, weight_decay;
};

/*
 * One update of p [n] with running mean m [n] and the gradient scale * g [n]:
 *     p -= lr * (sign(beta1*m + (1-beta1)*g) + weight_decay*p);  m = beta2*m + (1-beta2)*g
 */
void lion_update(const struct lion *o, float *p, float *m, const float *g, size_t n, double scale,
                 double lr);

#endif
