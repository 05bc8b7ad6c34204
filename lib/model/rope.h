/*
 * rope: the angles of rotary position embeddings (Su et al. 2021, arXiv:2104.09864) with the
 * scalings of published models, as transformers' modeling_rope_utils computes them in float32.
 */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROPE_MAX_PAIRS = 512 };

enum rope_scaling {
    ROPE_DEFAULT,
    ROPE_LINEAR,   /* frequencies divided by factor */
    ROPE_LLAMA3,   /* low frequencies divided by factor, high ones kept, a ramp between */
    ROPE_YARN,     /* the same with the ramp over the pairs (Peng et al. 2023, arXiv:2309.00071) */
    ROPE_LONGROPE, /* each pair has its divisor, another one in long documents (arXiv:2402.13753) */
};

struct rope_config {
    enum rope_scaling scaling;
    double theta;
    double factor;                            /* linear, llama3, yarn */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn: turns in original_positions where the ramp
                                                 begins and ends */
    bool truncate;                            /* yarn: the ramp's ends are whole pairs */
    uint64_t original_positions; /* llama3, yarn, longrope: positions trained on before scaling */
    /* Every cosine and sine is multiplied by it, and so the scores of rotated dimensions by its
     * square; 1 but for yarn and longrope. */
    double attention_factor;
    /* What each pair's frequency is divided by beside all that: [0] in documents of up to
     * original_positions tokens, [1] in longer ones; equal for GGUF's rope_freqs.weight. */
    bool has_divisors;
    float divisors[2][ROPE_MAX_PAIRS];
};

/* Whether the angles of a document depend on whether it has more than original_positions tokens. */
bool rope_depends_on_length(const struct rope_config *rope);

/*
 * inv_freq [rotary_dim / 2]: radians a position for each pair of a head. beyond: of documents with
 * more than original_positions tokens.
 */
void rope_inv_freq(const struct rope_config *rope, size_t rotary_dim, bool beyond, float *inv_freq);

#endif
