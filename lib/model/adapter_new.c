/* New adapters: from a command line to PEFT's configuration, and from that to parameters. */
#include "model/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/adapter_config.h"
#include "model/names.h"

/* ---- the configuration ---- */

/* The parts between commas, sorted, each once. */
static json_t *split(const char *text)
{
    json_t *list = json_array();
    char *copy = xstrdup(text), *rest = copy, *part;
    while ((part = strsep(&rest, ","))) {
        size_t at = 0;
        if (!*part)
            continue;
        while (at < json_array_size(list) &&
               strcmp(json_string_value(json_array_get(list, at)), part) < 0)
            at++;
        const char *there = json_string_value(json_array_get(list, at));
        if (!there || strcmp(there, part) != 0)
            json_array_insert_new(list, at, json_string(part));
    }
    free(copy);
    return list;
}

/* As PEFT tells them apart: a list of names, or one pattern for the whole path. */
static json_t *names_or_pattern(const char *text)
{
    return text[strcspn(text, "([|*+?^$\\")] ? json_string(text) : split(text);
}

/* What target_modules "all-linear" stands for: the names of the model's linear layers. */
static json_t *linear_names(const struct model_config *config)
{
    struct buf b = BUF_INIT;
    for (enum slot slot = 0; slot < SLOT_COUNT; slot++)
        if (slot_is_linear(slot) && names_has_anywhere(config, slot))
            buf_addf(&b, "%s,", names_linear(config, slot));
    json_t *list = split(b.p);
    buf_release(&b);
    return list;
}

static json_t *targets_of(const struct adapter_options *o, const struct model_config *config)
{
    json_t *targets = names_or_pattern(o->targets), *v;
    size_t i;
    bool all = false;
    json_array_foreach(targets, i, v)
    {
        all = all || !strcmp(json_string_value(v), "all-linear");
    }
    if (!all)
        return targets;
    json_decref(targets);
    return linear_names(config);
}

static bool read_layer(const char **p, const struct model_config *config, size_t *layer)
{
    char *end;
    if (**p < '0' || **p > '9')
        return false;
    unsigned long v = strtoul(*p, &end, 10);
    *p = end;
    *layer = v;
    return v < config->n_layers;
}

/* "0,4-7" */
static json_t *layers_of(const char *text, const struct model_config *config, struct err *err)
{
    json_t *list = json_array();
    const char *p = text;
    for (;;) {
        size_t first, last;
        bool good = read_layer(&p, config, &first);
        last = first;
        if (good && *p == '-') {
            p++;
            good = read_layer(&p, config, &last) && last >= first;
        }
        if (!good || (*p && *p != ',')) {
            err_set(err, "--layers \"%s\": not numbers or ranges of layers 0-%zu", text,
                    config->n_layers - 1);
            json_decref(list);
            return NULL;
        }
        for (size_t i = first; i <= last; i++)
            json_array_append_new(list, json_integer((json_int_t)i));
        if (!*p++)
            return list;
    }
}

/* A whole number where it is one: PEFT's own type of lora_alpha. */
static json_t *number(double v)
{
    return v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v);
}

/* "NAME=NUMBER,...": sorted, as they will be when the file is read, where the first match counts.
 */
static json_t *pattern_of(const char *text, const char *option, struct err *err)
{
    json_t *object = json_object(), *list = split(text ? text : ""), *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        const char *item = json_string_value(v), *equals = strrchr(item, '=');
        char *end = NULL;
        double value = equals ? strtod(equals + 1, &end) : 0;
        if (!equals || equals == item || end == equals + 1 || *end || !(value > 0 && value < 1e9)) {
            err_set(err, "--%s \"%s\": not NAME=NUMBER", option, item);
            json_decref(object);
            json_decref(list);
            return NULL;
        }
        char *name = xmemdup0(item, (size_t)(equals - item));
        json_object_set_new(object, name, number(value));
        free(name);
    }
    json_decref(list);
    return object;
}

static json_t *null_or(json_t *v)
{
    return v ? v : json_null();
}

static void add_names(json_t *c, const struct adapter_options *o)
{
    json_object_set_new(c, "exclude_modules",
                        null_or(o->excluded ? names_or_pattern(o->excluded) : NULL));
    json_object_set_new(c, "modules_to_save", null_or(o->saved ? split(o->saved) : NULL));
    json_object_set_new(c, "bias", json_string(o->bias ? o->bias : "none"));
}

