#include "model/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* Sizes that shapes are made of. */
enum extent { NONE, VOCAB, POSITIONS, HIDDEN, FFN, TWO_FFN, QUERY, KEY, QKV, Q_NORM, K_NORM };

static const struct {
    enum extent rows, cols;
    const char *linear; /* what a linear layer is for, whatever the architecture calls it */
} shapes[SLOT_WEIGHTS] = {
    [SLOT_EMBED] = {VOCAB, HIDDEN, NULL},
    [SLOT_POSITIONS] = {POSITIONS, HIDDEN, NULL},
    [SLOT_NORM] = {HIDDEN, NONE, NULL},
    [SLOT_HEAD] = {VOCAB, HIDDEN, NULL},
    [SLOT_ATTN_NORM] = {HIDDEN, NONE, NULL},
    [SLOT_Q] = {QUERY, HIDDEN, "q"},
    [SLOT_K] = {KEY, HIDDEN, "k"},
    [SLOT_V] = {KEY, HIDDEN, "v"},
    [SLOT_QKV] = {QKV, HIDDEN, "qkv"},
    [SLOT_Q_NORM] = {Q_NORM, NONE, NULL},
    [SLOT_K_NORM] = {K_NORM, NONE, NULL},
    [SLOT_O] = {HIDDEN, QUERY, "o"},
    [SLOT_ATTN_POST_NORM] = {HIDDEN, NONE, NULL},
    [SLOT_MLP_NORM] = {HIDDEN, NONE, NULL},
    [SLOT_GATE] = {FFN, HIDDEN, "gate"},
    [SLOT_UP] = {FFN, HIDDEN, "up"},
    [SLOT_GATE_UP] = {TWO_FFN, HIDDEN, "gate_up"},
    [SLOT_DOWN] = {HIDDEN, FFN, "down"},
    [SLOT_MLP_POST_NORM] = {HIDDEN, NONE, NULL},
};

const struct name_map names_llama = {
    .slots =
        {
            [SLOT_EMBED] = {"model.embed_tokens", "token_embd"},
            [SLOT_NORM] = {"model.norm", "output_norm"},
            [SLOT_HEAD] = {"lm_head", "output"},
            [SLOT_ATTN_NORM] = {"model.layers.%zu.input_layernorm", "blk.%zu.attn_norm"},
            [SLOT_Q] = {"model.layers.%zu.self_attn.q_proj", "blk.%zu.attn_q"},
            [SLOT_K] = {"model.layers.%zu.self_attn.k_proj", "blk.%zu.attn_k"},
            [SLOT_V] = {"model.layers.%zu.self_attn.v_proj", "blk.%zu.attn_v"},
            [SLOT_Q_NORM] = {"model.layers.%zu.self_attn.q_norm", "blk.%zu.attn_q_norm"},
            [SLOT_K_NORM] = {"model.layers.%zu.self_attn.k_norm", "blk.%zu.attn_k_norm"},
            [SLOT_O] = {"model.layers.%zu.self_attn.o_proj", "blk.%zu.attn_output"},
            [SLOT_MLP_NORM] = {"model.layers.%zu.post_attention_layernorm", "blk.%zu.ffn_norm"},
            [SLOT_GATE] = {"model.layers.%zu.mlp.gate_proj", "blk.%zu.ffn_gate"},
            [SLOT_UP] = {"model.layers.%zu.mlp.up_proj", "blk.%zu.ffn_up"},
            [SLOT_DOWN] = {"model.layers.%zu.mlp.down_proj", "blk.%zu.ffn_down"},
        },
};

uint64_t slot_stream(enum slot slot, size_t layer)
{
    const char *name = slot_name(slot);
    return hash64(name, strlen(name), layer);
}

static const struct slot_name *name_of(const struct model_config *c, enum slot slot)
{
    const struct name_map *map = c->names;
    slot = slot_owner(slot);
    while (!map->slots[slot].hf && map->rest)
        map = map->rest;
    return &map->slots[slot];
}

