#include "model/adapter_config.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/adapter.h"
#include "model/names.h"
#include "text/pattern.h"

/* Keys that say how an adapter was trained or made, and nothing about what it does when applied. */
static const char *const harmless[] = {
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "fan_in_fan_out" /* how the base stores a matrix, which its architecture tells */,
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
};

/* Keys that adapter_settings_read reads. */
static const char *const understood[] = {
    "alpha_pattern",   "bias",
    "exclude_modules", "init_lora_weights",
    "layers_pattern",  "layers_to_transform",
    "lora_alpha",      "modules_to_save",
    "peft_type",       "r",
    "rank_pattern",    "target_modules",
    "use_dora",        "use_rslora",
};

static bool among(const char *key, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(key, list[i]))
            return true;
    return false;
}

static bool says_nothing(const json_t *v)
{
    return json_is_null(v) || json_is_false(v) || (json_is_array(v) && !json_array_size(v)) ||
           (json_is_object(v) && !json_object_size(v)) ||
           (json_is_string(v) && !json_string_length(v));
}

static int check_keys(const json_t *config, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach(
        (json_t *)(uintptr_t)config, key,
        v) if (!says_nothing(v) && !among(key, harmless, ARRAY_SIZE(harmless)) &&
               !among(key, understood,
                      ARRAY_SIZE(understood))) return err_set(err,
                                                              "\"%s\" is not supported, and "
                                                              "ignoring it would change the result",
                                                              key);
    return 0;
}

/* Some initialisations take a part out of the base, which the adapter then doesn't fit as it is. */
static int check_init(const json_t *config, struct err *err)
{
    static const char *const fine[] = {"gaussian", "eva", "orthogonal"};
    const json_t *init = json_object_get(config, "init_lora_weights");
    if (!json_is_string(init) || among(json_string_value(init), fine, ARRAY_SIZE(fine)))
        return 0;
    return err_set(
        err,
        "init_lora_weights \"%s\" is not supported: such an adapter belongs to a changed "
        "base; PEFT converts it with path_initial_model_for_weight_conversion",
        json_string_value(init));
}

/* NULL for a key that is absent or says nothing; *bad when its type is none of the two. */
static const json_t *get(const json_t *config, const char *key, json_type one, json_type other,
                         const char **bad)
{
    const json_t *v = json_object_get(config, key);
    if (!v || says_nothing(v))
        return NULL;
    if (json_typeof(v) == one || json_typeof(v) == other)
        return v;
    if (!*bad)
        *bad = key;
    return NULL;
}

static bool all_strings(const json_t *v)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)v, i, item) if (!json_is_string(item)) return false;
    return true;
}

const char *const adapter_bias_choices[] = {"none", "all", "lora_only", NULL};

static int read_bias(struct adapter_settings *s, const json_t *config, struct err *err)
{
    const char *bias = json_string_value(json_object_get(config, "bias"));
    for (size_t i = 0; bias && adapter_bias_choices[i]; i++)
        if (!strcmp(bias, adapter_bias_choices[i])) {
            s->bias = (enum adapter_bias)i;
            return 0;
        }
    return bias ? err_set(err, "\"bias\" is \"%s\", which is none of none, all, lora_only", bias)
                : 0;
}

