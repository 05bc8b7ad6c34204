#include "step.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "formats/checkpoint.h"
#include "model/config.h"

/* Layers whose weights are in memory: enough that no cache holds them. Logits are made in chunks.
 */
enum { WEIGHTS_BYTES = 768 << 20, LOGITS_BYTES = 64 << 20, MOST_LOGIT_ROWS = 512 };
/* Products of a layer, and layers' matrices: q, k, v, o, gate, up, down. */
enum { OF_A_LAYER = 48, MATRICES = 7 };

/* Matrices that share an input. */
struct group {
    size_t first, n;
};

static const struct group groups[] = {{0, 3}, {3, 1}, {4, 2}, {6, 1}};

static void add(struct step *s, enum product_kind kind, size_t matrix, size_t m, size_t r)
{
    const struct weight *w = &s->weights[matrix];
    s->products[s->n_products++] = (struct product){kind, matrix, m, w->n, w->k, r};
    double size = (double)w->n * (double)w->k, low = (double)(w->n * r);
    switch (kind) {
    case PRODUCT_FORWARD:
        size += low;
        break;
    case PRODUCT_BACKWARD:
        size += (double)(r * w->k);
        break;
    case PRODUCT_DOWN:
    case PRODUCT_GRAD_A:
        size = (double)(r * w->k);
        break;
    default:
        size = low;
    }
    s->operations += 2 * (double)m * size;
}

static void add_attention(struct step *s, enum product_kind kind)
{
    const double pairs = (double)s->length * (double)(s->length + 1) / 2 * (double)s->documents;
    const double products = kind == PRODUCT_ATTEND ? 2 : 5;
    s->products[s->n_products++] = (struct product){.kind = kind, .m = s->tokens};
    s->operations += 2 * products * pairs * (double)(s->n_heads * s->head_dim);
}

static void add_group(struct step *s, size_t base, const struct group *g, size_t rank)
{
    add(s, PRODUCT_DOWN, base + g->first, s->tokens, g->n * rank);
    for (size_t i = 0; i < g->n; i++)
        add(s, PRODUCT_FORWARD, base + g->first + i, s->tokens, rank);
}

static void add_group_backward(struct step *s, size_t base, const struct group *g, size_t rank,
                               bool below)
{
    for (size_t i = 0; i < g->n; i++) {
        add(s, PRODUCT_DOWN_BACKWARD, base + g->first + i, s->tokens, rank);
        add(s, PRODUCT_GRAD_B, base + g->first + i, s->tokens, rank);
    }
    add(s, PRODUCT_GRAD_A, base + g->first, s->tokens, g->n * rank);
    for (size_t i = 0; below && i < g->n; i++)
        add(s, PRODUCT_BACKWARD, base + g->first + i, s->tokens, rank);
}

static void add_layer(struct step *s, size_t base, size_t rank)
{
    for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
        add_group(s, base, &groups[i], rank);
        if (!i)
            add_attention(s, PRODUCT_ATTEND);
    }
}

static void add_layer_backward(struct step *s, size_t base, size_t rank, bool lowest)
{
    for (size_t i = ARRAY_SIZE(groups); i-- > 0;) {
        if (!i)
            add_attention(s, PRODUCT_ATTEND_BACKWARD);
        add_group_backward(s, base, &groups[i], rank, i || !lowest);
    }
}

static void add_output(struct step *s)
{
    const size_t head = s->n_weights - 1, targets = s->documents * (s->length - 1);
    size_t chunk = LOGITS_BYTES / sizeof(float) / s->weights[head].n;
    chunk = size_min(size_max(chunk, 16), MOST_LOGIT_ROWS);
    for (size_t first = 0; first < targets; first += chunk) {
        add(s, PRODUCT_FORWARD, head, size_min(chunk, targets - first), 0);
        add(s, PRODUCT_BACKWARD, head, size_min(chunk, targets - first), 0);
    }
}

static int list(struct step *s, const struct model_config *c, size_t rank, struct err *err)
{
    const size_t q = c->n_heads * c->head_dim, k = c->n_kv_heads * c->head_dim;
    const struct weight layer[MATRICES] = {
        {q, c->hidden},      {k, c->hidden},      {k, c->hidden},     {c->hidden, q},
        {c->ffn, c->hidden}, {c->ffn, c->hidden}, {c->hidden, c->ffn}};
    if (!c->gated || c->n_experts)
        return err_set(err, "its layers aren't llama's");
    size_t bytes = 0;
    for (size_t i = 0; i < MATRICES; i++)
        bytes += 4 * layer[i].n * layer[i].k;
    const size_t held = size_min(c->n_layers, size_max(1, WEIGHTS_BYTES / bytes));
    s->n_weights = held * MATRICES + 1;
    s->weights = xcalloc(s->n_weights, sizeof *s->weights);
    for (size_t i = 0; i + 1 < s->n_weights; i++)
        s->weights[i] = layer[i % MATRICES];
    s->weights[s->n_weights - 1] = (struct weight){c->vocab, c->hidden};
    s->products = xcalloc(c->n_layers * OF_A_LAYER + 2 * s->tokens, sizeof *s->products);
    for (size_t l = 0; l < c->n_layers; l++)
        add_layer(s, l % held * MATRICES, rank);
    add_output(s);
    for (size_t l = c->n_layers; l-- > 0;)
        add_layer_backward(s, l % held * MATRICES, rank, l == 0);
    return 0;
}

int step_open(struct step *s, const char *model, size_t documents, size_t length, size_t rank,
              struct err *err)
{
    struct checkpoint *c;
    struct model_config config;
    if (checkpoint_open(&c, model, err))
        return -1;
    int status = config_load(&config, c, err);
    checkpoint_close(c);
    if (status)
        return -1;
    *s = (struct step){.tokens = documents * length,
                       .documents = documents,
                       .length = length,
                       .n_heads = config.n_heads,
                       .n_kv_heads = config.n_kv_heads,
                       .head_dim = config.head_dim};
    return list(s, &config, rank, err) ? err_prefix(err, "%s", model) : 0;
}

void step_release(struct step *s)
{
    free(s->weights);
    free(s->products);
}

void *step_numbers(size_t n)
{
    uint16_t *p = xmalloc(n * sizeof *p + 64);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (uint16_t)((0x3e80 + (x >> 24)) | (x >> 8 & 0x8000));
    }
    return p;
}