static uint64_t extent_of(const struct model_config *c, enum extent e)
{
    size_t query = c->n_heads * c->head_dim, key = c->n_kv_heads * c->head_dim;
    bool whole = c->qk_norm == QK_NORM_WHOLE;
    switch (e) {
    case VOCAB:
        return c->vocab;
    case POSITIONS:
        return c->max_positions;
    case HIDDEN:
        return c->hidden;
    case FFN:
        return c->ffn;
    case TWO_FFN:
        return 2 * c->ffn;
    case QUERY:
        return query;
    case KEY:
        return key;
    case QKV:
        return query + 2 * key;
    case Q_NORM:
        return whole ? query : c->head_dim;
    case K_NORM:
        return whole ? key : c->head_dim;
    case NONE:
        break;
    }
    return 0;
}

static bool has_weight(const struct model_config *c, enum slot slot)
{
    switch (slot) {
    case SLOT_HEAD:
        return !c->tied;
    case SLOT_POSITIONS:
        return c->learned_positions;
    case SLOT_ATTN_NORM:
        return c->pre_norms;
    case SLOT_MLP_NORM:
        return c->pre_norms && c->residual != RESIDUAL_SHARED_NORM;
    case SLOT_ATTN_POST_NORM:
    case SLOT_MLP_POST_NORM:
        return c->post_norms;
    case SLOT_Q_NORM:
    case SLOT_K_NORM:
        return c->qk_norm != QK_NORM_NONE;
    case SLOT_Q:
    case SLOT_K:
    case SLOT_V:
        return c->qkv == QKV_SEPARATE;
    case SLOT_QKV:
        return c->qkv != QKV_SEPARATE;
    case SLOT_GATE:
        return c->gated && !c->fused_gate_up;
    case SLOT_UP:
        return !c->fused_gate_up;
    case SLOT_GATE_UP:
        return c->fused_gate_up;
    default:
        return slot < SLOT_WEIGHTS;
    }
}

static bool has_bias(const struct model_config *c, enum slot owner)
{
    switch (owner) {
    case SLOT_NORM:
    case SLOT_ATTN_NORM:
    case SLOT_MLP_NORM:
        return c->norm_bias;
    case SLOT_Q:
    case SLOT_K:
    case SLOT_V:
    case SLOT_QKV:
        return c->qkv_bias;
    case SLOT_O:
        return c->o_bias;
    case SLOT_GATE:
    case SLOT_UP:
    case SLOT_GATE_UP:
    case SLOT_DOWN:
        return c->mlp_bias;
    default:
        return false;
    }
}

bool names_has(const struct model_config *config, enum slot slot, size_t layer)
{
    (void)layer; /* all layers have the same */
    return has_weight(config, slot_owner(slot)) &&
           (!slot_is_bias(slot) || has_bias(config, slot_owner(slot)));
}

bool slot_is_linear(enum slot slot)
{
    return slot_name(slot) != NULL;
}

bool slot_is_norm(enum slot slot)
{
    return slot < SLOT_WEIGHTS && shapes[slot].cols == NONE;
}

const char *slot_name(enum slot slot)
{
    return slot < SLOT_WEIGHTS ? shapes[slot].linear : NULL;
}

bool slot_by_name(const char *name, enum slot *slot)
{
    for (enum slot s = 0; s < SLOT_WEIGHTS; s++)
        if (shapes[s].linear && !strcmp(shapes[s].linear, name)) {
            *slot = s;
            return true;
        }
    return false;
}

bool names_ends_in(const char *module, const char *ending)
{
    size_t n = strlen(module), k = strlen(ending);
    return n >= k && !strcmp(module + n - k, ending) && (n == k || module[n - k - 1] == '.');
}

const char *names_linear(const struct model_config *config, enum slot slot)
{
    return strrchr(name_of(config, slot)->hf, '.') + 1;
}

/* Replaces the one "%zu" of a pattern, if it has one. */
static void fill_layer(char out[NAME_SIZE], const char *pattern, size_t layer, const char *ending)
{
    const char *hole = strstr(pattern, "%zu");
    if (!hole)
        snprintf(out, NAME_SIZE, "%s%s", pattern, ending);
    else
        snprintf(out, NAME_SIZE, "%.*s%zu%s%s", (int)(hole - pattern), pattern, layer, hole + 3,
                 ending);
}

/* Architectures that llama.cpp rotates pair by pair have their rows in that order. */
static struct row_order gguf_order(const struct model_config *c, enum slot owner)
{
    if ((owner == SLOT_Q || owner == SLOT_K) && c->gguf_pairs)
        return (struct row_order){2, c->head_dim / 2, 1};
    if (owner == SLOT_QKV && c->qkv == QKV_PER_HEAD)
        return (struct row_order){c->n_heads, 3, c->head_dim};
    return (struct row_order){0};
}