int adapter_settings_read(struct adapter_settings *s, const json_t *config, struct err *err)
{
    *s = (struct adapter_settings){0};
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    if (!type || strcmp(type, "LORA") != 0)
        return err_set(err, "peft_type is \"%s\", only LORA is supported", type ? type : "");
    if (check_keys(config, err) || check_init(config, err))
        return -1;
    const json_t *r = json_object_get(config, "r"), *alpha = json_object_get(config, "lora_alpha");
    if (!json_is_integer(r) || json_integer_value(r) < 1 || json_integer_value(r) > 1 << 20)
        return err_set(err, "\"r\" is not a positive whole number");
    if (!json_is_number(alpha) || !isfinite(json_number_value(alpha)))
        return err_set(err, "\"lora_alpha\" is not a number");
    if (read_bias(s, config, err))
        return -1;
    s->r = (size_t)json_integer_value(r);
    s->alpha = json_number_value(alpha);
    s->rslora = json_is_true(json_object_get(config, "use_rslora"));
    s->dora = json_is_true(json_object_get(config, "use_dora"));

    const char *bad = NULL;
    s->rank_pattern = get(config, "rank_pattern", JSON_OBJECT, JSON_OBJECT, &bad);
    s->alpha_pattern = get(config, "alpha_pattern", JSON_OBJECT, JSON_OBJECT, &bad);
    s->targets = get(config, "target_modules", JSON_STRING, JSON_ARRAY, &bad);
    s->excluded = get(config, "exclude_modules", JSON_STRING, JSON_ARRAY, &bad);
    s->layers = get(config, "layers_to_transform", JSON_INTEGER, JSON_ARRAY, &bad);
    s->layers_pattern = get(config, "layers_pattern", JSON_STRING, JSON_ARRAY, &bad);
    s->whole = get(config, "modules_to_save", JSON_ARRAY, JSON_ARRAY, &bad);
    if (bad)
        return err_set(err, "\"%s\" has a value of the wrong type", bad);
    if (!s->targets && !s->whole)
        return err_set(err, "\"target_modules\" names no module");
    if (!all_strings(s->targets) || !all_strings(s->excluded) || !all_strings(s->layers_pattern) ||
        !all_strings(s->whole))
        return err_set(err, "a list of module names holds something else");
    return 0;
}

static bool any_ending(const json_t *list, const char *module)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       item) if (names_ends_in(module, json_string_value(item))) return true;
    return false;
}

static bool any_equal(const json_t *list, const char *module)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       item) if (!strcmp(module, json_string_value(item))) return true;
    return false;
}

/* before + pattern + after as one pattern. */
static int matches_around(const char *before, const char *pattern, const char *after,
                          const char *text, bool *matches, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s%s%s", before, pattern, after);
    int status = pattern_matches(b.p, text, matches, err);
    buf_release(&b);
    return status;
}

/*
 * The number of the module's layer: its first part that is a number, has something behind it, and
 * before it, at a dot, what layers_pattern says (anything of two parts without one). -1: none.
 */
static int layer_of(const struct adapter_settings *s, const char *module, long *layer,
                    struct err *err)
{
    *layer = -1;
    int parts = 0;
    for (const char *p = module; (p = strchr(p, '.')); p++) {
        char *end;
        parts++;
        if (!isdigit((unsigned char)p[1]))
            continue;
        long number = strtol(p + 1, &end, 10);
        if (*end != '.')
            continue;
        bool fits = parts >= 2;
        if (s->layers_pattern) {
            size_t n = json_is_array(s->layers_pattern) ? json_array_size(s->layers_pattern) : 1;
            char *before = xmemdup0(module, (size_t)(p - module));
            int status = 0;
            fits = false;
            for (size_t i = 0; i < n && !fits && !status; i++) {
                const json_t *v = json_is_array(s->layers_pattern)
                                      ? json_array_get(s->layers_pattern, i)
                                      : s->layers_pattern;
                status =
                    matches_around("(?:^|.*?\\.)", json_string_value(v), "", before, &fits, err);
            }
            free(before);
            if (status)
                return -1;
        }
        if (fits) {
            *layer = number;
            return 0;
        }
    }
    return 0;
}

static bool names_layer(const json_t *layers, long layer)
{
    size_t i;
    json_t *item;
    if (json_is_integer(layers))
        return json_integer_value(layers) == layer;
    json_array_foreach((json_t *)(uintptr_t)layers, i,
                       item) if (json_is_integer(item) &&
                                 json_integer_value(item) == layer) return true;
    return false;
}

bool adapter_saves(const char *name, const char *module)
{
    size_t n = strlen(name);
    for (const char *end = module; *end; end++)
        if ((!end[1] || end[1] == '.') && (size_t)(end + 1 - module) >= n &&
            !memcmp(end + 1 - n, name, n))
            return true;
    return false;
}

