#include "model/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum {
    PROMPT_CHUNK = 512, /* tokens of a prompt that go through the decoder at once */
    STEP_CHUNKS = 4,    /* prompts that may do so in one step: bounds the activations */
};

struct sequence {
    uint32_t *ids; /* the prompt, then the completion */
    size_t n, cap, n_prompt;
    size_t fed; /* how many of them are in the cache */
    struct rng rng;
    struct generate_receiver receiver;
};

struct generator {
    struct decoder *decoder;
    const struct lora *lora;
    struct generate_options options;
    size_t vocab, context;

    struct sequence **queue; /* a ring would save a memmove of pointers */
    size_t n_queue, queue_cap;
    struct sequence **slots; /* [options.slots], NULL where free */
    size_t n_running;

    struct kv_cache *cache;
    size_t capacity; /* tokens a slot of the cache holds */
    struct sampler *sampler;
    float *logits;            /* [options.slots, vocab] */
    struct token_chance *top; /* [options.n_top] */

    size_t *part_slots, *part_counts; /* [options.slots]: what decoder_extend is given */
    uint32_t *ids;
    size_t n_ids, ids_cap;
};

struct generator *generator_new(struct decoder *d, const struct lora *lora,
                                const struct generate_options *options)
{
    struct generator *g = xcalloc(1, sizeof *g);
    g->decoder = d;
    g->lora = lora;
    g->options = *options;
    g->vocab = decoder_config(d)->vocab;
    g->context = decoder_config(d)->max_positions;
    g->slots = xcalloc(options->slots, sizeof *g->slots);
    g->part_slots = xcalloc(options->slots, sizeof *g->part_slots);
    g->part_counts = xcalloc(options->slots, sizeof *g->part_counts);
    g->options.n_top = size_min(options->n_top, g->vocab);
    g->top = xcalloc(g->options.n_top, sizeof *g->top);
    g->sampler = sampler_new(g->vocab);
    return g;
}

static void sequence_free(struct sequence *s)
{
    if (!s)
        return;
    free(s->ids);
    free(s);
}

void generator_free(struct generator *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_queue; i++)
        sequence_free(g->queue[i]);
    for (size_t i = 0; i < g->options.slots; i++)
        sequence_free(g->slots[i]);
    kv_cache_free(g->cache);
    sampler_free(g->sampler);
    free(g->queue);
    free(g->slots);
    free(g->logits);
    free(g->top);
    free(g->part_slots);
    free(g->part_counts);
    free(g->ids);
    free(g);
}

static int check_prompt(const struct generator *g, const uint32_t *ids, size_t n, struct err *err)
{
    if (!n)
        return err_set(err, "the prompt has no tokens: nothing to continue");
    if (n >= g->context)
        return err_set(err,
                       "the prompt has %zu tokens, the model has room for %zu and a completion", n,
                       g->context - 1);
    for (size_t i = 0; i < n; i++)
        if (ids[i] >= g->vocab)
            return err_set(err, "token %zu is %u, the model's vocabulary ends at %zu", i, ids[i],
                           g->vocab - 1);
    return 0;
}

int generator_submit(struct generator *g, const uint32_t *ids, size_t n, uint64_t stream,
                     const struct generate_receiver *receiver, struct err *err)
{
    if (check_prompt(g, ids, n, err))
        return -1;
    struct sequence *s = xcalloc(1, sizeof *s);
    s->cap = n + 64;
    s->ids = xreallocarray(NULL, s->cap, sizeof *s->ids);
    memcpy(s->ids, ids, n * sizeof *ids);
    s->n = s->n_prompt = n;
    s->receiver = *receiver;
    rng_init(&s->rng, g->options.seed, stream);
    ARRAY_GROW(g->queue, g->n_queue, g->queue_cap);
    g->queue[g->n_queue++] = s;
    return 0;
}

size_t generator_waiting(const struct generator *g)
{
    return g->n_queue;
}

size_t generator_running(const struct generator *g)
{
    return g->n_running;
}

/* Positions that a sequence may come to fill. */
static size_t sequence_room(const struct generator *g, const struct sequence *s)
{
    size_t left = g->context - s->n_prompt;
    return s->n_prompt + (g->options.max_tokens < left ? g->options.max_tokens : left);
}

/* A cache with room for every sequence that could be admitted now. */
static int grow_cache(struct generator *g, struct err *err)
{
    size_t room = g->capacity;
    for (size_t i = 0; i < g->n_queue && i < g->options.slots; i++) {
        size_t needed = sequence_room(g, g->queue[i]);
        room = needed > room ? needed : room;
    }
    size_t rounded = (room + 63) / 64 * 64; /* so that a slightly longer prompt fits as well */
    if (g->options.reuse)
        rounded *= 2; /* a larger cache begins empty */
    room = rounded < g->context ? rounded : g->context;
    kv_cache_free(g->cache);
    g->cache = NULL;
    g->capacity = 0;
    if (kv_cache_new(&g->cache, g->decoder, g->options.slots, room, err))
        return -1;
    g->capacity = room;
    return 0;
}

