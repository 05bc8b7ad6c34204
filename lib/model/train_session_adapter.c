/* What a session trains: a new adapter, one to go on from, or the model's own weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/adapter.h"
#include "model/full.h"
#include "model/lora_init.h"
#include "model/train_session_internal.h"

static int new_adapter(struct train_session *s, struct err *err)
{
    const struct train_options *o = &s->options;
    const struct adapter_options how = {.rank = o->rank,
                                        .alpha = o->alpha,
                                        .dropout = o->dropout,
                                        .rslora = o->rslora,
                                        .dora = o->dora,
                                        .targets = o->targets,
                                        .excluded = o->excluded,
                                        .layers = o->layers,
                                        .rank_pattern = o->rank_pattern,
                                        .alpha_pattern = o->alpha_pattern,
                                        .saved = o->saved,
                                        .bias = o->bias < 0 ? NULL : adapter_bias_choices[o->bias]};
    const enum lora_init init = o->init < 0 ? LORA_INIT_DEFAULT : (enum lora_init)o->init;
    const struct model_config *config = decoder_config(s->decoder);
    char *base = adapter_base_name(s->checkpoint);
    s->adapter_config = adapter_config_new(&how, config, base, err);
    free(base);
    const bool part = lora_init_is_part(init);
    if (part && o->dropout > 0)
        return err_set(err, "--init %s goes without --dropout", lora_init_choices[init]);
    if (!s->adapter_config || adapter_new(&s->lora, s->adapter_config, config, part, err))
        return -1;
    if (part ? lora_init_part(s->lora, s->decoder, init, o->seed, session_threads(s), err)
             : lora_init(s->lora, init, o->seed, err))
        return -1;
    if (part)
        adapter_config_double(s->adapter_config);
    else if (init != LORA_INIT_DEFAULT)
        json_object_set_new(s->adapter_config, "init_lora_weights",
                            json_string(lora_init_choices[init]));
    for (size_t i = 0; i < s->lora->n_weights; i++) {
        const struct lora_weight *w = &s->lora->weights[i];
        decoder_base_values(s->decoder, w->slot, w->layer, w->values);
    }
    return decoder_init_magnitudes(s->decoder, s->lora, err);
}

static int all_weights(struct train_session *s, struct err *err)
{
    const struct train_options *o = &s->options;
    const struct full_options how = {o->targets, o->excluded, o->layers};
    s->adapter_config = json_object();
    return full_new(&s->lora, s->decoder, &how, err);
}

/* Options of the adapter may be given again, but not change it. */
static int check_shape(const struct train_session *s, struct err *err)
{
    const struct train_options *o = &s->options;
    const char *path = s->request->initial;
    const json_t *c = s->adapter_config;
    const char *other = o->targets         ? "targets"
                        : o->excluded      ? "exclude"
                        : o->layers        ? "layers"
                        : o->rank_pattern  ? "rank-pattern"
                        : o->alpha_pattern ? "alpha-pattern"
                        : o->saved         ? "modules-to-save"
                        : o->bias >= 0     ? "bias"
                        : o->init >= 0     ? "init"
                                           : NULL;
    if (other)
        return err_set(err, "%s: has its targets and values; --%s can't change them", path, other);
    if (o->dora && !json_is_true(json_object_get(c, "use_dora")))
        return err_set(err, "%s: has no DoRA; --dora can't change it", path);
    if (o->rslora && !json_is_true(json_object_get(c, "use_rslora")))
        return err_set(err, "%s: is not scaled by rsLoRA; --rslora can't change it", path);
    if (o->rank != SIZE_MAX && (json_int_t)o->rank != json_integer_value(json_object_get(c, "r")))
        return err_set(err, "%s: its rank is %lld; --rank can't change it", path,
                       (long long)json_integer_value(json_object_get(c, "r")));
    const double alpha = json_number_value(json_object_get(c, "lora_alpha"));
    if (!isnan(o->alpha) && o->alpha != alpha)
        return err_set(err, "%s: its alpha is %g; --alpha can't change it", path, alpha);
    return 0;
}

static int initial_adapter(struct train_session *s, struct err *err)
{
    struct train_options *o = &s->options;
    struct adapter *a;
    if (adapter_load(&a, s->request->initial, err))
        return -1;
    adapter_hash(a, s->hashes.initial);
    s->adapter_config = json_deep_copy(adapter_config(a));
    int status = adapter_lora(&s->lora, a, decoder_config(s->decoder), true, err);
    adapter_free(a);
    if (status || check_shape(s, err))
        return -1;
    if (isnan(o->dropout))
        o->dropout = json_number_value(json_object_get(s->adapter_config, "lora_dropout"));
    json_object_set_new(s->adapter_config, "lora_dropout", json_real(o->dropout));
    return 0;
}

static int resumed_adapter(struct train_session *s, struct err *err)
{
    const struct model_config *config = decoder_config(s->decoder);
    struct adapter *a;
    memcpy(s->hashes.initial, s->state.hashes.initial, sizeof s->hashes.initial);
    if (s->request->initial) {
        if (adapter_load(&a, s->request->initial, err))
            return -1;
        adapter_hash(a, s->hashes.initial);
        adapter_free(a);
    }
    if (train_state_bind(&s->state, config, err))
        return err_prefix(err, "%s", s->folder.state);
    s->adapter_config = json_deep_copy(s->state.adapter_config);
    return lora_new(&s->lora, config, &s->state.parts, true, err);
}

int session_open_adapter(struct train_session *s, struct err *err)
{
    if (s->options.full && !s->request->plan && session_is_first(s) &&
        full_check_folder(s->request->folder, s->checkpoint, err))
        return -1;
    return s->request->resume    ? resumed_adapter(s, err)
           : s->options.full     ? all_weights(s, err)
           : s->request->initial ? initial_adapter(s, err)
                                 : new_adapter(s, err);
}
