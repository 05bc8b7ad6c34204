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

/* The pair, as a real number, that turns so many times in the original positions. */
static double yarn_pair(const struct rope_config *rope, size_t dim, double turns)
{
    double positions = (double)rope->original_positions;
    return (double)dim * log(positions / (turns * 2 * 3.14159265358979323846)) /
           (2 * log(rope->theta));
}

/* transformers' _compute_yarn_parameters: pairs that turn often keep their frequency, those that
 * turn rarely have it divided, and between them a straight line over the pair's number. */
static float yarn_frequency(const struct rope_config *rope, size_t dim, size_t i, float period)
{
    double low = yarn_pair(rope, dim, rope->beta_fast),
           high = yarn_pair(rope, dim, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)dim - 1);
    if (low == high)
        high += 0.001;
    float ramp = ((float)i - (float)low) / (float)(high - low);
    float keep = 1 - fminf(fmaxf(ramp, 0), 1);
    return 1 / ((float)rope->factor * period) * (1 - keep) + 1 / period * keep;
}

/* From a pair's period in positions, over 2 pi. The order of the roundings is transformers'. */
static float frequency(const struct rope_config *rope, size_t dim, size_t i, bool beyond,
                       float period)
{
    float freq = 1 / period;
    switch (rope->scaling) {
    case ROPE_DEFAULT:
        break;
    case ROPE_LINEAR:
        freq = (float)((double)freq / rope->factor);
        break;
    case ROPE_LLAMA3:
        freq = llama3_frequency(rope, freq);
        break;
    case ROPE_YARN:
        freq = yarn_frequency(rope, dim, i, period);
        break;
    case ROPE_LONGROPE:
        return 1 / (rope->divisors[beyond][i] * period);
    }
    return rope->has_divisors ? freq / rope->divisors[beyond][i] : freq;
}

void rope_inv_freq(const struct rope_config *rope, size_t rotary_dim, bool beyond, float *inv_freq)
{
    for (size_t i = 0; i < rotary_dim / 2; i++) {
        float exponent = (float)(2 * i) / (float)rotary_dim;
        float period = (float)pow(rope->theta, (double)exponent);
        inv_freq[i] = frequency(rope, rotary_dim, i, beyond, period);
    }
}
