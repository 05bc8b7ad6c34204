#include "model/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Sizes that shapes are made of. */
enum extent { NONE, VOCAB, HIDDEN, FFN, QUERY, KEY };

struct slot_rule {
    const char *hf, *gguf; /* %zu stands for the layer */
    enum extent rows, cols;
    const char *linear; /* last part of the module path that LoRA targets */
};

static const struct slot_rule rules[SLOT_COUNT] = {
    [SLOT_EMBED] = {"model.embed_tokens.weight", "token_embd.weight", VOCAB, HIDDEN, NULL},
    [SLOT_NORM] = {"model.norm.weight", "output_norm.weight", HIDDEN, NONE, NULL},
    [SLOT_HEAD] = {"lm_head.weight", "output.weight", VOCAB, HIDDEN, NULL},
    [SLOT_ATTN_NORM] = {"model.layers.%zu.input_layernorm.weight", "blk.%zu.attn_norm.weight",
                        HIDDEN, NONE, NULL},
    [SLOT_Q] = {"model.layers.%zu.self_attn.q_proj.weight", "blk.%zu.attn_q.weight", QUERY, HIDDEN,
                "q_proj"},
    [SLOT_K] = {"model.layers.%zu.self_attn.k_proj.weight", "blk.%zu.attn_k.weight", KEY, HIDDEN,
                "k_proj"},
    [SLOT_V] = {"model.layers.%zu.self_attn.v_proj.weight", "blk.%zu.attn_v.weight", KEY, HIDDEN,
                "v_proj"},
    [SLOT_O] = {"model.layers.%zu.self_attn.o_proj.weight", "blk.%zu.attn_output.weight", HIDDEN,
                QUERY, "o_proj"},
    [SLOT_MLP_NORM] = {"model.layers.%zu.post_attention_layernorm.weight",
                       "blk.%zu.ffn_norm.weight", HIDDEN, NONE, NULL},
    [SLOT_GATE] = {"model.layers.%zu.mlp.gate_proj.weight", "blk.%zu.ffn_gate.weight", FFN, HIDDEN,
                   "gate_proj"},
    [SLOT_UP] = {"model.layers.%zu.mlp.up_proj.weight", "blk.%zu.ffn_up.weight", FFN, HIDDEN,
                 "up_proj"},
    [SLOT_DOWN] = {"model.layers.%zu.mlp.down_proj.weight", "blk.%zu.ffn_down.weight", HIDDEN, FFN,
                   "down_proj"},
    [SLOT_Q_BIAS] = {"model.layers.%zu.self_attn.q_proj.bias", "blk.%zu.attn_q.bias", QUERY, NONE,
                     NULL},
    [SLOT_K_BIAS] = {"model.layers.%zu.self_attn.k_proj.bias", "blk.%zu.attn_k.bias", KEY, NONE,
                     NULL},
    [SLOT_V_BIAS] = {"model.layers.%zu.self_attn.v_proj.bias", "blk.%zu.attn_v.bias", KEY, NONE,
                     NULL},
    [SLOT_O_BIAS] = {"model.layers.%zu.self_attn.o_proj.bias", "blk.%zu.attn_output.bias", HIDDEN,
                     NONE, NULL},
    [SLOT_GATE_BIAS] = {"model.layers.%zu.mlp.gate_proj.bias", "blk.%zu.ffn_gate.bias", FFN, NONE,
                        NULL},
    [SLOT_UP_BIAS] = {"model.layers.%zu.mlp.up_proj.bias", "blk.%zu.ffn_up.bias", FFN, NONE, NULL},
    [SLOT_DOWN_BIAS] = {"model.layers.%zu.mlp.down_proj.bias", "blk.%zu.ffn_down.bias", HIDDEN,
                        NONE, NULL},
};