/* What LoRA leaves alone since modules_to_save names it: at a dot, as PEFT's
 * check_target_module_exists has it. */
static int settings_whole(const struct adapter_settings *s, const char *module, bool *whole,
                          struct err *err)
{
    size_t i;
    json_t *item;
    *whole = false;
    json_array_foreach((json_t *)(uintptr_t)s->whole, i,
                       item) if (!*whole &&
                                 matches_around("(?:^|.*\\.)", json_string_value(item),
                                                "(?:$|\\..*)", module, whole, err)) return -1;
    return 0;
}

/* The rules and their order are those of PEFT's check_target_module_exists. */
int adapter_settings_target(const struct adapter_settings *s, const char *module, bool linear,
                            bool *targeted, struct err *err)
{
    bool excluded = false;
    *targeted = false;
    if (json_is_string(s->excluded)) {
        if (pattern_matches(json_string_value(s->excluded), module, &excluded, err))
            return err_prefix(err, "exclude_modules");
    } else {
        excluded = any_ending(s->excluded, module);
    }
    if (!excluded && settings_whole(s, module, &excluded, err))
        return err_prefix(err, "modules_to_save");
    if (excluded || !s->targets)
        return 0;
    if (json_is_string(s->targets)) {
        const char *text = json_string_value(s->targets);
        if (!strcmp(text, "all-linear"))
            *targeted = linear;
        else if (pattern_matches(text, module, targeted, err))
            return err_prefix(err, "target_modules");
        return 0;
    }
    *targeted = any_ending(s->targets, module);
    if (*targeted && s->layers && !any_equal(s->targets, module)) {
        long layer;
        if (layer_of(s, module, &layer, err))
            return err_prefix(err, "layers_pattern");
        *targeted = layer >= 0 && names_layer(s->layers, layer);
    }
    return 0;
}

int adapter_settings_tensor(const struct adapter_settings *s, const char *tensor, bool *whole,
                            struct err *err)
{
    const char *dot = strrchr(tensor, '.');
    char *module = xmemdup0(tensor, dot ? (size_t)(dot - tensor) : strlen(tensor));
    size_t i;
    json_t *v;
    int status = 0;
    *whole = false;
    json_array_foreach((json_t *)(uintptr_t)s->whole, i, v)
    {
        *whole = *whole || adapter_saves(json_string_value(v), module);
    }
    if (!*whole && dot && !strcmp(dot, ".bias")) {
        if (s->bias == BIAS_ALL)
            *whole = true;
        else if (s->bias == BIAS_OF_TARGETS)
            status = adapter_settings_target(s, module, true, whole, err);
    }
    free(module);
    return status;
}

/* The value of the first key that the module's path ends in, at a dot; NULL for none. */
static int look_up(const json_t *patterns, const char *module, const json_t **value,
                   struct err *err)
{
    const char *key;
    json_t *v;
    *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v)
    {
        bool matches;
        if (matches_around("(.*\\.)?(", key, ")$", module, &matches, err))
            return -1;
        if (matches) {
            *value = v;
            return 0;
        }
    }
    return 0;
}

int adapter_settings_scale(const struct adapter_settings *s, const char *module, size_t *r,
                           double *scale, struct err *err)
{
    const json_t *v;
    double alpha = s->alpha;
    *r = s->r;
    if (look_up(s->rank_pattern, module, &v, err))
        return err_prefix(err, "rank_pattern");
    if (v && (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 1 << 20))
        return err_set(err, "rank_pattern: the rank of %s is not a positive whole number", module);
    if (v)
        *r = (size_t)json_integer_value(v);
    if (look_up(s->alpha_pattern, module, &v, err))
        return err_prefix(err, "alpha_pattern");
    if (v && (!json_is_number(v) || !isfinite(json_number_value(v))))
        return err_set(err, "alpha_pattern: the alpha of %s is not a number", module);
    if (v)
        alpha = json_number_value(v);
    *scale = alpha / (s->rslora ? sqrt((double)*r) : (double)*r);
    return 0;
}
