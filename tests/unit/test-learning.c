/*
 * What decoder_accumulate can learn from beside -log p: weights, label smoothing, noise, and losses
 * of whole documents. Each against the plain sum, against logits, or against differences.
 */
#include "fixture.h"

static struct decoder *decoder;
static struct fixture_inputs in;
static char directory[512];

static struct lora *adapter(void)
{
    return fixture_lora(directory, "lora/initial", decoder_config(decoder));
}

/* The output matrix as it is, to be trained itself. */
static struct lora *trained_head(void)
{
    const struct model_config *c = decoder_config(decoder);
    struct lora_weight head = {.slot = SLOT_HEAD, .rows = c->vocab, .cols = c->hidden};
    const struct lora_parts parts = {.weights = &head, .n_weights = 1};
    struct lora *l;
    struct err err;
    if (lora_new(&l, c, &parts, true, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    decoder_base_values(decoder, SLOT_HEAD, 0, l->weights[0].values);
    return l;
}

/* The loss; the gradients are l's. */
static double accumulate(struct lora *l, const struct batch *b, const struct learning *how)
{
    struct err err;
    double loss;
    memset(l->grads, 0, l->n_params * sizeof *l->grads);
    if (decoder_accumulate(decoder, l, b, how, &loss, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    return loss;
}

static double norm_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Whether two gradients are the same but for rounding; of floats added up in other orders. */
static void same_gradient(const char *name, const float *got, const float *want, size_t n)
{
    float *difference = xcalloc(n, sizeof *difference);
    for (size_t i = 0; i < n; i++)
        difference[i] = got[i] - want[i];
    double relative = norm_of(difference, n) / norm_of(want, n);
    tap_ok(relative <= 1e-5, "%s: within 1e-5 of the gradient's norm (%.2g)", name, relative);
    free(difference);
}

/* The derivative by one parameter of each pair of matrices, by central differences. A step of 1e-2
 * is far above the rounding of a loss of some hundred. */
static void check_differences(const char *name, struct lora *l, const struct batch *b,
                              const struct learning *how)
{
    const float step = 1e-2f;
    double worst = 0;
    accumulate(l, b, how);
    float *gradient = xcalloc(l->n_params, sizeof *gradient);
    memcpy(gradient, l->grads, l->n_params * sizeof *gradient);
    for (size_t i = 0; i < l->n_params; i += l->n_params / 7) {
        l->params[i] += step;
        double up = accumulate(l, b, how);
        l->params[i] -= 2 * step;
        double down = accumulate(l, b, how);
        l->params[i] += step;
        double error = fabs((up - down) / (2 * (double)step) - (double)gradient[i]);
        worst =
            fmax(worst, error / (fabs((double)gradient[i]) + norm_of(gradient, l->n_params) / 50));
    }
    tap_ok(worst <= 2e-2, "%s: the gradient is that of differences (%.2g)", name, worst);
    free(gradient);
    lora_free(l);
}

/* ---- weights ---- */

static void test_weights(void)
{
    static const float factor[] = {0.5f, 2, 0, 1.25f};
    struct batch b = fixture_batch(&in);
    const struct learning plain = {0};
    struct lora *whole = adapter(), *parts = adapter();
    float *weights = xcalloc(in.n, sizeof *weights), *sum = xcalloc(whole->n_params, sizeof *sum);
    double want = 0;
    for (size_t i = 0, start = 0; i < in.n_documents; start += in.lengths[i++]) {
        struct batch one = {
            in.ids + start, in.trained + start, in.lengths[i], in.lengths + i, 1, NULL};
        want += (double)factor[i] * accumulate(parts, &one, &plain);
        for (size_t k = 0; k < whole->n_params; k++)
            sum[k] += factor[i] * parts->grads[k];
        for (size_t t = 0; t < in.lengths[i]; t++)
            weights[start + t] = factor[i];
    }
    b.weights = weights;
    double got = accumulate(whole, &b, &plain);
    tap_ok(fabs(got - want) <= 1e-6 * want, "weights: loss %.9g is the weighted sum %.9g", got,
           want);
    same_gradient("weights", whole->grads, sum, whole->n_params);

    /* A weight of a single token: what it says is missing without the token. */
    for (size_t i = 0; i < in.n; i++)
        weights[i] = 1;
    size_t token = in.lengths[0] - 1;
    weights[token] = 3;
    got = accumulate(whole, &b, &plain);
    uint8_t *trained = xcalloc(in.n, 1);
    memcpy(trained, in.trained, in.n);
    b.weights = NULL;
    double all = accumulate(parts, &b, &plain);
    memcpy(sum, parts->grads, parts->n_params * sizeof *sum);
    b.trained = trained;
    bool was = trained[token];
    trained[token] = 0;
    double without = accumulate(parts, &b, &plain);
    for (size_t k = 0; k < whole->n_params; k++)
        sum[k] = 3 * sum[k] - 2 * parts->grads[k];
    tap_ok(was && fabs(got - (3 * all - 2 * without)) <= 1e-6 * got, "weight of a token");
    same_gradient("weight of a token", whole->grads, sum, whole->n_params);
    free(trained);
    free(weights);
    free(sum);
    lora_free(whole);
    lora_free(parts);
}

/* ---- label smoothing ---- */

/* As torch.nn.functional.cross_entropy(logits, target, label_smoothing=e, reduction="sum"). */
static double smoothed_loss(const float *logits, size_t vocab, double e)
{
    double loss = 0;
    for (size_t i = 0, start = 0; i < in.n_documents; start += in.lengths[i++])
        for (size_t t = 1; t < in.lengths[i]; t++) {
            const float *row = logits + (start + t - 1) * vocab;
            double sum = 0, mean = 0;
            if (!in.trained[start + t])
                continue;
            for (size_t v = 0; v < vocab; v++) {
                sum += exp((double)row[v]);
                mean += (double)row[v] / (double)vocab;
            }
            loss += log(sum) - (1 - e) * (double)row[in.ids[start + t]] - e * mean;
        }
    return loss;
}

static void test_label_smoothing(void)
{
    struct batch b = fixture_batch(&in);
    const struct learning how = {.label_smoothing = 0.2};
    size_t vocab = decoder_config(decoder)->vocab;
    struct err err;
    struct lora *l = adapter();
    float *logits = xcalloc(in.n * vocab, sizeof *logits);
    decoder_logits(decoder, l, &b, logits, &err);
    double got = accumulate(l, &b, &how), want = smoothed_loss(logits, vocab, 0.2);
    tap_ok(fabs(got - want) <= 1e-6 * want, "label smoothing: %.9g, from logits %.9g", got, want);
    check_differences("label smoothing", adapter(), &b, &how);
    free(logits);
    lora_free(l);
}

/* ---- noise ---- */

static void test_neftune(void)
{
    struct batch b = fixture_batch(&in);
    struct learning how = {.key = 3, .neftune = 5};
    struct lora *l = adapter();
    double loss = accumulate(l, &b, &how), plain = accumulate(l, &b, &(struct learning){.key = 3});
    tap_ok(fabs(loss - plain) > 1e-3, "noise changes the loss");
    tap_ok(accumulate(l, &b, &how) == loss, "the same key gives the same noise");
    how.key = 4;
    tap_ok(accumulate(l, &b, &how) != loss, "another key another");
    check_differences("noise", adapter(), &b, &how);
    how.neftune = 0;
    tap_ok(accumulate(l, &b, &how) == plain, "no noise changes nothing");
    lora_free(l);
}

/* ---- losses of documents ---- */

struct seen {
    size_t calls, first[2], n[2]; /* of the first two calls */
    double logp[4];
};

/* For each pair (a, b) of documents (logp_a - 2 logp_b)^2 / 100. */
static int square(void *arg, size_t first, size_t n, const double *logp, double *coefficient,
                  double *loss, struct err *err)
{
    (void)err;
    struct seen *s = arg;
    if (s->calls < 2) {
        s->first[s->calls] = first;
        s->n[s->calls] = n;
    }
    s->calls++;
    for (size_t i = 0; i < n; i += 2) {
        double d = logp[i] - 2 * logp[i + 1];
        *loss += d * d / 100;
        coefficient[i] = -2 * d / 100;
        coefficient[i + 1] = 4 * d / 100;
        s->logp[first + i] = logp[i];
        s->logp[first + i + 1] = logp[i + 1];
    }
    return 0;
}

static int refuse(void *arg, size_t first, size_t n, const double *logp, double *coefficient,
                  double *loss, struct err *err)
{
    (void)arg, (void)first, (void)n, (void)logp, (void)coefficient, (void)loss;
    return err_set(err, "no");
}

static void test_documents(void)
{
    /* Documents 0 1 0 1: two pairs. */
    const size_t n = in.lengths[0] + in.lengths[1];
    const size_t lengths[] = {in.lengths[0], in.lengths[1], in.lengths[0], in.lengths[1]};
    uint32_t *ids = xcalloc(2 * n, sizeof *ids);
    uint8_t *trained = xcalloc(2 * n, 1);
    for (size_t i = 0; i < 2; i++) {
        memcpy(ids + i * n, in.ids, n * sizeof *ids);
        memcpy(trained + i * n, in.trained, n);
    }
    struct batch b = {ids, trained, 2 * n, lengths, 4, NULL};
    struct seen seen = {0}, apart = {0};
    struct learning how = {.group = 2, .weigh = square, .arg = &seen};
    struct lora *l = adapter();
    struct err err;
    double nll[4], loss = accumulate(l, &b, &how), want = 0, unused;
    decoder_score(decoder, l, &b, nll, NULL, &err);
    double worst = 0;
    for (size_t i = 0; i < 4; i++)
        worst = fmax(worst, fabs(seen.logp[i] + nll[i]));
    tap_ok(worst <= 1e-6 * nll[0], "documents: each one's log-likelihood (%.2g)", worst);
    for (size_t i = 0; i < 4; i += 2)
        want += pow(nll[i] - 2 * nll[i + 1], 2) / 100;
    tap_ok(fabs(loss - want) <= 1e-5 * want, "documents: loss %.9g, want %.9g", loss, want);

    /* A pair is longer than a pass, and stays in one all the same. */
    float *gradient = xcalloc(l->n_params, sizeof *gradient);
    memcpy(gradient, l->grads, l->n_params * sizeof *gradient);
    decoder_set_pass_tokens(decoder, in.lengths[0]);
    how.arg = &apart;
    double again = accumulate(l, &b, &how);
    decoder_set_pass_tokens(decoder, 0);
    tap_ok(seen.calls == 1 && seen.n[0] == 4, "documents: one pass where it has room");
    tap_ok(apart.calls == 2 && apart.first[1] == 2 && apart.n[1] == 2,
           "documents: a group is never cut");
    tap_ok(fabs(again - loss) <= 1e-6 * loss, "documents: the same loss in two passes");
    same_gradient("documents in two passes", l->grads, gradient, l->n_params);

    const struct learning pairs = {.group = 2, .weigh = square, .arg = &seen};
    check_differences("documents", adapter(), &b, &pairs);
    check_differences("documents, output matrix", trained_head(), &b, &pairs);

    how.weigh = refuse;
    tap_ok(decoder_accumulate(decoder, l, &b, &how, &unused, &err) && !strcmp(err.msg, "no"),
           "documents: a loss may fail");
    how.group = 3;
    tap_ok(decoder_accumulate(decoder, l, &b, &how, &unused, &err) &&
               strstr(err.msg, "groups of 3"),
           "documents: 4 are no groups of 3");
    free(gradient);
    free(ids);
    free(trained);
    lora_free(l);
}

static void open_model(const char *dir, struct checkpoint **c)
{
    const struct decoder_options options = {.backend = BACKEND_FP32, .threads = 2};
    struct err err;
    snprintf(directory, sizeof directory, "%s", dir);
    printf("# %s\n", dir);
    if (checkpoint_open(c, directory, &err) || decoder_open(&decoder, *c, &options, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    in = fixture_inputs(directory);
}

static void close_model(struct checkpoint *c)
{
    fixture_inputs_release(&in);
    decoder_close(decoder);
    checkpoint_close(c);
}

/* Soft caps and scales of logits, scaled embeddings, learned positions, tied matrices: models that
 * are too large for tests/data. */
static void test_other_models(void)
{
    static const char *const names[] = {"gemma2", "granite", "gpt2"};
    const char *srcdir = getenv("SRCDIR"), *shared = getenv("SHARED");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct checkpoint *c;
        char dir[400];
        snprintf(dir, sizeof dir, "%s%s/fixtures/models/%s",
                 shared   ? shared
                 : srcdir ? srcdir
                          : ".",
                 shared ? "" : "/../shared", names[i]);
        if (!fixture_exists(dir, "lora"))
            continue;
        open_model(dir, &c);
        test_label_smoothing();
        test_neftune();
        close_model(c);
    }
}

int main(void)
{
    const char *srcdir = getenv("SRCDIR");
    struct checkpoint *c;
    char dir[400];
    snprintf(dir, sizeof dir, "%s/tests/data/models/llama", srcdir ? srcdir : ".");
    open_model(dir, &c);
    test_weights();
    test_label_smoothing();
    test_neftune();
    test_documents();
    close_model(c);
    test_other_models();
    return tap_done();
}