void names_describe(const struct model_config *config, enum slot slot, size_t layer,
                    struct tensor_name *out)
{
    enum slot owner = slot_owner(slot);
    const struct slot_name *name = name_of(config, owner);
    const char *ending = slot_is_bias(slot) ? ".bias" : ".weight";
    *out = (struct tensor_name){.slot = slot, .layer = slot_in_layer(slot) ? layer : 0};
    fill_layer(out->hf, name->hf, layer, ending);
    fill_layer(out->gguf, name->gguf, layer, ending);
    fill_layer(out->module, name->hf, layer, "");
    out->rows = extent_of(config, shapes[owner].rows);
    out->cols = slot_is_bias(slot) ? 0 : extent_of(config, shapes[owner].cols);
    out->n_dims = out->cols ? 2 : 1;
    out->linear = slot_is_linear(slot);
    out->transposed = out->linear && config->transposed;
    out->gguf_rows = gguf_order(config, owner);
}

/* The i-th tensor of those that have a place in that layer (or outside of layers), and how many
 * there are. */
static size_t count_in_layer(const struct model_config *config, size_t layer, size_t i,
                             enum slot *found)
{
    size_t n = 0;
    for (enum slot s = 0; s < SLOT_COUNT; s++)
        if (slot_in_layer(s) && names_has(config, s, layer) && n++ == i)
            *found = s;
    return n;
}

static const enum slot before_layers[] = {SLOT_EMBED, SLOT_BIAS(SLOT_EMBED), SLOT_POSITIONS};
static const enum slot after_layers[] = {SLOT_NORM, SLOT_BIAS(SLOT_NORM), SLOT_HEAD,
                                         SLOT_BIAS(SLOT_HEAD)};

static size_t count_of(const struct model_config *config, const enum slot *slots, size_t n_slots,
                       size_t i, enum slot *found)
{
    size_t n = 0;
    for (size_t k = 0; k < n_slots; k++)
        if (names_has(config, slots[k], 0) && n++ == i)
            *found = slots[k];
    return n;
}

/* Finds the i-th tensor, if found is not NULL; returns how many there are. */
static size_t visit(const struct model_config *c, size_t i, struct tensor_name *out)
{
    enum slot slot = SLOT_COUNT;
    size_t layer = 0;
    size_t n = count_of(c, before_layers, ARRAY_SIZE(before_layers), i, &slot);
    for (size_t k = 0; k < c->n_layers && slot == SLOT_COUNT; k++) {
        n += count_in_layer(c, k, i - n, &slot);
        layer = k;
    }
    if (slot == SLOT_COUNT)
        n += count_of(c, after_layers, ARRAY_SIZE(after_layers), i - n, &slot);
    if (out && slot != SLOT_COUNT)
        names_describe(c, slot, layer, out);
    return n;
}

size_t names_count(const struct model_config *config)
{
    return visit(config, SIZE_MAX, NULL);
}

void names_at(const struct model_config *config, size_t i, struct tensor_name *out)
{
    visit(config, i, out);
}

/* Matches name against a pattern whose "%zu" stands for a layer in canonical decimal, and the end
 * of a weight or bias. */
static bool matches(const char *pattern, const char *ending, const char *name, size_t n_layers,
                    size_t *layer)
{
    const char *hole = strstr(pattern, "%zu"), *p = name;
    size_t before = hole ? (size_t)(hole - pattern) : 0, digits = 0;
    *layer = 0;
    if (strncmp(pattern, p, before))
        return false;
    p += before;
    for (; hole && *p >= '0' && *p <= '9' && digits < 9; p++, digits++)
        *layer = *layer * 10 + (size_t)(*p - '0');
    if (hole && (!digits || (digits > 1 && name[before] == '0') || *layer >= n_layers))
        return false;
    const char *after = hole ? hole + 3 : pattern;
    size_t n = strlen(after);
    return !strncmp(p, after, n) && !strcmp(p + n, ending);
}