/* The last token of a prompt always goes through the decoder: it gives the first logits. */
static void begin_sequence(struct generator *g, size_t slot)
{
    struct sequence *s = g->slots[slot];
    if (g->options.reuse)
        s->fed = kv_cache_keep(g->cache, slot, s->ids, s->n - 1);
    else
        kv_cache_clear(g->cache, slot);
}

/* Gives free slots to waiting prompts. One that needs a larger cache waits until none runs. */
static int admit(struct generator *g, struct err *err)
{
    size_t taken = 0;
    for (size_t slot = 0; slot < g->options.slots && taken < g->n_queue; slot++) {
        if (g->slots[slot])
            continue;
        if (sequence_room(g, g->queue[taken]) > g->capacity) {
            if (g->n_running)
                break;
            if (grow_cache(g, err))
                return -1;
        }
        g->slots[slot] = g->queue[taken++];
        begin_sequence(g, slot);
        g->n_running++;
    }
    if (taken)
        memmove(g->queue, g->queue + taken, (g->n_queue - taken) * sizeof *g->queue);
    g->n_queue -= taken;
    return 0;
}

/* Collects what goes through the decoder in this step; returns the number of parts. */
static size_t collect_parts(struct generator *g)
{
    size_t parts = 0, chunks = 0;
    g->n_ids = 0;
    for (size_t slot = 0; slot < g->options.slots; slot++) {
        struct sequence *s = g->slots[slot];
        if (!s)
            continue;
        size_t count = s->n - s->fed;
        if (count > 1 && chunks++ >= STEP_CHUNKS)
            continue;
        if (count > PROMPT_CHUNK)
            count = PROMPT_CHUNK;
        while (g->n_ids + count > g->ids_cap) {
            g->ids_cap = g->n_ids + count + PROMPT_CHUNK;
            g->ids = xreallocarray(g->ids, g->ids_cap, sizeof *g->ids);
        }
        memcpy(g->ids + g->n_ids, s->ids + s->fed, count * sizeof *s->ids);
        g->n_ids += count;
        s->fed += count;
        g->part_slots[parts] = slot;
        g->part_counts[parts++] = count;
    }
    return parts;
}

static bool is_end(const struct generate_options *o, uint32_t id)
{
    for (size_t i = 0; i < o->n_end_ids; i++)
        if (o->end_ids[i] == id)
            return true;
    return false;
}

/*
 * Chooses the next token of one sequence and hands it over. 1 and the reason when the sequence ends
 * here, 0 to go on.
 */
static int take_token(struct generator *g, struct sequence *s, const float *logits,
                      enum finish *finish, struct err *err)
{
    const struct generate_options *o = &g->options;
    struct generated_token token = {.logprob = NAN, .top = g->top};
    double u = rng_uniform(&s->rng);
    ARRAY_GROW(s->ids, s->n, s->cap);
    if (sample_token(g->sampler, &o->sampling, logits, s->ids, s->n, u, &token.id, err))
        return -1;
    *finish = FINISH_STOP;
    if (is_end(o, token.id))
        return 1;
    s->ids[s->n++] = token.id;
    if (o->logprobs)
        token.logprob = logits_logprob(logits, g->vocab, token.id);
    if (o->n_top)
        logits_likeliest(logits, g->vocab, o->n_top, g->top);
    int status = s->receiver.token(s->receiver.arg, &token, err);
    if (status)
        return status;
    bool full = s->n - s->n_prompt >= g->options.max_tokens;
    *finish = full ? FINISH_LENGTH : FINISH_CONTEXT;
    return full || s->n >= g->context;
}

static int end_sequence(struct generator *g, size_t slot, enum finish finish, struct err *err)
{
    struct sequence *s = g->slots[slot];
    int status = s->receiver.done(s->receiver.arg, finish, err);
    sequence_free(s);
    g->slots[slot] = NULL;
    g->n_running--;
    return status;
}

/* Room for the logits of every slot, taken when it is first needed. */
static int allocate_logits(struct generator *g, struct err *err)
{
    size_t n;
    if (g->logits)
        return 0;
    if (!size_mul(g->options.slots, g->vocab, &n))
        return err_set(err, "logits: %zu rows of %zu are too many", g->options.slots, g->vocab);
    g->logits = mem_array(n, sizeof *g->logits, "logits", err);
    return g->logits ? 0 : -1;
}

int generator_step(struct generator *g, struct err *err)
{
    if (allocate_logits(g, err) || admit(g, err))
        return -1;
    size_t parts = collect_parts(g);
    if (!parts)
        return 0;
    if (decoder_extend(g->decoder, g->lora, g->cache, g->part_slots, g->part_counts, parts, g->ids,
                       g->logits, err))
        return -1;
    for (size_t i = 0; i < parts; i++) {
        struct sequence *s = g->slots[g->part_slots[i]];
        enum finish finish;
        if (s->fed < s->n) /* a prompt that isn't through */
            continue;
        int status = take_token(g, s, g->logits + i * g->vocab, &finish, err);
        if (status < 0 || (status && end_sequence(g, g->part_slots[i], finish, err)))
            return -1;
    }
    return 0;
}
