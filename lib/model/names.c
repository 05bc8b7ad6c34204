#include "model/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* Sizes that shapes are made of. */
enum extent {
    NONE,
    VOCAB,
    POSITIONS,
    HIDDEN,
    FFN,
    TWO_FFN,
    QUERY,
    KEY,
    QKV,
    Q_NORM,
    K_NORM,
    EXPERTS,
    EXPERT_FFN
};

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
    [SLOT_ROUTER] = {EXPERTS, HIDDEN, NULL},
    [SLOT_EXPERT_GATE] = {EXPERT_FFN, HIDDEN, NULL},
    [SLOT_EXPERT_UP] = {EXPERT_FFN, HIDDEN, NULL},
    [SLOT_EXPERT_DOWN] = {HIDDEN, EXPERT_FFN, NULL},
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
            [SLOT_ROUTER] = {"model.layers.%zu.mlp.gate", "blk.%zu.ffn_gate_inp"},
            [SLOT_EXPERT_GATE] = {"model.layers.%zu.mlp.experts.%zu.gate_proj",
                                  "blk.%zu.ffn_gate.%zu"},
            [SLOT_EXPERT_UP] = {"model.layers.%zu.mlp.experts.%zu.up_proj", "blk.%zu.ffn_up.%zu"},
            [SLOT_EXPERT_DOWN] = {"model.layers.%zu.mlp.experts.%zu.down_proj",
                                  "blk.%zu.ffn_down.%zu"},
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
    case EXPERTS:
        return c->n_experts;
    case EXPERT_FFN:
        return c->expert_ffn;
    case NONE:
        break;
    }
    return 0;
}

static bool has_weight(const struct model_config *c, enum slot slot, bool experts)
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
        return !experts && c->gated && !c->fused_gate_up;
    case SLOT_UP:
        return !experts && !c->fused_gate_up;
    case SLOT_GATE_UP:
        return !experts && c->fused_gate_up;
    case SLOT_DOWN:
        return !experts;
    case SLOT_ROUTER:
    case SLOT_EXPERT_GATE:
    case SLOT_EXPERT_UP:
    case SLOT_EXPERT_DOWN:
        return experts;
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
    bool experts = slot_in_layer(slot) && config->layer_flags[layer] & LAYER_EXPERTS;
    return has_weight(config, slot_owner(slot), experts) &&
           (!slot_is_bias(slot) || has_bias(config, slot_owner(slot)));
}

