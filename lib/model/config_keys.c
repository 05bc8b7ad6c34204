/* Keys of either format, read or written. */
#include "model/config_keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void keys_fail(struct config_keys *k, const char *fmt, ...)
{
    va_list args;
    char message[600];
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    if (!k->failed)
        err_set(k->err, "%s: %s", k->where, message);
    k->failed = true;
}

void keys_fail_value(struct config_keys *k, const char *key, const char *expected)
{
    keys_fail(k, "\"%s\": expected %s", key, expected);
}

static void remember(struct config_keys *k, const char *key)
{
    if (k->n_asked < KEYS_MAX)
        k->asked[k->n_asked++] = key;
}

const json_t *keys_find_json(struct config_keys *k, const char *key)
{
    remember(k, key);
    const json_t *v = json_object_get(k->json, key);
    return v && !json_is_null(v) ? v : NULL;
}

const char *keys_full_gguf(const struct config_keys *k, const char *key, char full[128])
{
    snprintf(full, 128, "%s.%s", k->prefix, key);
    return full;
}

json_t *json_real_of_float(double v)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v)
            break;
    }
    return json_real(strtod(text, NULL));
}

/* The numbers of either format: *found, and false where the value is of another type. */
static bool read_number(struct config_keys *k, const char *json, const char *gguf, bool whole,
                        double *v, bool *found)
{
    char full[128];
    *found = false;
    if (k->mode == KEYS_READ_JSON) {
        const json_t *value = json ? keys_find_json(k, json) : NULL;
        *found = value != NULL;
        *v = json_number_value(value);
        return !value || (whole ? json_is_integer(value) : json_is_number(value));
    }
    if (!gguf)
        return true;
    remember(k, gguf);
    keys_full_gguf(k, gguf, full);
    uint64_t u;
    *found = gguf_find(k->gguf, full) != NULL;
    if (!whole)
        return !*found || gguf_get_f64(k->gguf, full, v);
    if (!*found || !gguf_get_u64(k->gguf, full, &u))
        return !*found;
    *v = (double)u;
    return true;
}

static const char *key_of(const struct config_keys *k, const char *json, const char *gguf)
{
    return k->mode == KEYS_READ_JSON || k->mode == KEYS_WRITE_JSON ? json : gguf;
}

void keys_size(struct config_keys *k, size_t *v, const char *json, const char *gguf,
               int64_t fallback)
{
    char full[128];
    double number = 0;
    bool found;
    if (k->mode == KEYS_WRITE_JSON && json) {
        json_object_set_new(k->json_out, json,
                            *v || fallback ? json_integer((json_int_t)*v) : json_null());
    } else if (k->mode == KEYS_WRITE_GGUF && gguf && (*v || fallback)) {
        gguf_writer_u32(k->gguf_out, keys_full_gguf(k, gguf, full), (uint32_t)*v);
    } else if (keys_are_read(k)) {
        bool fits = read_number(k, json, gguf, true, &number, &found);
        if (!found && fallback == KEYS_REQUIRED)
            keys_fail(k, "key \"%s\" is missing", key_of(k, json, gguf));
        else if (found && (!fits || number < (fallback ? 1 : 0) || number > INT32_MAX))
            keys_fail_value(k, key_of(k, json, gguf), "a positive whole number");
        *v = k->failed ? 1 : found ? (size_t)number : (size_t)fallback;
    }
}

void keys_real(struct config_keys *k, double *v, const char *json, const char *gguf,
               double fallback)
{
    char full[128];
    bool found, writable = *v != 0 || fallback != 0;
    if (k->mode == KEYS_WRITE_JSON && json) {
        json_object_set_new(k->json_out, json, writable ? json_real_of_float(*v) : json_null());
    } else if (k->mode == KEYS_WRITE_GGUF && !gguf && *v != fallback) {
        keys_fail(k, "no key can say \"%s\": %g", json, *v);
    } else if (k->mode == KEYS_WRITE_GGUF && gguf && writable) {
        gguf_writer_f32(k->gguf_out, keys_full_gguf(k, gguf, full), (float)*v);
    } else if (keys_are_read(k)) {
        double number = 0;
        bool fits = read_number(k, json, gguf, false, &number, &found);
        if (!found && isnan(fallback))
            keys_fail(k, "key \"%s\" is missing", key_of(k, json, gguf));
        else if (found && (!fits || !isfinite(number)))
            keys_fail_value(k, key_of(k, json, gguf), "a number");
        *v = k->failed ? 1 : found ? number : fallback;
    }
}