json_t *adapter_config_new(const struct adapter_options *o, const struct model_config *config,
                           const char *base, struct err *err)
{
    json_t *ranks = pattern_of(o->rank_pattern, "rank-pattern", err);
    json_t *alphas = ranks ? pattern_of(o->alpha_pattern, "alpha-pattern", err) : NULL;
    json_t *layers = alphas && o->layers ? layers_of(o->layers, config, err) : NULL;
    if (!ranks || !alphas || (o->layers && !layers)) {
        json_decref(ranks);
        json_decref(alphas);
        return NULL;
    }
    json_t *c = json_object();
    json_object_set_new(c, "peft_type", json_string("LORA"));
    json_object_set_new(c, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(c, "base_model_name_or_path", base ? json_string(base) : json_null());
    json_object_set_new(c, "revision", json_null());
    json_object_set_new(c, "auto_mapping", json_null());
    json_object_set_new(c, "inference_mode", json_true());
    json_object_set_new(c, "r", json_integer((json_int_t)o->rank));
    json_object_set_new(c, "lora_alpha", number(o->alpha));
    json_object_set_new(c, "lora_dropout", json_real(o->dropout));
    json_object_set_new(c, "use_rslora", json_boolean(o->rslora));
    json_object_set_new(c, "use_dora", json_boolean(o->dora));
    json_object_set_new(c, "target_modules", targets_of(o, config));
    json_object_set_new(c, "rank_pattern", ranks);
    json_object_set_new(c, "alpha_pattern", alphas);
    json_object_set_new(c, "fan_in_fan_out", json_false());
    json_object_set_new(c, "init_lora_weights", json_true());
    json_object_set_new(c, "layers_to_transform", null_or(layers));
    json_object_set_new(c, "layers_pattern", json_null());
    add_names(c, o);
    return c;
}

/* ---- its names must mean something ---- */

/* Whether a list of endings' item, or a pattern's key, is that of any module of the model. */
static bool names_any(const struct model_config *model, const char *ending, bool linear)
{
    struct tensor_name name;
    for (size_t i = 0; i < names_count(model); i++) {
        names_at(model, i, &name);
        if ((name.linear || !linear) && names_ends_in(name.module, ending))
            return true;
    }
    return false;
}

static int check_targets(const json_t *targets, const struct model_config *model, struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)targets, i, v)
    {
        if (names_any(model, json_string_value(v), true))
            continue;
        struct buf known = BUF_INIT;
        for (enum slot s = 0; s < SLOT_COUNT; s++)
            if (slot_is_linear(s) && names_has_anywhere(model, s))
                buf_addf(&known, "%s, ", names_linear(model, s));
        err_set(err, "target \"%s\" is no linear layer of the model (%sall-linear)",
                json_string_value(v), known.p);
        buf_release(&known);
        return -1;
    }
    return 0;
}

static int unknown(const char *name, const char *what, const struct model_config *model,
                   struct err *err)
{
    return err_set(err, "%s: the model has no module \"%s\"%s", what, name,
                   !strcmp(name, "lm_head") && model->tied
                       ? ": its output matrix is the embedding (tied)"
                       : "");
}

int adapter_check_known(const json_t *list, const char *what, const struct model_config *model,
                        struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        if (!names_any(model, json_string_value(v), false))
            return unknown(json_string_value(v), what, model, err);
    }
    return 0;
}

static int check_saved(const json_t *list, const struct model_config *model, struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach((json_t *)(uintptr_t)list, i, v)
    {
        struct tensor_name name;
        bool found = false;
        for (size_t k = 0; k < names_count(model) && !found; k++) {
            names_at(model, k, &name);
            found = adapter_saves(json_string_value(v), name.module);
        }
        if (!found)
            return unknown(json_string_value(v), "modules_to_save", model, err);
    }
    return 0;
}

/* A pattern without effect is a mistyped one. */
static int check_keys(const json_t *patterns, const char *what, const struct model_config *model,
                      struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v)
    {
        if (!names_any(model, key, true))
            return err_set(err, "%s: no linear layer's name ends in \"%s\"", what, key);
    }
    return 0;
}

/* A replaced embedding would leave the output matrix behind, or the other way round. */
static int check_tied(const struct tensor_name *name, const struct model_config *model,
                      struct err *err)
{
    if (name->slot != SLOT_EMBED || !model->tied)
        return 0;
    return err_set(err,
                   "modules_to_save: %s is the output matrix too (tied), which an adapter can't "
                   "say; train it with --full --targets",
                   name->module);
}

/* ---- parameters ---- */

