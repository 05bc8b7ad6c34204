/* llama3's rope scaling from its divisors, which are all that GGUF keeps of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_rope.h"

/*
 * With s = (P/wavelength - low) / (high - low) and 1/divisor = (1 - s)/factor + s, s is a straight
 * line over 1/wavelength, which any two pairs on the ramp determine; of the numbers that give this
 * line, low = 1 is the usual choice.
 */
static void fit_line(const double *s, const float *freq, size_t first, size_t last,
                     struct rope_config *found)
{
    const double turn = 2 * 3.14159265358979323846;
    double x0 = (double)freq[first] / turn, x1 = (double)freq[last] / turn;
    double slope = (s[first] - s[last]) / (x0 - x1), high = 1 + 1 / (slope * x0 - s[first]);
    found->high_freq_factor = fabs(high - round(high)) < 1e-3 * high ? round(high) : high;
    double positions = slope * (found->high_freq_factor - 1);
    found->original_positions =
        positions >= 1 && positions < 1e9 ? (uint64_t)llround(positions) : 1;
}

bool rope_llama3_of_divisors(const struct rope_config *rope, size_t rotary_dim,
                             struct rope_config *found)
{
    size_t n = rotary_dim / 2, first = n, last = n;
    struct rope_config plain = *rope;
    float freq[ROPE_MAX_PAIRS], got[ROPE_MAX_PAIRS];
    double factor = 1, s[ROPE_MAX_PAIRS];
    plain.has_divisors = false;
    rope_inv_freq(&plain, rotary_dim, false, freq);
    for (size_t i = 0; i < n; i++) {
        s[i] = (double)rope->divisors[0][i];
        factor = s[i] > factor ? s[i] : factor;
    }
    for (size_t i = 0; i < n; i++) {
        s[i] = factor > 1 ? (1 / s[i] - 1 / factor) / (1 - 1 / factor) : 1;
        if (s[i] > 1e-6 && s[i] < 1 - 1e-6) {
            first = first == n ? i : first;
            last = i;
        }
    }
    *found = (struct rope_config){.scaling = ROPE_LLAMA3,
                                  .theta = rope->theta,
                                  .factor = factor,
                                  .low_freq_factor = 1,
                                  .high_freq_factor = 4,
                                  .original_positions = 8192,
                                  .attention_factor = 1};
    if (first != last)
        fit_line(s, freq, first, last, found);
    rope_inv_freq(found, rotary_dim, false, got);
    rope_inv_freq(rope, rotary_dim, false, freq);
    bool fits = found->high_freq_factor > 1;
    for (size_t i = 0; i < n; i++)
        fits = fits && fabsf(got[i] - freq[i]) <= 1e-5f * freq[i];
    return fits;
}
