/*
 * generate: against a plain twin that computes all logits anew for every token, whatever runs
 * beside; and where completions end.
 */
#include "model/generate.h"

#include "base/rng.h"
#include "fixture.h"
#include "model/decoder.h"

enum { PROMPTS = 9, MAX_TOKENS = 24, MAX_PROMPT = 12 };

struct result {
    uint32_t ids[MAX_TOKENS];
    double logprobs[MAX_TOKENS];
    size_t n, stop_after;
    enum finish finish;
    bool done;
};

static int take(void *arg, const struct generated_token *token, struct err *err)
{
    struct result *r = arg;
    if (r->n == MAX_TOKENS)
        return err_set(err, "too many tokens");
    r->logprobs[r->n] = token->logprob;
    r->ids[r->n++] = token->id;
    return r->n == r->stop_after;
}

static int end(void *arg, enum finish finish, struct err *err)
{
    struct result *r = arg;
    (void)err;
    r->finish = finish;
    r->done = true;
    return 0;
}

/* Prompts of 1 to MAX_PROMPT tokens. */
static size_t make_prompt(size_t i, size_t vocab, uint32_t *ids)
{
    struct rng rng;
    rng_init(&rng, 5, i);
    size_t n = 1 + i * 5 % MAX_PROMPT;
    for (size_t k = 0; k < n; k++)
        ids[k] = (uint32_t)rng_below(&rng, vocab);
    return n;
}

static void run(struct decoder *d, const struct lora *lora, const struct generate_options *o,
                struct result *results)
{
    struct err err = {"no error"};
    uint32_t ids[MAX_PROMPT];
    struct generator *g = generator_new(d, lora, o);
    int status = 0;
    for (size_t i = 0; i < PROMPTS; i++) {
        size_t n = make_prompt(i, decoder_config(d)->vocab, ids), stop = results[i].stop_after;
        struct generate_receiver receiver = {take, end, &results[i]};
        results[i] = (struct result){.stop_after = stop};
        status |= generator_submit(g, ids, n, i, &receiver, &err);
    }
    while (!status && generator_waiting(g) + generator_running(g))
        status = generator_step(g, &err);
    if (status)
        printf("# %s\n", err.msg);
    generator_free(g);
}

/* The twin: every token from the logits of the whole sequence. */
static void run_plainly(struct decoder *d, const struct lora *lora,
                        const struct generate_options *o, size_t prompt, struct result *r)
{
    struct err err;
    size_t vocab = decoder_config(d)->vocab;
    uint32_t ids[MAX_PROMPT + MAX_TOKENS];
    size_t n = make_prompt(prompt, vocab, ids);
    float *logits = xcalloc((n + MAX_TOKENS) * vocab, sizeof *logits);
    struct sampler *s = sampler_new(vocab);
    struct rng rng;
    rng_init(&rng, o->seed, prompt);
    *r = (struct result){.done = true, .finish = FINISH_LENGTH};
    while (r->n < o->max_tokens) {
        struct batch b = {ids, NULL, n, &n, 1, NULL};
        uint32_t id;
        decoder_logits(d, lora, &b, logits, &err);
        float *row = logits + (n - 1) * vocab;
        sample_token(s, &o->sampling, row, ids, n, rng_uniform(&rng), &id, &err);
        if (o->n_end_ids && id == o->end_ids[0]) {
            r->finish = FINISH_STOP;
            break;
        }
        r->logprobs[r->n] = logits_logprob(row, vocab, id);
        r->ids[r->n++] = ids[n++] = id;
    }
    sampler_free(s);
    free(logits);
}

static void compare(const char *name, const struct result *got, const struct result *want)
{
    size_t same = 0, close = 0;
    for (size_t i = 0; i < PROMPTS; i++) {
        bool equal = got[i].done && got[i].n == want[i].n && got[i].finish == want[i].finish &&
                     !memcmp(got[i].ids, want[i].ids, want[i].n * sizeof(uint32_t));
        double worst = 0;
        for (size_t k = 0; equal && k < want[i].n; k++)
            worst = fmax(worst, fabs(got[i].logprobs[k] - want[i].logprobs[k]));
        same += equal;
        close += equal && worst < 1e-4;
        if (!equal)
            printf("# prompt %zu: %zu tokens, want %zu\n", i, got[i].n, want[i].n);
    }
    tap_ok(same == PROMPTS, "%s: the same tokens", name);
    tap_ok(close == PROMPTS, "%s: the same log p", name);
}

