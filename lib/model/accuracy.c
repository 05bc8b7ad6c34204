#include "model/accuracy.h"

#include <math.h>

struct accuracy accuracy_of(const double *v, size_t n)
{
    double sum = 0, squares = 0, count = (double)n;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    double mean = sum / count;
    for (size_t i = 0; i < n; i++)
        squares += (v[i] - mean) * (v[i] - mean);
    return (struct accuracy){mean, sqrt(squares / (count - 1) / count)};
}
