#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "formats/gguf.h"
#include "model/arch.h"

/* What an architecture has unless it says otherwise: llama's ways. */
static void set_defaults(struct model_config *c, const struct architecture *a)
{
    *c = (struct model_config){
        .names = a->names,
        .gguf_pairs = a->gguf_pairs,
        .pre_norms = true,
        .gated = true,
        .embed_scale = 1,
        .residual_scale = 1,
        .logit_scale = 1,
        .bos = -1,
        .eos = -1,
        .pad = -1,
    };
    c->rope.attention_factor = c->local_rope.attention_factor = 1;
    snprintf(c->architecture, sizeof c->architecture, "%s", a->model_type);
}

static int unknown(const char *where, const char *name, size_t len, struct err *err)
{
    struct buf known = BUF_INIT;
    for (size_t i = 0; arch_at(i); i++)
        buf_addf(&known, "%s%s", i ? ", " : "", arch_at(i)->model_type);
    err_set(err, "%s: architecture \"%.*s\" is not supported (%s)", where,
            (int)(len < 40 ? len : 40), name, known.p);
    buf_release(&known);
    return -1;
}

static int load_json(struct model_config *c, const json_t *config, const char *path,
                     struct err *err)
{
    char where[300];
    snprintf(where, sizeof where, "%s/config.json", path);
    const char *type = json_string_value(json_object_get(config, "model_type"));
    const struct architecture *a = arch_by_type(type ? type : "");
    struct config_keys k = {.mode = KEYS_READ_JSON, .json = config, .where = where, .err = err};
    if (!a)
        return unknown(where, type ? type : "", type ? strlen(type) : 0, err);
    set_defaults(c, a);
    a->describe(&k, c);
    return keys_check_json(&k, true);
}

static int load_gguf(struct model_config *c, const struct checkpoint *ck, const char *path,
                     struct err *err)
{
    struct gguf_string name = {"", 0};
    const struct gguf *g = checkpoint_gguf(ck);
    const struct architecture *a = arch_of_gguf(g);
    if (!gguf_get_string(g, "general.architecture", &name))
        return err_set(err, "%s: metadata key general.architecture is missing", path);
    if (!a)
        return unknown(path, name.p, name.len, err);
    struct config_keys k = {.mode = KEYS_READ_GGUF,
                            .gguf = g,
                            .checkpoint = ck,
                            .prefix = a->gguf,
                            .where = path,
                            .err = err};
    set_defaults(c, a);
    a->describe(&k, c);
    return keys_check_gguf(&k);
}

static int check_rope(const struct rope_config *rope, struct err *err)
{
    if (!(rope->theta > 0) || (rope->scaling != ROPE_DEFAULT && !(rope->factor > 0)))
        return err_set(err, "rope_theta and the rope factor must be above 0");
    if (rope->scaling == ROPE_LLAMA3 && !(rope->high_freq_factor > rope->low_freq_factor))
        return err_set(err, "rope high_freq_factor must be above low_freq_factor");
    if (rope->scaling == ROPE_YARN && !(rope->beta_fast > 0 && rope->beta_slow > 0))
        return err_set(err, "rope beta_fast and beta_slow must be above 0");
    if (!(rope->attention_factor > 0 && isfinite(rope->attention_factor)))
        return err_set(err, "a rope attention factor of %g is not above 0", rope->attention_factor);
    return 0;
}

static int check_numbers(const struct model_config *c, struct err *err)
{
    const double scales[] = {c->embed_scale, c->residual_scale, c->attention_scale, c->logit_scale};
    static const char *const names[] = {"the embedding", "the residuals", "the attention scores",
                                        "the logits"};
    if (!(c->norm_eps >= 0 && c->norm_eps < 1))
        return err_set(err, "a norm epsilon of %g is not between 0 and 1", c->norm_eps);
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (!isfinite((float)scales[i]) || scales[i] == 0)
            return err_set(err, "a factor of %g for %s", scales[i], names[i]);
    if (!(c->attention_softcap >= 0) || !(c->final_softcap >= 0))
        return err_set(err, "a soft cap below 0");
    return 0;
}

static int check_layers(const struct model_config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_layers; i++)
        if (c->layer_flags[i] & LAYER_WINDOW && !c->window)
            return err_set(err, "layer %zu has a sliding window, but sliding_window is missing", i);
    return 0;
}

static int check_sizes(const struct model_config *c, struct err *err)
{
    if (c->n_layers > CONFIG_MAX_LAYERS)
        return err_set(err, "%zu layers are more than any model has", c->n_layers);
    if (!c->n_kv_heads || c->n_heads % c->n_kv_heads)
        return err_set(err, "%zu query heads are no multiple of %zu key heads", c->n_heads,
                       c->n_kv_heads);
    if (!c->head_dim || c->head_dim % 2 || c->head_dim > 2 * ROPE_MAX_PAIRS)
        return err_set(err, "a head size of %zu is not an even number up to %d", c->head_dim,
                       2 * ROPE_MAX_PAIRS);
    if (c->rotary_dim % 2 || c->rotary_dim > c->head_dim ||
        (!c->rotary_dim && !c->learned_positions))
        return err_set(err, "%zu rotated dimensions of heads of %zu", c->rotary_dim, c->head_dim);
    const size_t limit = (size_t)1 << 24;
    if (c->hidden > limit || c->ffn > limit || c->expert_ffn > limit || c->vocab > limit ||
        c->n_heads > 4096)
        return err_set(err, "sizes (hidden %zu, ffn %zu, vocabulary %zu, heads %zu) are absurd",
                       c->hidden, c->ffn, c->vocab, c->n_heads);
    return 0;
}

int config_load(struct model_config *config, const struct checkpoint *c, struct err *err)
{
    const char *path = checkpoint_path(c);
    int status = checkpoint_gguf(c) ? load_gguf(config, c, path, err)
                                    : load_json(config, checkpoint_config(c), path, err);
    if (status)
        return -1;
    if (check_sizes(config, err) || check_numbers(config, err) || check_layers(config, err) ||
        (config->rotary_dim && check_rope(&config->rope, err)) ||
        (config->local_rope.theta != 0 && check_rope(&config->local_rope, err)))
        return err_prefix(err, "%s", path);
    return 0;
}
