/*
 * config_keys: the keys of an architecture, said once for both formats and both directions.
 *
 * An architecture's describe function (arch.h) goes through the fields of struct model_config and
 * names each one's key in config.json and in GGUF, where GGUF's are without the architecture's name
 * in front ("block_count" for "llama.block_count"). The same calls read either format into the
 * fields and write the fields to either. NULL: that format has no such key, and reading takes the
 * fallback. The first error sticks; later calls do no harm.
 */
#ifndef MODEL_CONFIG_KEYS_H
#define MODEL_CONFIG_KEYS_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "model/config.h"
#include "model/names.h"

enum keys_mode { KEYS_READ_JSON, KEYS_READ_GGUF, KEYS_WRITE_JSON, KEYS_WRITE_GGUF };

enum { KEYS_MAX = 128 };

struct config_keys {
    enum keys_mode mode;
    const json_t *json; /* read */
    json_t *json_out;   /* written */
    const struct gguf *gguf;
    const struct checkpoint *checkpoint; /* read: of the GGUF file's tensors */
    struct gguf_writer *gguf_out;
    const char *prefix;          /* GGUF's name of the architecture */
    const char *where;           /* "model/config.json": for messages */
    const char *asked[KEYS_MAX]; /* keys that the description knows */
    size_t n_asked;
    struct err *err;
    bool failed;
};

static inline bool keys_are_read(const struct config_keys *k)
{
    return k->mode == KEYS_READ_JSON || k->mode == KEYS_READ_GGUF;
}

/* The error, unless there was one before. */
void keys_fail(struct config_keys *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void keys_fail_value(struct config_keys *k, const char *key, const char *expected);

#define KEYS_REQUIRED (-1)

/* A whole number up to 2^31; with fallback 0 also 0, which is null in config.json and no key in
 * GGUF. */
void keys_size(struct config_keys *k, size_t *v, const char *json, const char *gguf,
               int64_t fallback);
/* A real number; fallback NAN: required. 0 as above where the fallback is 0. */
void keys_real(struct config_keys *k, double *v, const char *json, const char *gguf,
               double fallback);
/* What may be said not to be there: 0, null in config.json. fallback: of a file without the key. */
void keys_size_or_none(struct config_keys *k, size_t *v, const char *json, const char *gguf,
                       int64_t fallback);
void keys_real_or_none(struct config_keys *k, double *v, const char *json, const char *gguf,
                       double fallback);
/* config.json alone; in GGUF files the fallback holds, and what differs can't be written. */
void keys_bool(struct config_keys *k, bool *v, const char *json, bool fallback);
/* Whether the slot has biases: a key of config.json, or without one the fallback; in GGUF files
 * whether the tensor is there. */
void keys_bias(struct config_keys *k, const struct model_config *c, bool *v, const char *json,
               bool fallback, enum slot slot);
/* A choice of words, the first of which is what is written: words[i] stands for values[i]. */
struct key_word {
    const char *word;
    int value;
};
void keys_word(struct config_keys *k, int *v, const char *json, const struct key_word *words,
               size_t n_words, const char *fallback);
void keys_activation(struct config_keys *k, struct model_config *c, const char *json,
                     const char *fallback);
/* A key of config.json that this architecture's results don't depend on. */
void keys_ignore(struct config_keys *k, const char *json);

/* What most architectures have under llama's names: sizes, vocabulary, whether the head is tied,
 * and special tokens. */
void keys_sizes(struct config_keys *k, struct model_config *c);
/* 0: as many as query heads. */
void keys_kv_heads(struct config_keys *k, struct model_config *c, size_t fallback);
/* 0: hidden / n_heads. Sets attention_scale to 1/sqrt(D). */
void keys_head_dim(struct config_keys *k, struct model_config *c, const char *json,
                   size_t fallback);
void keys_vocab(struct config_keys *k, struct model_config *c);
void keys_tied(struct config_keys *k, struct model_config *c, bool fallback);
void keys_rms_norm(struct config_keys *k, struct model_config *c, double fallback);
void keys_layer_norm(struct config_keys *k, struct model_config *c, const char *json);

/*
 * Which layers see a window only: the list "layer_types" of config.json, or by rule (NULL: as they
 * are). GGUF has the rule alone, so that others can't be written (NULL: none).
 */
typedef bool layer_rule(const struct model_config *c, size_t layer);
void keys_window(struct config_keys *k, struct model_config *c, size_t fallback);
void keys_layer_types(struct config_keys *k, struct model_config *c, layer_rule *sliding);
/* A flag of all layers, by a list of 0 and 1 where 0 sets it; `by` has it when there is no list. */
void keys_layer_list(struct config_keys *k, struct model_config *c, enum layer_flag flag,
                     const char *json, layer_rule *by);
void keys_set_layers(struct model_config *c, enum layer_flag flag, layer_rule *by);
bool keys_layers_follow(const struct model_config *c, enum layer_flag flag, layer_rule *by);
bool keys_every_layer(const struct model_config *c, size_t layer);

/* Rotary embeddings, in both of config.json's styles: "rope_theta" and "rope_scaling", or
 * "rope_parameters". */
struct rope_keys {
    const char *theta;    /* "rope_theta" */
    double default_theta; /* 0: 10000 */
    const char *partial;  /* "partial_rotary_factor"; NULL: whole heads are rotated */
    double default_partial;
    const char
        *local_theta; /* sliding layers have local_rope with this base; NULL: no local_rope */
};
void keys_rope(struct config_keys *k, struct model_config *c, const struct rope_keys *names);

/* Every key was asked for, is known as harmless, or says nothing: else an error names it. */
int keys_check_json(struct config_keys *k, bool whole_file);
int keys_check_gguf(struct config_keys *k);

/* For the files that make these up. */
const json_t *keys_find_json(struct config_keys *k, const char *key);
const char *keys_full_gguf(const struct config_keys *k, const char *key, char full[128]);
json_t *json_real_of_float(double v);

#endif
