#include "model/full.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/adapter.h"
#include "model/adapter_config.h"
#include "model/names.h"

struct choice {
    struct adapter_settings settings; /* without layers */
    const json_t *layers;             /* NULL: any */
};

static bool in_layers(const json_t *layers, const struct tensor_name *name)
{
    size_t i;
    json_t *v;
    if (!layers)
        return true;
    json_array_foreach((json_t *)(uintptr_t)layers, i, v)
    {
        if (slot_in_layer(name->slot) && json_integer_value(v) == (json_int_t)name->layer)
            return true;
    }
    return false;
}

static int choose(const struct choice *choice, const struct model_config *model,
                  struct lora_weight **weights, size_t *n, struct err *err)
{
    *weights = xcalloc(names_count(model), sizeof **weights);
    *n = 0;
    for (size_t i = 0; i < names_count(model); i++) {
        struct tensor_name name;
        bool chosen;
        names_at(model, i, &name);
        if (adapter_settings_target(&choice->settings, name.module, name.linear, &chosen, err))
            return -1;
        if (chosen && in_layers(choice->layers, &name))
            (*weights)[(*n)++] = (struct lora_weight){.slot = name.slot,
                                                      .layer = name.layer,
                                                      .rows = (size_t)name.rows,
                                                      .cols = (size_t)name.cols};
    }
    return *n ? 0 : err_set(err, "--targets, --exclude and --layers leave no tensor to train");
}

static int read_choice(struct choice *choice, const json_t *config,
                       const struct model_config *model, struct err *err)
{
    struct adapter_settings *s = &choice->settings;
    if (adapter_settings_read(s, config, err) ||
        adapter_check_known(s->targets, "--targets", model, err) ||
        adapter_check_known(s->excluded, "--exclude", model, err))
        return -1;
    choice->layers = s->layers;
    s->layers = NULL;
    return 0;
}

int full_new(struct lora **l, struct decoder *d, const struct full_options *options,
             struct err *err)
{
    const struct model_config *model = decoder_config(d);
    const struct adapter_options how = {.rank = 1,
                                        .alpha = 1,
                                        .targets = options->targets ? options->targets : ".*",
                                        .excluded = options->excluded,
                                        .layers = options->layers};
    json_t *config = adapter_config_new(&how, model, NULL, err);
    struct choice choice;
    struct lora_weight *weights = NULL;
    struct lora_parts parts = {0};
    *l = NULL;
    int status = !config || read_choice(&choice, config, model, err) ||
                         choose(&choice, model, &weights, &parts.n_weights, err)
                     ? -1
                     : 0;
    parts.weights = weights;
    if (!status)
        status = lora_new(l, model, &parts, true, err);
    for (size_t i = 0; !status && i < parts.n_weights; i++)
        decoder_base_values(d, weights[i].slot, weights[i].layer, (*l)->weights[i].values);
    free(weights);
    json_decref(config);
    return status;
}
