#include "model/quant_mix.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum mix {
    MIX_F32,
    MIX_F16,
    MIX_BF16,
    MIX_Q8_0,
    MIX_Q6_K,
    MIX_Q5_K_M,
    MIX_Q5_K_S,
    MIX_Q5_0,
    MIX_Q5_1,
    MIX_Q4_K_M,
    MIX_Q4_K_S,
    MIX_Q4_0,
    MIX_Q4_1,
    MIX_Q3_K_L,
    MIX_Q3_K_M,
    MIX_Q3_K_S,
    MIX_Q2_K,
    MIX_Q2_K_S,
    MIX_COUNT,
};

/* The first one of a type is what its bare name stands for. */
static const struct quant_mix mixes[MIX_COUNT] = {
    [MIX_F32] = {"f32", DTYPE_F32, 0},         [MIX_F16] = {"f16", DTYPE_F16, 1},
    [MIX_BF16] = {"bf16", DTYPE_BF16, 32},     [MIX_Q8_0] = {"q8_0", DTYPE_Q8_0, 7},
    [MIX_Q6_K] = {"q6_k", DTYPE_Q6_K, 18},     [MIX_Q5_K_M] = {"q5_k_m", DTYPE_Q5_K, 17},
    [MIX_Q5_K_S] = {"q5_k_s", DTYPE_Q5_K, 16}, [MIX_Q5_0] = {"q5_0", DTYPE_Q5_0, 8},
    [MIX_Q5_1] = {"q5_1", DTYPE_Q5_1, 9},      [MIX_Q4_K_M] = {"q4_k_m", DTYPE_Q4_K, 15},
    [MIX_Q4_K_S] = {"q4_k_s", DTYPE_Q4_K, 14}, [MIX_Q4_0] = {"q4_0", DTYPE_Q4_0, 2},
    [MIX_Q4_1] = {"q4_1", DTYPE_Q4_1, 3},      [MIX_Q3_K_L] = {"q3_k_l", DTYPE_Q3_K, 13},
    [MIX_Q3_K_M] = {"q3_k_m", DTYPE_Q3_K, 12}, [MIX_Q3_K_S] = {"q3_k_s", DTYPE_Q3_K, 11},
    [MIX_Q2_K] = {"q2_k", DTYPE_Q2_K, 10},     [MIX_Q2_K_S] = {"q2_k_s", DTYPE_Q2_K, 21},
};

const struct quant_mix *quant_mix_by_name(const char *name)
{
    for (size_t i = 0; i < MIX_COUNT; i++)
        if (!strcasecmp(mixes[i].name, name))
            return &mixes[i];
    if (!strcasecmp(name, "q3_k")) /* the middle one of three */
        return &mixes[MIX_Q3_K_M];
    enum dtype type;
    return dtype_by_name(name, &type) ? quant_mix_of(type) : NULL;
}

const struct quant_mix *quant_mix_of(enum dtype type)
{
    for (size_t i = 0; i < MIX_COUNT; i++)
        if (mixes[i].type == type)
            return &mixes[i];
    return NULL;
}

/* What a matrix is for, by its GGUF name, which is the same in all architectures. */
enum role {
    ROLE_OTHER,
    ROLE_EMBED,
    ROLE_OUTPUT,
    ROLE_KEY,
    ROLE_VALUE,
    ROLE_ATTN_OUTPUT,
    ROLE_DOWN,
    ROLE_KEPT,
};

static enum role role_of(const char *gguf)
{
    static const struct {
        const char *part;
        enum role role;
    } parts[] = {
        {"_norm.weight", ROLE_KEPT},
        {"ffn_gate_inp", ROLE_KEPT},
        {"position_embd", ROLE_KEPT},
        {"token_embd.weight", ROLE_EMBED},
        {"attn_v.weight", ROLE_VALUE},
        {"attn_qkv.weight", ROLE_VALUE},
        {"attn_k.weight", ROLE_KEY},
        {"ffn_down", ROLE_DOWN},
        {"attn_output.weight", ROLE_ATTN_OUTPUT},
    };
    if (!strcmp(gguf, "output.weight"))
        return ROLE_OUTPUT;
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (strstr(gguf, parts[i].part))
            return parts[i].role;
    return ROLE_OTHER;
}