static uint64_t extent_of(const struct model_config *c, enum extent e)
{
    switch (e) {
    case VOCAB:
        return c->vocab;
    case HIDDEN:
        return c->hidden;
    case FFN:
        return c->ffn;
    case QUERY:
        return c->n_heads * c->head_dim;
    case KEY:
        return c->n_kv_heads * c->head_dim;
    case NONE:
        break;
    }
    return 0;
}

bool names_has(const struct model_config *config, enum slot slot)
{
    switch (slot) {
    case SLOT_HEAD:
        return !config->tied;
    case SLOT_Q_BIAS:
    case SLOT_K_BIAS:
    case SLOT_V_BIAS:
    case SLOT_O_BIAS:
        return config->attention_bias;
    case SLOT_GATE_BIAS:
    case SLOT_UP_BIAS:
    case SLOT_DOWN_BIAS:
        return config->mlp_bias;
    default:
        return true;
    }
}

bool names_ends_in(const char *module, const char *ending)
{
    size_t n = strlen(module), k = strlen(ending);
    return n >= k && !strcmp(module + n - k, ending) && (n == k || module[n - k - 1] == '.');
}

const char *names_linear(enum slot slot)
{
    return rules[slot].linear;
}

/* Replaces the one "%zu" of a pattern, if it has one. */
static void fill_layer(char out[NAME_SIZE], const char *pattern, size_t layer)
{
    const char *hole = strstr(pattern, "%zu");
    if (!hole)
        snprintf(out, NAME_SIZE, "%s", pattern);
    else
        snprintf(out, NAME_SIZE, "%.*s%zu%s", (int)(hole - pattern), pattern, layer, hole + 3);
}

static bool is_query_or_key(enum slot slot)
{
    return slot == SLOT_Q || slot == SLOT_K || slot == SLOT_Q_BIAS || slot == SLOT_K_BIAS;
}

void names_describe(const struct model_config *config, enum slot slot, size_t layer,
                    struct tensor_name *out)
{
    const struct slot_rule *rule = &rules[slot];
    *out = (struct tensor_name){.slot = slot, .layer = slot < SLOT_LAYER_FIRST ? 0 : layer};
    fill_layer(out->hf, rule->hf, layer);
    fill_layer(out->gguf, rule->gguf, layer);
    snprintf(out->module, NAME_SIZE, "%s", out->hf);
    *strrchr(out->module, '.') = 0;
    out->rows = extent_of(config, rule->rows);
    out->cols = extent_of(config, rule->cols);
    out->n_dims = out->cols ? 2 : 1;
    out->linear = rule->linear != NULL;
    if (is_query_or_key(slot) && !strcmp(config->architecture, "llama"))
        out->gguf_head_dim = config->head_dim;
}

static size_t slots_in_layer(const struct model_config *config)
{
    size_t n = 0;
    for (enum slot s = SLOT_LAYER_FIRST; s < SLOT_COUNT; s++)
        n += names_has(config, s);
    return n;
}

size_t names_count(const struct model_config *config)
{
    return 2 + !config->tied + config->n_layers * slots_in_layer(config);
}

void names_at(const struct model_config *config, size_t i, struct tensor_name *out)
{
    size_t per_layer = slots_in_layer(config), in_layers = config->n_layers * per_layer;
    if (i == 0) {
        names_describe(config, SLOT_EMBED, 0, out);
        return;
    }
    i--;
    if (i >= in_layers) {
        names_describe(config, i == in_layers ? SLOT_NORM : SLOT_HEAD, 0, out);
        return;
    }
    size_t layer = i / per_layer, k = i % per_layer;
    for (enum slot s = SLOT_LAYER_FIRST; s < SLOT_COUNT; s++)
        if (names_has(config, s) && k-- == 0) {
            names_describe(config, s, layer, out);
            return;
        }
}

