/*
 * Every method of training against PyTorch and PEFT: logits, gradients, losses and gradient norms
 * of some steps, and the weights after them. A method is a folder of
 * tests/data/models/llama/variants; where that has no values of its own they are looked for in
 * ${SHARED}/fixtures.
 */
#include "fixture.h"

#include "compute/adamw.h"
#include "compute/schedule.h"
#include "model/adapter.h"

static struct checkpoint *checkpoint;
static struct decoder *decoder;
static struct fixture_inputs inputs;
static const struct learning plain;

/* What is trained, by PEFT's names. */
struct named {
    char name[256];
    const float *values, *grad;
    size_t n;
};

static void add(struct named *list, size_t *n, const char *module, const char *part,
                const float *values, const float *grad, size_t size)
{
    struct named *to = &list[(*n)++];
    *to = (struct named){.values = values, .grad = grad, .n = size};
    snprintf(to->name, sizeof to->name, "base_model.model.%s%s", module, part);
}

static struct named *list_trained(const struct lora *l, size_t *n)
{
    struct named *list = xcalloc(3 * l->n_pairs + l->n_weights, sizeof *list);
    struct tensor_name name;
    *n = 0;
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        names_describe(decoder_config(decoder), p->slot, p->layer, &name);
        add(list, n, name.module, ".lora_A.weight", p->a, p->grad_a, p->r * p->in);
        add(list, n, name.module, ".lora_B.weight", p->b, p->grad_b, p->out * p->r);
        if (p->magnitude)
            add(list, n, name.module, ".lora_magnitude_vector", p->magnitude, p->grad_magnitude,
                p->out);
    }
    for (size_t i = 0; i < l->n_weights; i++) {
        const struct lora_weight *w = &l->weights[i];
        names_describe(decoder_config(decoder), w->slot, w->layer, &name);
        add(list, n, name.hf, "", w->values, w->grad, lora_weight_size(w));
    }
    return list;
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* The largest distance of a gradient, relative to its norm. */
static void check_gradients(const struct lora *l, const char *method,
                            const struct safetensors *expected, const char *prefix, size_t strip)
{
    size_t n, size;
    struct named *list = list_trained(l, &n);
    double worst = 0, scale;
    const struct batch b = fixture_batch(&inputs);
    scale = 1 / (double)batch_targets(&b);
    for (size_t i = 0; i < n; i++) {
        char key[300];
        snprintf(key, sizeof key, "%s%s", prefix, list[i].name + strip);
        float *want = fixture_floats(expected, key, &size);
        double sum = 0;
        for (size_t k = 0; k < size && size == list[i].n; k++)
            sum += pow((double)list[i].grad[k] * scale - (double)want[k], 2);
        double relative = size == list[i].n ? sqrt(sum) / norm_of(want, size) : INFINITY;
        if (relative > 1e-4)
            printf("# %s: %g\n", list[i].name, relative);
        worst = relative > worst ? relative : worst;
        free(want);
    }
    tap_ok(worst <= 1e-4, "%s: gradients of %zu tensors within 1e-4 of their norms (%.2g)", method,
           n, worst);
    free(list);
}

static void check_logits(const struct lora *l, const char *method,
                         const struct safetensors *expected)
{
    struct err err;
    size_t n, vocab = decoder_config(decoder)->vocab, length = inputs.lengths[1];
    const struct batch b = {.ids = inputs.ids + inputs.lengths[0],
                            .n = length,
                            .lengths = &inputs.lengths[1],
                            .n_documents = 1};
    float *got = xcalloc(length * vocab, sizeof *got);
    float *want = fixture_floats(expected, "adapter_logits.1", &n);
    char what[400];
    decoder_logits(decoder, l, &b, got, &err);
    snprintf(what, sizeof what, "%s: logits", method);
    tap_close(what, got, want, n, 5e-5);

    /* The same through the cache, token by token. */
    struct kv_cache *cache;
    size_t slot = 0, one = 1;
    kv_cache_new(&cache, decoder, 1, length, &err);
    for (size_t t = 0; t < length; t++)
        decoder_extend(decoder, l, cache, &slot, &one, 1, b.ids + t, got + t * vocab, &err);
    snprintf(what, sizeof what, "%s: logits one by one", method);
    tap_close(what, got, want, n, 5e-5);
    kv_cache_free(cache);
    free(got);
    free(want);
}

struct update {
    struct adamw *adamw;
    struct lora *l;
    double scale, lr;
};

static void update_stretch(void *arg, size_t first, size_t n, bool raised)
{
    (void)raised;
    const struct update *u = arg;
    adamw_update_part(u->adamw, first, n, u->l->params, u->l->grads, u->scale, u->lr);
}

static double number(const json_t *v, const char *key)
{
    return json_number_value(json_object_get(v, key));
}

