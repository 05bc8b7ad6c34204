#include "model/gguf_meta.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { QUANTIZATION_VERSION = 2 }; /* of ggml's block formats as they are today */

/* "llama.block_count" and its like. */
static void add_u32(struct gguf_writer *w, const char *architecture, const char *key, size_t v)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", architecture, key);
    gguf_writer_u32(w, full, (uint32_t)v);
}

static void add_f32(struct gguf_writer *w, const char *architecture, const char *key, double v)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", architecture, key);
    gguf_writer_f32(w, full, (float)v);
}

void gguf_add_config(struct gguf_writer *w, const struct model_config *c, const char *name)
{
    const char *a = c->architecture;
    gguf_writer_string(w, "general.architecture", a, strlen(a));
    gguf_writer_string(w, "general.type", "model", 5);
    gguf_writer_string(w, "general.name", name, strlen(name));
    add_u32(w, a, "block_count", c->n_layers);
    add_u32(w, a, "context_length", c->max_positions);
    add_u32(w, a, "embedding_length", c->hidden);
    add_u32(w, a, "feed_forward_length", c->ffn);
    add_u32(w, a, "attention.head_count", c->n_heads);
    add_u32(w, a, "attention.head_count_kv", c->n_kv_heads);
    if (c->head_dim * c->n_heads != c->hidden) {
        add_u32(w, a, "attention.key_length", c->head_dim);
        add_u32(w, a, "attention.value_length", c->head_dim);
    }
    add_f32(w, a, "attention.layer_norm_rms_epsilon", c->norm_eps);
    add_f32(w, a, "rope.freq_base", c->rope.theta);
    add_u32(w, a, "rope.dimension_count", c->head_dim);
    if (c->rope.scaling == ROPE_LINEAR) {
        char key[128];
        snprintf(key, sizeof key, "%s.rope.scaling.type", a);
        gguf_writer_string(w, key, "linear", 6);
        add_f32(w, a, "rope.scaling.factor", c->rope.factor);
    }
    add_u32(w, a, "vocab_size", c->vocab);
    gguf_writer_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
}

bool gguf_rope_divisors(const struct model_config *config, float *divisors)
{
    if (config->rope.scaling != ROPE_LLAMA3)
        return false;
    struct model_config plain = *config;
    size_t n = config->head_dim / 2;
    float *scaled = xcalloc(n, sizeof *scaled);
    plain.rope.scaling = ROPE_DEFAULT;
    rope_inv_freq(&config->rope, config->head_dim, false, scaled);
    rope_inv_freq(&plain.rope, config->head_dim, false, divisors);
    for (size_t i = 0; i < n; i++)
        divisors[i] /= scaled[i];
    free(scaled);
    return true;
}