bool names_has_anywhere(const struct model_config *config, enum slot slot)
{
    for (size_t i = 0; i < config->n_layers; i++)
        if (names_has(config, slot, i))
            return true;
    return false;
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

/* A pattern with its "%zu"s replaced by the numbers. */
static void fill(char out[NAME_SIZE], const char *pattern, const size_t numbers[2],
                 const char *ending)
{
    size_t n = 0;
    const char *hole;
    *out = 0;
    for (size_t i = 0; (hole = strstr(pattern, "%zu")) && i < 2; i++, pattern = hole + 3) {
        snprintf(out + n, NAME_SIZE - n, "%.*s%zu", (int)(hole - pattern), pattern, numbers[i]);
        n = strlen(out);
    }
    snprintf(out + n, NAME_SIZE - n, "%s%s", pattern, ending);
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
    names_describe_expert(config, slot, layer, 0, out);
}

void names_describe_expert(const struct model_config *config, enum slot slot, size_t layer,
                           size_t expert, struct tensor_name *out)
{
    enum slot owner = slot_owner(slot);
    const struct slot_name *name = name_of(config, owner);
    const char *ending = slot_is_bias(slot) ? ".bias" : ".weight";
    const size_t numbers[] = {layer, expert};
    *out = (struct tensor_name){
        .slot = slot, .layer = slot_in_layer(slot) ? layer : 0, .expert = expert};
    fill(out->hf, name->hf, numbers, ending);
    fill(out->gguf, name->gguf ? name->gguf : "", numbers, ending);
    fill(out->module, name->hf, numbers, "");
    out->rows = extent_of(config, shapes[owner].rows);
    out->cols = slot_is_bias(slot) ? 0 : extent_of(config, shapes[owner].cols);
    out->n_dims = out->cols ? 2 : 1;
    out->linear = slot_is_linear(slot);
    out->transposed = out->linear && config->transposed;
    out->gguf_rows = gguf_order(config, owner);
}

/* The i-th tensor of those that have a place in that layer, and how many there are. */
static size_t count_in_layer(const struct model_config *config, size_t layer, size_t i,
                             enum slot *found, size_t *expert)
{
    size_t n = 0;
    for (enum slot s = 0; s < SLOT_COUNT; s++) {
        if (!slot_in_layer(s) || !names_has(config, s, layer))
            continue;
        size_t copies = slot_is_of_expert(s) ? config->n_experts : 1;
        if (i >= n && i - n < copies) {
            *found = s;
            *expert = i - n;
        }
        n += copies;
    }
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
    size_t layer = 0, expert = 0;
    size_t n = count_of(c, before_layers, ARRAY_SIZE(before_layers), i, &slot);
    size_t sizes[2] = {0}; /* of layers without experts and with; it's all that differs */
    for (size_t k = 0; k < c->n_layers && slot == SLOT_COUNT; k++) {
        size_t *size = &sizes[(c->layer_flags[k] & LAYER_EXPERTS) != 0];
        if (!*size)
            *size = count_in_layer(c, k, SIZE_MAX, &slot, &expert);
        if (i >= n && i - n < *size)
            count_in_layer(c, k, i - n, &slot, &expert);
        n += *size;
        layer = k;
    }
    if (slot == SLOT_COUNT)
        n += count_of(c, after_layers, ARRAY_SIZE(after_layers), i - n, &slot);
    if (out && slot != SLOT_COUNT)
        names_describe_expert(c, slot, layer, expert, out);
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

/* Reads a number below the limit in canonical decimal. */
static bool match_number(const char **p, size_t limit, size_t *v)
{
    const char *start = *p;
    size_t digits = 0;
    *v = 0;
    for (; **p >= '0' && **p <= '9' && digits < 9; ++*p, digits++)
        *v = *v * 10 + (size_t)(**p - '0');
    return digits && (digits == 1 || *start != '0') && *v < limit;
}

/* Matches name against a pattern whose "%zu"s stand for a layer and an expert, and the end of a
 * weight or bias. */
static bool matches(const char *pattern, const char *ending, const char *name,
                    const struct model_config *c, size_t numbers[2])
{
    const size_t limits[] = {c->n_layers, c->n_experts};
    const char *hole;
    numbers[0] = numbers[1] = 0;
    for (size_t i = 0; (hole = strstr(pattern, "%zu")) && i < 2; i++, pattern = hole + 3) {
        size_t before = (size_t)(hole - pattern);
        if (strncmp(pattern, name, before) != 0)
            return false;
        name += before;
        if (!match_number(&name, limits[i], &numbers[i]))
            return false;
    }
    size_t n = strlen(pattern);
    return !strncmp(name, pattern, n) && !strcmp(name + n, ending);
}

static bool find(const struct model_config *config, const char *name, bool gguf,
                 struct tensor_name *out)
{
    for (enum slot s = 0; s < SLOT_COUNT; s++) {
        size_t at[2];
        const struct slot_name *names = name_of(config, s);
        const char *pattern = gguf ? names->gguf : names->hf;
        const char *ending = slot_is_bias(s) ? ".bias" : ".weight";
        if (pattern && matches(pattern, ending, name, config, at) && names_has(config, s, at[0])) {
            names_describe_expert(config, s, at[0], at[1], out);
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
    size_t n = names_count(config);
    for (size_t i = 0; i < n; i++) {
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