static struct schedule schedule_of(const json_t *train)
{
    const json_t *s = json_object_get(train, "schedule");
    const char *kind = s ? json_string_value(json_object_get(s, "kind")) : "constant";
    return (struct schedule){.kind = !strcmp(kind, "cosine")   ? SCHEDULE_COSINE
                                     : !strcmp(kind, "linear") ? SCHEDULE_LINEAR
                                                               : SCHEDULE_CONSTANT,
                             .lr = number(train, "lr"),
                             .steps = (uint64_t)number(train, "steps"),
                             .warmup = s ? (uint64_t)number(s, "warmup") : 0};
}

static void train(struct lora *l, const char *method, const json_t *expected)
{
    struct err err;
    const json_t *how = json_object_get(expected, "train");
    const struct schedule schedule = schedule_of(how);
    const struct batch b = fixture_batch(&inputs);
    const double mean = 1 / (double)batch_targets(&b);
    struct adamw adamw;
    double loss = 0, worst = 0;
    adamw_init(&adamw, l->n_params, 0.9, 0.999, 1e-8, number(how, "wd"), &err);
    for (uint64_t k = 0; k < schedule.steps; k++) {
        memset(l->grads, 0, l->n_params * sizeof *l->grads);
        decoder_accumulate(decoder, l, &b, &plain, &loss, &err);
        double norm = gradient_norm(l->grads, l->n_params) * mean;
        double want = json_number_value(json_array_get(json_object_get(expected, "losses"), k));
        double length =
            json_number_value(json_array_get(json_object_get(expected, "grad_norms"), k));
        worst = fmax(worst, fmax(fabs(loss * mean - want), fabs(norm / length - 1)));
        struct update u = {&adamw, l, mean * gradient_clip(norm, number(how, "clip")),
                           schedule_lr(&schedule, k)};
        adamw_begin(&adamw);
        lora_stretches(l, update_stretch, &u);
        lora_changed(l);
    }
    tap_ok(worst <= 1e-5, "%s: losses and gradient norms of the steps (%.2g)", method, worst);
    decoder_accumulate(decoder, l, &b, &plain, &loss, &err);
    tap_ok(fabs(loss * mean - number(expected, "loss_after")) <= 2e-5, "%s: the loss after them",
           method);
    adamw_release(&adamw);
}

/* Adam's first step moves a weight by lr whatever its gradient: a few whose gradient is near zero
 * may go elsewhere. */
static void check_after(const struct lora *l, const char *method, const struct safetensors *after,
                        size_t strip, double most, double usual)
{
    size_t n, size, beyond = 0, all = 0;
    struct named *list = list_trained(l, &n);
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        float *want = fixture_floats(after, list[i].name + strip, &size);
        for (size_t k = 0; k < size && k < list[i].n; k++) {
            double d = fabs((double)list[i].values[k] - (double)want[k]);
            worst = d > worst ? d : worst;
            beyond += d > usual;
        }
        all += size;
        free(want);
    }
    tap_ok(worst <= most && beyond <= all / 1000 && all == l->n_params,
           "%s: %zu weights after the steps (%.2g, %zu beyond %g)", method, all, worst, beyond,
           usual);
    free(list);
}

/* The folder of a method in ${SHARED}. */
static void shared_folder(char path[2048], const char *method)
{
    const char *root = getenv("SHARED"), *src = getenv("SRCDIR");
    if (root)
        snprintf(path, 2048, "%s/fixtures/models/llama/variants/%s", root, method);
    else
        snprintf(path, 2048, "%s/../shared/fixtures/models/llama/variants/%s", src ? src : ".",
                 method);
}

static struct safetensors *values_of(const char *dir, const char *method)
{
    char shared[2048];
    if (fixture_exists(dir, "expected.safetensors"))
        return fixture_tensors(dir, "expected.safetensors");
    shared_folder(shared, method);
    return fixture_exists(shared, "expected.safetensors")
               ? fixture_tensors(shared, "expected.safetensors")
               : NULL;
}

/*
 * Dropout's gradients by finite differences, which have no reference: a mask is drawn anew for each
 * key. The norm is a constant on the way back; so it stays as it is while A or B moves.
 */
static void check_dropout(struct lora *l, const char *method)
{
    struct err err;
    const struct batch b = fixture_batch(&inputs);
    const struct learning how = {.key = 5};
    double nll, up, down, worst = 0;
    l->dropout = 0.3;
    memset(l->grads, 0, l->n_params * sizeof *l->grads);
    decoder_accumulate(decoder, l, &b, &how, &nll, &err);
    float *first = xcalloc(l->n_params, sizeof *first);
    memcpy(first, l->grads, l->n_params * sizeof *first);
    for (size_t i = 0; i < l->n_pairs; i++) {
        struct lora_pair *p = &l->pairs[i];
        float *const values[] = {p->a, p->b, p->magnitude};
        const double gradients[] = {(double)first[p->grad_a - l->grads + 1],
                                    (double)first[p->grad_b - l->grads + 1],
                                    (double)first[p->grad_magnitude - l->grads + 1]};
        for (size_t k = 0; k < 3; k++) {
            const float step = 1e-2f, was = values[k][1];
            values[k][1] = was + step;
            p->gain[1] = p->magnitude[1] * p->inverse[1];
            decoder_accumulate(decoder, l, &b, &how, &up, &err);
            values[k][1] = was - step;
            p->gain[1] = p->magnitude[1] * p->inverse[1];
            decoder_accumulate(decoder, l, &b, &how, &down, &err);
            values[k][1] = was;
            p->gain[1] = p->magnitude[1] * p->inverse[1];
            double measured = (up - down) / (2 * (double)step);
            worst = fmax(worst, fabs(measured - gradients[k]) - 2e-3 * fabs(gradients[k]));
        }
    }
    tap_ok(worst <= 1e-2, "%s: gradients under dropout by differences (%.2g)", method, worst);
    l->dropout = 0;
    free(first);
}