/* The first and the last eighth of the layers, and every third one between. */
static bool gets_more_bits(size_t layer, size_t n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static enum dtype value_type(enum mix mix, enum dtype type, const struct model_config *c,
                             size_t layer)
{
    if (c->n_experts == 8) /* small beside eight MLPs */
        return DTYPE_Q8_0;
    bool shared = c->n_heads / c->n_kv_heads >= 4; /* a small matrix that many heads read */
    switch (mix) {
    case MIX_Q2_K:
        type = shared ? DTYPE_Q4_K : DTYPE_Q3_K;
        break;
    case MIX_Q2_K_S:
        type = shared ? DTYPE_Q4_K : type;
        break;
    case MIX_Q3_K_M:
        type = layer < 2 ? DTYPE_Q5_K : DTYPE_Q4_K;
        break;
    case MIX_Q3_K_L:
        type = DTYPE_Q5_K;
        break;
    case MIX_Q4_K_S:
        type = layer < 4 ? DTYPE_Q5_K : type;
        break;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
        type = gets_more_bits(layer, c->n_layers) ? DTYPE_Q6_K : type;
        break;
    default:
        break;
    }
    bool is_70b = c->n_layers == 80 && c->n_heads != c->n_kv_heads;
    return is_70b && (type == DTYPE_Q3_K || type == DTYPE_Q4_K) ? DTYPE_Q5_K : type;
}

static enum dtype down_type(enum mix mix, enum dtype type, size_t layer, size_t n)
{
    switch (mix) {
    case MIX_Q2_K:
        return DTYPE_Q3_K;
    case MIX_Q2_K_S:
        return layer < n / 8 ? DTYPE_Q4_K : type;
    case MIX_Q3_K_M:
        return layer < n / 16 ? DTYPE_Q5_K : DTYPE_Q4_K;
    case MIX_Q3_K_L:
        return DTYPE_Q5_K;
    case MIX_Q4_K_S:
        return layer < n / 8 ? DTYPE_Q5_K : type;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
        return gets_more_bits(layer, n) ? DTYPE_Q6_K : type;
    default:
        return type;
    }
}

static enum dtype attn_output_type(enum mix mix, enum dtype type, const struct model_config *c)
{
    if (c->n_experts == 8)
        return mix == MIX_Q2_K || mix == MIX_Q3_K_S || mix == MIX_Q3_K_M || mix == MIX_Q4_K_S ||
                       mix == MIX_Q4_K_M
                   ? DTYPE_Q5_K
                   : type;
    return mix == MIX_Q2_K     ? DTYPE_Q3_K
           : mix == MIX_Q3_K_M ? DTYPE_Q4_K
           : mix == MIX_Q3_K_L ? DTYPE_Q5_K
                               : type;
}

enum dtype quant_mix_fit(enum dtype type, uint64_t cols)
{
    if (cols % dtypes[type].block == 0)
        return type;
    switch (type) {
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
        type = DTYPE_Q4_0;
        break;
    case DTYPE_Q4_K:
        type = DTYPE_Q5_0;
        break;
    case DTYPE_Q5_K:
        type = DTYPE_Q5_1;
        break;
    case DTYPE_Q6_K:
        type = DTYPE_Q8_0;
        break;
    default:
        break;
    }
    return cols % dtypes[type].block ? DTYPE_F16 : type;
}

enum dtype quant_mix_type(const struct quant_mix *mix, const struct model_config *config,
                          const struct tensor_name *name, bool *fallback)
{
    enum mix which = (enum mix)(mix - mixes);
    enum role role = role_of(name->gguf);
    enum dtype type = mix->type;
    *fallback = false;
    if (name->n_dims == 1 || role == ROLE_KEPT)
        return DTYPE_F32;
    if (dtypes[type].block == 1)
        return type;
    if (role == ROLE_OUTPUT || (role == ROLE_EMBED && config->tied))
        type = type == DTYPE_Q8_0 || name->cols % dtypes[type].block ? DTYPE_Q8_0 : DTYPE_Q6_K;
    else if (role == ROLE_VALUE)
        type = value_type(which, type, config, name->layer);
    else if (role == ROLE_DOWN)
        type = down_type(which, type, name->layer, config->n_layers);
    else if (role == ROLE_ATTN_OUTPUT)
        type = attn_output_type(which, type, config);
    else if (role == ROLE_KEY && config->n_experts == 8)
        type = DTYPE_Q8_0;
    enum dtype fits = quant_mix_fit(type, name->cols);
    *fallback = fits != type;
    return fits;
}