struct shapes {
    struct lora_pair *pairs;
    struct lora_weight *weights;
    size_t n_pairs, n_weights, pairs_cap, weights_cap;
};

static int add_shape(struct shapes *shapes, const struct adapter_settings *s,
                     const struct tensor_name *name, const struct model_config *model,
                     struct err *err)
{
    bool whole, targeted;
    if (adapter_settings_tensor(s, name->hf, &whole, err) ||
        adapter_settings_target(s, name->module, true, &targeted, err))
        return -1;
    if (whole && name->linear && targeted)
        return err_set(err, "modules_to_save and the targets both name %s", name->module);
    if (whole) {
        ARRAY_GROW(shapes->weights, shapes->n_weights, shapes->weights_cap);
        shapes->weights[shapes->n_weights++] = (struct lora_weight){.slot = name->slot,
                                                                    .layer = name->layer,
                                                                    .rows = (size_t)name->rows,
                                                                    .cols = (size_t)name->cols};
        return check_tied(name, model, err);
    }
    if (!name->linear)
        return 0;
    struct lora_pair p = {.slot = name->slot,
                          .layer = name->layer,
                          .in = (size_t)name->cols,
                          .out = (size_t)name->rows};
    double scale;
    if (adapter_settings_scale(s, name->module, &p.r, &scale, err))
        return -1;
    if (!targeted)
        return 0;
    if (p.r < 1 || p.r > 4096)
        return err_set(err, "a rank of %zu is not between 1 and 4096", p.r);
    p.scale = (float)scale;
    ARRAY_GROW(shapes->pairs, shapes->n_pairs, shapes->pairs_cap);
    shapes->pairs[shapes->n_pairs++] = p;
    return 0;
}

static int check_names(const struct adapter_settings *s, const struct model_config *model,
                       struct err *err)
{
    if (json_is_array(s->targets) && check_targets(s->targets, model, err))
        return -1;
    if (json_is_array(s->excluded) &&
        adapter_check_known(s->excluded, "exclude_modules", model, err))
        return -1;
    if (s->layers && json_is_string(s->targets))
        return err_set(err,
                       "--layers goes with names as targets; a pattern says the layers itself");
    if (check_keys(s->rank_pattern, "rank_pattern", model, err) ||
        check_keys(s->alpha_pattern, "alpha_pattern", model, err))
        return -1;
    return check_saved(s->whole, model, err);
}

/* Twice the rank at the same scale: alpha / r, or alpha / sqrt(r). */
void adapter_config_double(json_t *config)
{
    const double factor = json_is_true(json_object_get(config, "use_rslora")) ? sqrt(2) : 2;
    const char *key;
    json_t *v, *ranks = json_object_get(config, "rank_pattern"),
               *alphas = json_object_get(config, "alpha_pattern");
    json_int_t r = json_integer_value(json_object_get(config, "r"));
    json_object_set_new(config, "r", json_integer(2 * r));
    json_object_set_new(config, "lora_alpha",
                        number(factor * json_number_value(json_object_get(config, "lora_alpha"))));
    json_object_foreach(ranks, key, v)
    {
        json_object_set_new(ranks, key, json_integer(2 * json_integer_value(v)));
    }
    json_object_foreach(alphas, key, v)
    {
        json_object_set_new(alphas, key, number(factor * json_number_value(v)));
    }
}

int adapter_new(struct lora **l, const json_t *config, const struct model_config *model, bool part,
                struct err *err)
{
    struct adapter_settings s;
    struct shapes shapes = {0};
    *l = NULL;
    int status = adapter_settings_read(&s, config, err);
    if (!status)
        status = check_names(&s, model, err);
    for (size_t i = 0; i < names_count(model) && !status; i++) {
        struct tensor_name name;
        names_at(model, i, &name);
        status = add_shape(&shapes, &s, &name, model, err);
    }
    for (size_t i = 0; part && i < shapes.n_pairs; i++) {
        shapes.pairs[i].fixed = shapes.pairs[i].r;
        shapes.pairs[i].r *= 2;
    }
    if (!status && !shapes.n_pairs && !shapes.n_weights)
        status = err_set(err, "the targets name no matrix of the model");
    if (!status && s.bias != BIAS_NONE && !shapes.n_weights)
        status = err_set(err, "bias: the model has none");
    const struct lora_parts parts = {shapes.pairs, shapes.n_pairs, shapes.weights, shapes.n_weights,
                                     s.dora};
    if (!status)
        status = lora_new(l, model, &parts, true, err);
    free(shapes.pairs);
    free(shapes.weights);
    return status;
}