static void check_adapter(const char *dir, const char *method)
{
    struct err err;
    char path[2048], after[64];
    struct adapter *a;
    struct lora *l;
    double nll;
    const struct batch b = fixture_batch(&inputs);
    snprintf(path, sizeof path, "%.2000s/initial", dir);
    if (adapter_load(&a, path, &err) || adapter_lora(&l, a, decoder_config(decoder), true, &err)) {
        tap_ok(false, "%s: %s", method, err.msg);
        return;
    }
    struct safetensors *values = values_of(dir, method);
    json_t *expected = fixture_json(dir, "expected.json");
    if (values) {
        check_logits(l, method, values);
        decoder_accumulate(decoder, l, &b, &plain, &nll, &err);
        check_gradients(l, method, values, "grad.", 0);
    }
    if (l->dora)
        check_dropout(l, method);
    train(l, method, expected);
    snprintf(after, sizeof after, "after%g/adapter_model.safetensors",
             number(json_object_get(expected, "train"), "steps"));
    struct safetensors *end = fixture_tensors(dir, after);
    check_after(l, method, end, 0, 1e-4, 1e-4);
    safetensors_close(end);
    json_decref(expected);
    safetensors_close(values);
    lora_free(l);
    adapter_free(a);
}

/* Every weight of the base, trained itself. */
static struct lora *all_weights(void)
{
    const struct model_config *config = decoder_config(decoder);
    const size_t n = names_count(config);
    struct lora_weight *weights = xcalloc(n, sizeof *weights);
    struct lora *l;
    struct err err;
    for (size_t i = 0; i < n; i++) {
        struct tensor_name name;
        names_at(config, i, &name);
        weights[i] = (struct lora_weight){.slot = name.slot,
                                          .layer = name.layer,
                                          .rows = (size_t)name.rows,
                                          .cols = (size_t)name.cols};
    }
    const struct lora_parts parts = {.weights = weights, .n_weights = n};
    if (lora_new(&l, config, &parts, true, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        decoder_base_values(decoder, weights[i].slot, weights[i].layer, l->weights[i].values);
    free(weights);
    return l;
}

/* The reference is large for a tree: half a megabyte. */
static void check_full(void)
{
    static const size_t strip = sizeof "base_model.model." - 1;
    char dir[2048];
    double nll;
    struct err err;
    const struct batch b = fixture_batch(&inputs);
    shared_folder(dir, "full");
    if (!fixture_exists(dir, "after3")) {
        tap_ok(true, "full: # SKIP %s is not there", dir);
        return;
    }
    struct lora *l = all_weights();
    struct safetensors *values = fixture_tensors(dir, "expected.safetensors");
    struct safetensors *after = fixture_tensors(dir, "after3/model.safetensors");
    json_t *expected = fixture_json(dir, "expected.json");
    decoder_accumulate(decoder, l, &b, &plain, &nll, &err);
    check_gradients(l, "full", values, "grad.", strip);
    train(l, "full", expected);
    check_after(l, "full", after, strip, 2e-3, 1e-5);
    json_decref(expected);
    safetensors_close(after);
    safetensors_close(values);
    lora_free(l);
}

static bool is_quantised(const char *method)
{
    return !strncmp(method, "qlora", 5); /* another base: test-nf4.c */
}

int main(void)
{
    const char *srcdir = getenv("SRCDIR");
    char model[512], variants[1024];
    struct dirent **entries;
    struct err err;
    const struct decoder_options options = {.threads = 2};
    snprintf(model, sizeof model, "%s/tests/data/models/llama", srcdir ? srcdir : ".");
    snprintf(variants, sizeof variants, "%s/variants", model);
    if (checkpoint_open(&checkpoint, model, &err) ||
        decoder_open(&decoder, checkpoint, &options, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    inputs = fixture_inputs(model);
    int n = scandir(variants, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char dir[2048];
        snprintf(dir, sizeof dir, "%s/%s", variants, entries[i]->d_name);
        if (fixture_exists(dir, "initial") && entries[i]->d_name[0] != '.' &&
            !is_quantised(entries[i]->d_name))
            check_adapter(dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    check_full();
    tap_ok(n > 8, "there are methods in %s", variants);
    fixture_inputs_release(&inputs);
    decoder_close(decoder);
    checkpoint_close(checkpoint);
    return tap_done();
}