static bool find(const struct model_config *config, const char *name, bool gguf,
                 struct tensor_name *out)
{
    for (enum slot s = 0; s < SLOT_COUNT; s++) {
        size_t layer;
        const struct slot_name *names = name_of(config, s);
        const char *pattern = gguf ? names->gguf : names->hf;
        const char *ending = slot_is_bias(s) ? ".bias" : ".weight";
        if (pattern && matches(pattern, ending, name, config->n_layers, &layer) &&
            names_has(config, s, layer)) {
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

const struct tensor *names_tensor(const struct checkpoint *c, const struct tensor_name *name)
{
    if (checkpoint_gguf(c))
        return checkpoint_find(c, name->gguf);
    const struct tensor *t = checkpoint_find(c, name->hf);
    const char *dot = strchr(name->hf, '.');
    return t || !dot ? t : checkpoint_find(c, dot + 1);
}

static void add_shape(char *text, size_t size, const uint64_t *shape, size_t n_dims)
{
    *text = 0;
    for (size_t i = 0; i < n_dims; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%" PRIu64, i ? ", " : "", shape[i]);
}

static int check_shape(const struct tensor_name *name, const struct tensor *t, bool gguf,
                       struct err *err)
{
    bool turned = name->transposed && !gguf;
    const uint64_t shape[] = {turned ? name->cols : name->rows, turned ? name->rows : name->cols};
    bool fits = t->n_dims == name->n_dims;
    for (size_t i = 0; i < name->n_dims && fits; i++)
        fits = t->shape[i] == shape[i];
    if (fits)
        return 0;
    char found[96], wanted[48];
    add_shape(found, sizeof found, t->shape, t->n_dims);
    add_shape(wanted, sizeof wanted, shape, name->n_dims);
    return err_set(err, "%s: tensor %s: shape [%s], the model's configuration says [%s]", t->file,
                   t->name, found, wanted);
}

/* Tensors that files carry although they are computed from the configuration. */
static bool is_derived(const struct model_config *c, const char *name, bool gguf)
{
    if (gguf)
        return !strcmp(name, "rope_freqs.weight") || !strcmp(name, "rope_factors_short.weight") ||
               !strcmp(name, "rope_factors_long.weight");
    if (names_ends_in(name, "inv_freq"))
        return true;
    for (const char *const *ending = c->names->derived; *ending; ending++)
        if (names_ends_in(name, *ending))
            return true;
    return false;
}

/* Some folders of tied models store the same matrix twice; that is harmless if it is the same. */
static bool is_copy_of_embedding(const struct model_config *config, const struct checkpoint *c,
                                 const struct tensor *t)
{
    struct tensor_name embed, head;
    names_describe(config, SLOT_EMBED, 0, &embed);
    names_describe(config, SLOT_HEAD, 0, &head);
    const struct tensor *e = names_tensor(c, &embed);
    return config->tied && t == names_tensor(c, &head) && e && e->bytes == t->bytes &&
           !memcmp(e->data, t->data, t->bytes);
}

/* Whether the tensor is one of the model's, under its name or under the name without its first
 * part. */
static bool is_known(const struct model_config *config, const struct checkpoint *c,
                     const struct tensor *t)
{
    struct tensor_name name;
    if (find(config, t->name, checkpoint_gguf(c) != NULL, &name))
        return true;
    char longer[2 * NAME_SIZE];
    const char *first = name_of(config, SLOT_NORM)->hf;
    if (checkpoint_gguf(c))
        return false;
    snprintf(longer, sizeof longer, "%.*s.%s", (int)strcspn(first, "."), first, t->name);
    return find(config, longer, false, &name) && names_tensor(c, &name) == t;
}

int names_check(const struct model_config *config, const struct checkpoint *c, struct err *err)
{
    bool gguf = checkpoint_gguf(c) != NULL;
    struct tensor_name name;
    for (size_t i = 0; i < names_count(config); i++) {
        names_at(config, i, &name);
        const struct tensor *t = names_tensor(c, &name);
        if (!t)
            return err_set(err, "%s: tensor %s is missing", checkpoint_path(c),
                           gguf ? name.gguf : name.hf);
        if (check_shape(&name, t, gguf, err))
            return -1;
    }
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const struct tensor *t = checkpoint_at(c, i);
        if (!is_known(config, c, t) && !is_derived(config, t->name, gguf) &&
            !is_copy_of_embedding(config, c, t))
            return err_set(err, "%s: tensor %s has no place in a %s model with %zu layers", t->file,
                           t->name, config->architecture, config->n_layers);
    }
    return 0;
}