static void test_model(const char *dir, const char *model, bool with_adapter)
{
    struct err err;
    struct checkpoint *c;
    struct decoder *d;
    struct result want[PROMPTS], got[PROMPTS] = {{{0}, {0}, 0, 0, 0, 0}};
    char path[3500], name[200];
    snprintf(path, sizeof path, "%s/%s", dir, model);
    if (checkpoint_open(&c, path, &err) ||
        decoder_open(&d, c, &(struct decoder_options){.backend = BACKEND_FP32, .threads = 2},
                     &err)) {
        tap_ok(false, "%s: %s", model, err.msg);
        return;
    }
    struct lora *lora = with_adapter ? fixture_lora(path, "lora/initial", decoder_config(d)) : NULL;
    uint32_t end_id = 7;
    for (int sampled = 0; sampled < 2; sampled++) {
        struct generate_options o = {.seed = 9,
                                     .max_tokens = MAX_TOKENS,
                                     .end_ids = &end_id,
                                     .n_end_ids = 1,
                                     .logprobs = true};
        sampling_init(&o.sampling);
        if (sampled)
            o.sampling = (struct sampling){1.5, 100, 0.98, 0, 1.1};
        for (size_t i = 0; i < PROMPTS; i++)
            run_plainly(d, lora, &o, i, &want[i]);
        static const size_t slots[] = {1, 2, 4, 16};
        for (size_t i = 0; i < ARRAY_SIZE(slots); i++) {
            o.slots = slots[i];
            run(d, lora, &o, got);
            snprintf(name, sizeof name, "%s%s%s, %zu at once", model, lora ? " with adapter" : "",
                     sampled ? ", sampled" : "", slots[i]);
            compare(name, got, want);
        }
    }
    lora_free(lora);
    decoder_close(d);
    checkpoint_close(c);
}

static void test_ends(const char *dir)
{
    struct err err;
    struct checkpoint *c;
    struct decoder *d;
    struct result r[PROMPTS] = {{{0}, {0}, 0, 0, 0, 0}};
    char path[4096];
    snprintf(path, sizeof path, "%s/llama", dir);
    if (checkpoint_open(&c, path, &err) ||
        decoder_open(&d, c, &(struct decoder_options){.backend = BACKEND_FP32, .threads = 1},
                     &err)) {
        tap_ok(false, "llama: %s", err.msg);
        return;
    }
    struct generate_options o = {.max_tokens = 10, .slots = 3};
    sampling_init(&o.sampling);
    r[4].stop_after = 3;
    run(d, NULL, &o, r);
    tap_ok(r[4].n == 3 && r[4].finish == FINISH_STOP, "the receiver stops it");
    tap_ok(r[5].n == 10 && r[5].finish == FINISH_LENGTH, "max_tokens");
    tap_ok(isnan(r[5].logprobs[0]), "no log p unless asked for");

    /* 256 positions: the prompt leaves room for 6 tokens; chunks don't matter. */
    uint32_t *ids = xcalloc(256, sizeof *ids);
    struct result last = {.n = 0};
    struct generate_receiver receiver = {take, end, &last};
    struct generator *g = generator_new(d, NULL, &o);
    int status = generator_submit(g, ids, 250, 0, &receiver, &err);
    while (!status && generator_waiting(g) + generator_running(g))
        status = generator_step(g, &err);
    tap_ok(!status && last.n == 6 && last.finish == FINISH_CONTEXT, "the model's context");
    tap_ok(generator_submit(g, ids, 256, 0, &receiver, &err) && strstr(err.msg, "256 tokens"),
           "a prompt that fills the context is an error");
    tap_ok(generator_submit(g, ids, 0, 0, &receiver, &err), "and so is one without tokens");
    ids[1] = 288;
    tap_ok(generator_submit(g, ids, 3, 0, &receiver, &err) && strstr(err.msg, "288"),
           "and a token outside of the vocabulary");
    ids[1] = 5;
    generator_submit(g, ids, 3, 0, &receiver, &err);
    generator_free(g); /* with a prompt that waits */
    free(ids);
    decoder_close(d);
    checkpoint_close(c);
}

int main(void)
{
    const char *source = getenv("SRCDIR");
    char dir[3000];
    snprintf(dir, sizeof dir, "%s/tests/data/models", source ? source : ".");
    test_model(dir, "llama", false);
    test_model(dir, "llama3rope", true);
    test_ends(dir);
    return tap_done();
}
