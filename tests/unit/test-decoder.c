/*
 * The decoder against PyTorch: logits, log-probabilities, losses, LoRA gradients and optimiser
 * steps of every model in tests/data/models and ${SHARED}/fixtures/models, and the properties that
 * packing and threads must have.
 */
#include "fixture.h"

#include "compute/adamw.h"

static struct decoder *open_model(const char *dir, struct checkpoint **c, size_t threads,
                                  enum backend backend)
{
    struct err err;
    struct decoder *d;
    struct decoder_options options = {.backend = backend, .threads = threads};
    if (checkpoint_open(c, dir, &err) || decoder_open(&d, *c, &options, &err)) {
        printf("Bail out! %s: %s\n", dir, err.msg);
        exit(1);
    }
    return d;
}

static void check_logits(struct decoder *d, const char *name, const struct fixture_inputs *in,
                         const struct safetensors *expected)
{
    struct err err;
    struct batch b = fixture_batch(in);
    size_t vocab = decoder_config(d)->vocab, n;
    float *logits = xcalloc(in->n * vocab, sizeof *logits);
    tap_ok(decoder_logits(d, NULL, &b, logits, &err) == 0, "%s: packed logits", name);
    for (size_t i = 0, start = 0; i < in->n_documents; start += in->lengths[i++]) {
        char key[32], what[512];
        snprintf(key, sizeof key, "logits.%zu", i);
        snprintf(what, sizeof what, "%s: %s", name, key);
        float *want = fixture_floats(expected, key, &n);
        tap_close(what, logits + start * vocab, want, n, 5e-5);
        free(want);
    }
    free(logits);
}

static void check_scores(struct decoder *d, const char *name, const char *dir,
                         const struct fixture_inputs *in, const struct safetensors *expected)
{
    struct err err;
    struct batch b = fixture_batch(in);
    size_t n;
    double *nll = xcalloc(in->n_documents, sizeof *nll), total = 0;
    float *logprob = xcalloc(in->n, sizeof *logprob);
    tap_ok(decoder_score(d, NULL, &b, nll, logprob, &err) == 0, "%s: score", name);
    for (size_t i = 0, start = 0; i < in->n_documents; start += in->lengths[i++]) {
        char key[32], what[512];
        snprintf(key, sizeof key, "logprob.%zu", i);
        snprintf(what, sizeof what, "%s: %s", name, key);
        float *want = fixture_floats(expected, key, &n);
        tap_close(what, logprob + start + 1, want, n, 5e-5);
        tap_ok(isnan(logprob[start]), "%s: the first token of a document has no probability", name);
        free(want);
        total += nll[i];
    }
    json_t *root = fixture_json(dir, "expected.json");
    double want = json_number_value(json_object_get(root, "total_nll"));
    tap_ok(fabs(total - want) <= 1e-5 * want, "%s: total nll %.9g is within 1e-5 of %.9g", name,
           total, want);
    tap_is_u64("targets", batch_targets(&b),
               (uint64_t)json_integer_value(json_object_get(root, "tokens")));
    double *again = xcalloc(in->n_documents, sizeof *again), sum = 0;
    decoder_score(d, NULL, &b, again, NULL, &err);
    for (size_t i = 0; i < in->n_documents; i++)
        sum += again[i];
    tap_ok(fabs(sum - total) <= 1e-9 * total, "%s: the same nll when only targets are scored",
           name);
    json_decref(root);
    free(again);
    free(nll);
    free(logprob);
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* The difference relative to the tensor's norm. */
static void check_gradient(const char *model, const char *key, const float *got, double scale,
                           const struct safetensors *expected)
{
    size_t n;
    float *want = fixture_floats(expected, key, &n);
    double difference = 0;
    for (size_t i = 0; i < n; i++)
        difference += pow((double)got[i] * scale - (double)want[i], 2);
    double relative = sqrt(difference) / norm_of(want, n);
    tap_ok(relative <= 1e-4, "%s: %s within 1e-4 of its norm (%.2g)", model, key, relative);
    free(want);
}

static void check_gradients(struct decoder *d, const char *name, const char *dir,
                            const struct fixture_inputs *in)
{
    struct err err;
    char path[4096];
    snprintf(path, sizeof path, "%s/lora", dir);
    struct lora *l = fixture_lora(dir, "lora/initial", decoder_config(d));
    struct safetensors *expected = fixture_tensors(path, "expected.safetensors");
    struct batch b = fixture_batch(in);
    double nll, targets = (double)batch_targets(&b);
    tap_ok(decoder_accumulate(d, l, &b, &(struct learning){.key = 0}, &nll, &err) == 0,
           "%s: forward and backward", name);
    json_t *root = fixture_json(path, "expected.json");
    double want = json_number_value(json_array_get(json_object_get(root, "losses"), 0));
    tap_ok(fabs(nll / targets - want) <= 1e-5, "%s: adapted loss %.8g, want %.8g", name,
           nll / targets, want);
    json_decref(root);
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        struct tensor_name tensor;
        char key[256];
        names_describe(decoder_config(d), p->slot, p->layer, &tensor);
        snprintf(key, sizeof key, "grad.base_model.model.%s.lora_A.weight", tensor.module);
        check_gradient(name, key, p->grad_a, 1 / targets, expected);
        snprintf(key, sizeof key, "grad.base_model.model.%s.lora_B.weight", tensor.module);
        check_gradient(name, key, p->grad_b, 1 / targets, expected);
    }
    safetensors_close(expected);
    lora_free(l);
}