static bool is_null(const struct config_keys *k, const char *json)
{
    return k->mode == KEYS_READ_JSON && json_is_null(json_object_get(k->json, json));
}

void keys_size_or_none(struct config_keys *k, size_t *v, const char *json, const char *gguf,
                       int64_t fallback)
{
    keys_size(k, v, json, gguf, keys_are_read(k) && !is_null(k, json) ? fallback : 0);
}

void keys_real_or_none(struct config_keys *k, double *v, const char *json, const char *gguf,
                       double fallback)
{
    keys_real(k, v, json, gguf, keys_are_read(k) && !is_null(k, json) ? fallback : 0);
}

void keys_bool(struct config_keys *k, bool *v, const char *json, bool fallback)
{
    if (k->mode == KEYS_WRITE_JSON)
        json_object_set_new(k->json_out, json, json_boolean(*v));
    if (k->mode == KEYS_WRITE_GGUF && *v != fallback)
        keys_fail(k, "no key can say \"%s\": %s", json, *v ? "true" : "false");
    if (k->mode == KEYS_READ_GGUF)
        *v = fallback;
    if (k->mode != KEYS_READ_JSON)
        return;
    const json_t *value = keys_find_json(k, json);
    if (value && !json_is_boolean(value))
        keys_fail_value(k, json, "true or false");
    *v = value ? json_is_true(value) : fallback;
}

void keys_bias(struct config_keys *k, const struct model_config *c, bool *v, const char *json,
               bool fallback, enum slot slot)
{
    struct tensor_name name;
    if (k->mode == KEYS_READ_JSON) {
        *v = fallback;
        if (json)
            keys_bool(k, v, json, fallback);
    } else if (k->mode == KEYS_READ_GGUF) {
        names_describe(c, SLOT_BIAS(slot), 0, &name);
        *v = checkpoint_find(k->checkpoint, name.gguf) != NULL;
    } else if (k->mode == KEYS_WRITE_JSON) {
        const json_t *before = json ? json_object_get(k->json_out, json) : NULL;
        if ((before && json_is_true(before) != *v) || (!json && *v != fallback))
            keys_fail(k, "config.json of this architecture can't say that %s has %s biases",
                      slot_name(slot), *v ? "" : "no");
        if (json)
            json_object_set_new(k->json_out, json, json_boolean(*v));
    }
}

void keys_word(struct config_keys *k, int *v, const char *json, const struct key_word *words,
               size_t n_words, const char *fallback)
{
    const char *word = fallback;
    for (size_t i = 0; k->mode == KEYS_WRITE_JSON && i < n_words; i++)
        if (words[i].value == *v) {
            json_object_set_new(k->json_out, json, json_string(words[i].word));
            return;
        }
    for (size_t i = 0; k->mode == KEYS_WRITE_GGUF && i < n_words; i++)
        if (!strcmp(words[i].word, fallback) && words[i].value != *v)
            keys_fail(k, "no key can say another \"%s\" than \"%s\"", json, fallback);
    if (!keys_are_read(k))
        return;
    if (k->mode == KEYS_READ_JSON) {
        const json_t *value = keys_find_json(k, json);
        if (value && !json_is_string(value)) {
            keys_fail_value(k, json, "a string");
            return;
        }
        word = value ? json_string_value(value) : fallback;
    }
    for (size_t i = 0; i < n_words; i++)
        if (!strcmp(words[i].word, word)) {
            *v = words[i].value;
            return;
        }
    keys_fail(k, "%s \"%.60s\" is not supported", json, word);
}

void keys_activation(struct config_keys *k, struct model_config *c, const char *json,
                     const char *fallback)
{
    static const struct key_word words[] = {
        {"silu", ACTIVATION_SILU},
        {"swish", ACTIVATION_SILU},
        {"gelu", ACTIVATION_GELU},
        {"gelu_python", ACTIVATION_GELU},
        {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
        {"gelu_new", ACTIVATION_GELU_TANH},
        {"gelu_fast", ACTIVATION_GELU_TANH},
        {"relu", ACTIVATION_RELU},
    };
    int v = (int)c->activation;
    keys_word(k, &v, json, words, ARRAY_SIZE(words), fallback);
    c->activation = (enum activation)v;
}

void keys_ignore(struct config_keys *k, const char *json)
{
    remember(k, json);
}