/* Matches name against a pattern whose "%zu" stands for a layer in canonical decimal. */
static bool matches(const char *pattern, const char *name, size_t n_layers, size_t *layer)
{
    const char *hole = strstr(pattern, "%zu");
    *layer = 0;
    if (!hole)
        return !strcmp(pattern, name);
    size_t before = (size_t)(hole - pattern), v = 0, digits = 0;
    if (strncmp(pattern, name, before))
        return false;
    const char *p = name + before;
    for (; *p >= '0' && *p <= '9' && digits < 9; p++, digits++)
        v = v * 10 + (size_t)(*p - '0');
    if (!digits || (digits > 1 && name[before] == '0') || v >= n_layers)
        return false;
    *layer = v;
    return !strcmp(p, hole + 3);
}

static bool find(const struct model_config *config, const char *name, bool gguf,
                 struct tensor_name *out)
{
    for (enum slot s = 0; s < SLOT_COUNT; s++) {
        size_t layer;
        const char *pattern = gguf ? rules[s].gguf : rules[s].hf;
        if (names_has(config, s) && matches(pattern, name, config->n_layers, &layer)) {
            names_describe(config, s, layer, out);
            return true;
        }
    }
    return false;
}

bool names_find_hf(const struct model_config *config, const char *name, struct tensor_name *out)
{
    return find(config, name, false, out);
}

bool names_find_gguf(const struct model_config *config, const char *name, struct tensor_name *out)
{
    return find(config, name, true, out);
}

static int check_shape(const struct tensor_name *name, const struct tensor *t, struct err *err)
{
    bool fits = t->n_dims == name->n_dims && t->shape[0] == name->rows &&
                (name->n_dims == 1 || t->shape[1] == name->cols);
    if (fits)
        return 0;
    char found[96] = "", wanted[48];
    for (size_t i = 0; i < t->n_dims; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%" PRIu64, i ? ", " : "",
                 t->shape[i]);
    if (name->n_dims == 1)
        snprintf(wanted, sizeof wanted, "%" PRIu64, name->rows);
    else
        snprintf(wanted, sizeof wanted, "%" PRIu64 ", %" PRIu64, name->rows, name->cols);
    return err_set(err, "%s: tensor %s: shape [%s], the model's configuration says [%s]", t->file,
                   t->name, found, wanted);
}

/* Tensors that files carry although they are computed from the configuration. */
static bool is_derived(const char *name)
{
    const char *end = strrchr(name, '.');
    return (end && !strcmp(end, ".inv_freq")) || !strcmp(name, "rope_freqs.weight");
}

/* Some folders of tied models store the same matrix twice; that is harmless if it is the same. */
static bool is_copy_of_embedding(const struct model_config *config, const struct checkpoint *c,
                                 const struct tensor *t)
{
    const char *head = checkpoint_gguf(c) ? rules[SLOT_HEAD].gguf : rules[SLOT_HEAD].hf;
    const char *embed = checkpoint_gguf(c) ? rules[SLOT_EMBED].gguf : rules[SLOT_EMBED].hf;
    const struct tensor *e = checkpoint_find(c, embed);
    return config->tied && !strcmp(t->name, head) && e && e->bytes == t->bytes &&
           !memcmp(e->data, t->data, t->bytes);
}

int names_check(const struct model_config *config, const struct checkpoint *c, struct err *err)
{
    bool gguf = checkpoint_gguf(c) != NULL;
    struct tensor_name name;
    for (size_t i = 0; i < names_count(config); i++) {
        names_at(config, i, &name);
        const char *stored = gguf ? name.gguf : name.hf;
        const struct tensor *t = checkpoint_find(c, stored);
        if (!t)
            return err_set(err, "%s: tensor %s is missing", checkpoint_path(c), stored);
        if (check_shape(&name, t, err))
            return -1;
    }
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const struct tensor *t = checkpoint_at(c, i);
        if (!find(config, t->name, gguf, &name) && !is_derived(t->name) &&
            !is_copy_of_embedding(config, c, t))
            return err_set(err, "%s: tensor %s has no place in a %s model with %zu layers", t->file,
                           t->name, config->architecture, config->n_layers);
    }
    return 0;
}
