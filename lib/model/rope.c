#include "model/rope.h"

#include <math.h>

bool rope_depends_on_length(const struct rope_config *rope)
{
    return rope->scaling == ROPE_LONGROPE;
}

/* transformers' _compute_llama3_parameters; "wavelength" is in positions. */
static float llama3_frequency(const struct rope_config *rope, float freq)
{
    double low_wavelength = (double)rope->original_positions / rope->low_freq_factor;
    double high_wavelength = (double)rope->original_positions / rope->high_freq_factor;
    double wavelength = 2 * 3.14159265358979323846 / (double)freq;
    if (wavelength < high_wavelength)
        return freq;
    if (wavelength > low_wavelength)
        return (float)((double)freq / rope->factor);
    double smooth = ((double)rope->original_positions / wavelength - rope->low_freq_factor) /
                    (rope->high_freq_factor - rope->low_freq_factor);
    return (float)((1 - smooth) * (double)freq / rope->factor + smooth * (double)freq);
}

void rope_inv_freq(const struct rope_config *rope, size_t rotary_dim, bool beyond, float *inv_freq)
{
    for (size_t i = 0; i < rotary_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)rotary_dim;
        float freq = 1 / (float)pow(rope->theta, (double)exponent);
        if (rope->scaling == ROPE_LINEAR)
            freq = (float)((double)freq / rope->factor);
        else if (rope->scaling == ROPE_LLAMA3)
            freq = llama3_frequency(rope, freq);
        if (rope->has_divisors)
            freq /= rope->divisors[beyond][i];
        inv_freq[i] = freq;
    }
}