/* Three steps of AdamW from the stored adapter: losses, and where it gets to. */
static void check_steps(struct decoder *d, const char *name, const char *dir,
                        const struct fixture_inputs *in)
{
    enum { STEPS = 3 };
    struct err err;
    struct adamw o;
    char path[4096], what[512];
    snprintf(path, sizeof path, "%s/lora", dir);
    json_t *root = fixture_json(path, "expected.json");
    struct lora *l = fixture_lora(dir, "lora/initial", decoder_config(d));
    struct lora *after = fixture_lora(dir, "lora/after3", decoder_config(d));
    struct batch b = fixture_batch(in);
    double nll, worst = 0, targets = (double)batch_targets(&b);
    if (adamw_init(&o, l->n_params, 0.9, 0.999, 1e-8, 0.01, &err))
        exit(1);
    for (size_t k = 0; k <= STEPS; k++) {
        const json_t *want = k < STEPS ? json_array_get(json_object_get(root, "losses"), k)
                                       : json_object_get(root, "loss_after");
        memset(l->grads, 0, l->n_params * sizeof *l->grads);
        decoder_accumulate(d, l, &b, &(struct learning){.key = 0}, &nll, &err);
        worst = fmax(worst, fabs(nll / targets - json_number_value(want)));
        if (k < STEPS)
            adamw_update(&o, l->params, l->grads, 1 / targets, 0.01);
    }
    tap_ok(worst <= 1e-5, "%s: losses of three steps and after them within 1e-5 (%.2g)", name,
           worst);
    snprintf(what, sizeof what, "%s: adapter after three steps", name);
    tap_close(what, l->params, after->params, l->n_params, 1e-4);
    adamw_release(&o);
    json_decref(root);
    lora_free(after);
    lora_free(l);
}

/* With the adapter beside the base, which is what merging it gives too. */
static void check_adapted_logits(struct decoder *d, const char *name, const char *dir,
                                 const struct fixture_inputs *in)
{
    struct err err;
    char path[4096], what[512];
    size_t n, vocab = decoder_config(d)->vocab, start = in->lengths[0];
    snprintf(path, sizeof path, "%s/lora", dir);
    struct safetensors *expected = fixture_tensors(path, "expected.safetensors");
    struct lora *l = fixture_lora(dir, "lora/initial", decoder_config(d));
    struct batch b = fixture_batch(in);
    float *logits = xcalloc(in->n * vocab, sizeof *logits);
    static const char *const keys[] = {"adapter_logits.1", "merged_logits.1"};
    tap_ok(decoder_logits(d, l, &b, logits, &err) == 0, "%s: logits with the adapter", name);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        float *want = fixture_floats(expected, keys[i], &n);
        snprintf(what, sizeof what, "%s: %s", name, keys[i]);
        tap_close(what, logits + start * vocab, want, n, 1e-4);
        free(want);
    }
    free(logits);
    lora_free(l);
    safetensors_close(expected);
}

/* One thread and three give the same bits. */
static void check_threads(const char *name, const char *dir, const struct fixture_inputs *in)
{
    struct err err;
    struct checkpoint *c[2];
    struct batch b = fixture_batch(in);
    struct lora *l[2];
    double nll[2];
    for (size_t i = 0; i < 2; i++) {
        struct decoder *d = open_model(dir, &c[i], i ? 3 : 1, BACKEND_FP32);
        l[i] = fixture_lora(dir, "lora/initial", decoder_config(d));
        decoder_accumulate(d, l[i], &b, &(struct learning){.key = 0}, &nll[i], &err);
        decoder_close(d);
        checkpoint_close(c[i]);
    }
    tap_ok(nll[0] == nll[1] && !memcmp(l[0]->grads, l[1]->grads, l[0]->n_params * sizeof(float)),
           "%s: the same bits with 1 and 3 threads", name);
    lora_free(l[0]);
    lora_free(l[1]);
}

/* With dropout the way back sees the mask of the way forward: finite differences agree. */
static void check_dropout(struct decoder *d, const char *name, const char *dir,
                          const struct fixture_inputs *in)
{
    struct err err;
    struct batch b = fixture_batch(in);
    struct lora *l = fixture_lora(dir, "lora/initial", decoder_config(d));
    double nll, up, down;
    l->dropout = 0.3;
    decoder_accumulate(d, l, &b, &(struct learning){.key = 5}, &nll, &err);
    struct lora_pair *p = &l->pairs[0];
    double gradient = (double)p->grad_a[1];
    /* Of experts a step could choose others. */
    const float step = decoder_config(d)->n_experts ? 1e-3f : 1e-2f;
    p->a[1] += step;
    decoder_accumulate(d, l, &b, &(struct learning){.key = 5}, &up, &err);
    p->a[1] -= 2 * step;
    decoder_accumulate(d, l, &b, &(struct learning){.key = 5}, &down, &err);
    double measured = (up - down) / (2 * (double)step);
    tap_ok(fabs(measured - gradient) <= 1e-3 * fabs(gradient) + 1e-2,
           "%s: gradient under dropout %.6g, by differences %.6g", name, gradient, measured);
    decoder_accumulate(d, l, &b, &(struct learning){.key = 6}, &down, &err);
    tap_ok(fabs(down - nll) > 1e-6, "%s: another key, another mask", name);
    lora_free(l);
}

/* Tokens one by one through the cache give the logits of the whole. */
static void check_cache(struct decoder *d, const char *name, const struct fixture_inputs *in,
                        const struct safetensors *expected)
{
    struct err err;
    struct kv_cache *cache;
    size_t vocab = decoder_config(d)->vocab, n, length = in->lengths[0];
    float *logits = xcalloc(2 * vocab, sizeof *logits),
          *want = fixture_floats(expected, "logits.0", &n);
    tap_ok(kv_cache_new(&cache, d, 2, length, &err) == 0, "%s: cache", name);
    size_t both[] = {1, 0}, counts[] = {length - 3, 1}, one = 1;
    uint32_t *ids = xcalloc(length, sizeof *ids);
    memcpy(ids, in->ids, (length - 3) * sizeof *ids);
    ids[length - 3] = in->ids[0];
    tap_ok(decoder_extend(d, NULL, cache, both, counts, 2, ids, logits, &err) == 0, "%s: extend",
           name);
    tap_close("cache: a prompt at once", logits, want + (length - 4) * vocab, vocab, 5e-5);
    tap_close("cache: another sequence beside it", logits + vocab, want, vocab, 5e-5);
    for (size_t t = length - 3; t < length; t++) {
        decoder_extend(d, NULL, cache, both, &one, 1, &in->ids[t], logits, &err);
        tap_close("cache: one more token", logits, want + t * vocab, vocab, 5e-5);
    }
    tap_ok(decoder_extend(d, NULL, cache, both, &one, 1, in->ids, logits, &err) != 0,
           "%s: a full cache is an error", name);
    kv_cache_free(cache);
    free(ids);
    free(want);
    free(logits);
}

static void check_model(const char *dir, const char *name)
{
    struct checkpoint *c;
    struct decoder *d = open_model(dir, &c, 2, BACKEND_FP32);
    struct fixture_inputs in = fixture_inputs(dir);
    struct safetensors *expected = fixture_tensors(dir, "expected.safetensors");
    check_logits(d, name, &in, expected);
    check_scores(d, name, dir, &in, expected);
    check_cache(d, name, &in, expected);
    if (fixture_exists(dir, "lora")) {
        check_gradients(d, name, dir, &in);
        check_steps(d, name, dir, &in);
        check_adapted_logits(d, name, dir, &in);
        check_dropout(d, name, dir, &in);
        check_threads(name, dir, &in);
    }
    safetensors_close(expected);
    fixture_inputs_release(&in);
    decoder_close(d);
    checkpoint_close(c);
}

int main(void)
{
    fixture_models(check_model);
    return tap_done();
}
