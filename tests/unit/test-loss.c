/*
 * Losses of preferences: their derivatives against differences, and whole steps against PyTorch's
 * (tests/data/models/llama/prefs).
 */
#include "fixture.h"

#include <unistd.h>

#include "compute/adamw.h"
#include "model/preference.h"

/* ---- arithmetic ---- */

/* A pair's loss as a function of L(c) (of = 0) or L(r). */
static double loss_at(const struct loss *l, const struct completion_score *c,
                      const struct completion_score *r, int of, double step)
{
    struct completion_score moved[] = {*c, *r};
    struct pair_loss out;
    moved[of].logp += step;
    loss_of_pair(l, &moved[0], &moved[1], &out);
    return out.loss;
}

static void check_pair(const struct loss *l, const struct completion_score *c,
                       const struct completion_score *r)
{
    const double step = 1e-5;
    struct pair_loss out;
    loss_of_pair(l, c, r, &out);
    const double derivative[] = {out.d_chosen, out.d_rejected};
    double worst = 0;
    for (int of = 0; of < 2; of++) {
        double measured = (loss_at(l, c, r, of, step) - loss_at(l, c, r, of, -step)) / (2 * step);
        worst = fmax(worst, fabs(measured - derivative[of]) / (fabs(derivative[of]) + 1e-6));
    }
    tap_ok(isfinite(out.loss) && worst <= 1e-4, "%s at %g, %g: derivatives of loss %g (%.2g)",
           loss_choices[l->kind], c->logp, r->logp, out.loss, worst);
}

static void test_pairs(void)
{
    static const struct loss losses[] = {
        {.kind = LOSS_DPO, .beta = 0.1},
        {.kind = LOSS_DPO, .beta = 0.3, .label_smoothing = 0.1},
        {.kind = LOSS_IPO, .beta = 0.1},
        {.kind = LOSS_ORPO, .beta = 0.1},
        {.kind = LOSS_SIMPO, .beta = 2, .gamma = 1},
        {.kind = LOSS_SIMPO, .beta = 2, .gamma = 1, .label_smoothing = 0.2},
    };
    static const double logp[][2] = {{-12, -30}, {-30, -12}, {-900, -2}, {-0.02, -5}};
    for (size_t i = 0; i < ARRAY_SIZE(losses); i++)
        for (size_t k = 0; k < ARRAY_SIZE(logp); k++) {
            struct completion_score c = {logp[k][0], -20, 7}, r = {logp[k][1], -18, 5};
            check_pair(&losses[i], &c, &r);
        }
    /* As good as certain: the odds have no bound, the loss must. */
    struct completion_score certain = {0, 0, 5}, other = {-4, 0, 5};
    struct pair_loss out;
    loss_of_pair(&losses[3], &certain, &other, &out);
    tap_ok(isfinite(out.loss) && isfinite(out.d_chosen) && isfinite(out.d_rejected),
           "orpo: a certain completion has a loss and a gradient");
}

/* By hand: the same numbers from the papers' formulas. */
static void test_values(void)
{
    struct completion_score c = {-10, -12, 5}, r = {-9, -6, 3};
    struct pair_loss out;
    loss_of_pair(&(struct loss){.kind = LOSS_DPO, .beta = 0.1}, &c, &r, &out);
    tap_ok(fabs(out.loss - log(1 + exp(-0.5))) < 1e-12, "dpo: -log s(0.1 (2 + 3))");
    tap_ok(fabs(out.chosen - 0.2) < 1e-12 && fabs(out.rejected + 0.3) < 1e-12, "dpo: rewards");
    loss_of_pair(&(struct loss){.kind = LOSS_DPO, .beta = 0.1, .label_smoothing = 0.25}, &c, &r,
                 &out);
    tap_ok(fabs(out.loss - 0.75 * log(1 + exp(-0.5)) - 0.25 * log(1 + exp(0.5))) < 1e-12,
           "dpo: a quarter of the labels are wrong");
    loss_of_pair(&(struct loss){.kind = LOSS_IPO, .beta = 0.5}, &c, &r, &out);
    tap_ok(fabs(out.loss - pow(0.4 + 1 - 1, 2)) < 1e-12, "ipo: (2/5 + 3/3 - 1/(2 * 0.5))^2");
    loss_of_pair(&(struct loss){.kind = LOSS_SIMPO, .beta = 2, .gamma = 0.5}, &c, &r, &out);
    tap_ok(fabs(out.loss - log(1 + exp(-1.5))) < 1e-12, "simpo: -log s(2 (-2 + 3) - 0.5)");
    struct label_loss label;
    const struct loss kto = {.kind = LOSS_KTO, .beta = 0.1, .desirable = 1, .undesirable = 1.5};
    loss_of_label(&kto, &c, true, 1, &label);
    tap_ok(fabs(label.loss - 1 / (1 + exp(0.1))) < 1e-12 && label.right, "kto: desirable");
    loss_of_label(&kto, &c, false, 1, &label);
    tap_ok(fabs(label.loss - 1.5 / (1 + exp(-0.1))) < 1e-12 && !label.right, "kto: undesirable");
}

static void test_labels(void)
{
    static const double gains[] = {-700, -3, 0, 5, 700};
    const struct loss l = {.kind = LOSS_KTO, .beta = 0.2, .desirable = 1.3, .undesirable = 0.7};
    const double step = 1e-5;
    for (size_t i = 0; i < ARRAY_SIZE(gains); i++)
        for (int desirable = 0; desirable < 2; desirable++) {
            struct completion_score s = {gains[i] - 20, -20, 4};
            struct label_loss at, up, down;
            loss_of_label(&l, &s, desirable, 0.5, &at);
            s.logp += step;
            loss_of_label(&l, &s, desirable, 0.5, &up);
            s.logp -= 2 * step;
            loss_of_label(&l, &s, desirable, 0.5, &down);
            double measured = (up.loss - down.loss) / (2 * step);
            tap_ok(isfinite(at.loss) && fabs(measured - at.d_logp) <= 1e-4 * fabs(at.d_logp) + 1e-9,
                   "kto at %g, label %d: derivative of loss %g", gains[i], desirable, at.loss);
        }
}

/* ---- whole steps ---- */

static struct decoder *decoder;
static char directory[512];
static json_t *inputs, *expected;
static char shard[] = "/tmp/test-loss-XXXXXX.ft";

static void bail(const struct err *err)
{
    printf("Bail out! %s\n", err->msg);
    exit(1);
}

static size_t put_ids(uint32_t *to, const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids); i++)
        to[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    return json_array_size(ids);
}

static void add(struct stream_record *r, const json_t *item, const char *completion)
{
    uint32_t ids[64];
    uint8_t trained[64] = {0};
    struct stream_document d;
    size_t prompt = put_ids(ids, json_object_get(item, "prompt"));
    size_t n = prompt + put_ids(ids + prompt, json_object_get(item, completion));
    for (size_t t = prompt; t < n; t++)
        trained[t] = 1;
    stream_document_init(&d);
    d.label = json_is_true(json_object_get(item, "desirable"));
    stream_record_add(r, ids, trained, n, &d);
}

/* The first n items of a kind as rows. */
static struct rows *make_rows(enum stream_kind kind, size_t n)
{
    const json_t *items = json_object_get(inputs, kind == STREAM_LABEL ? "kto" : "pairs");
    const struct vocabulary vocabulary = {decoder_config(decoder)->vocab, ""};
    struct stream_header h;
    struct stream_record r;
    struct stream_writer *w;
    struct err err;
    stream_header_init(&h);
    stream_record_init(&r);
    h.kind = kind;
    h.vocab_size = (uint32_t)vocabulary.size;
    if (stream_writer_open(&w, shard, &h, &err))
        bail(&err);
    for (size_t i = 0; i < n; i++) {
        stream_record_clear(&r);
        add(&r, json_array_get(items, i), kind == STREAM_LABEL ? "completion" : "chosen");
        if (kind == STREAM_PREFERENCE)
            add(&r, json_array_get(items, i), "rejected");
        if (stream_write(w, &r, &err))
            bail(&err);
    }
    struct rows *rows = rows_new();
    rows_expect(rows, kind);
    if (stream_writer_finish(w, &err) || rows_read(rows, shard, &vocabulary, &err))
        bail(&err);
    stream_record_release(&r);
    stream_header_release(&h);
    return rows;
}

/* The mean loss of all rows; its gradient is in l->grads. */
static double learn(struct preference *p, const struct rows *rows, struct lora *l)
{
    const struct row_range range = {NULL, 0, (size_t)rows_totals(rows)->rows};
    struct row_batch b;
    struct learning how = {0};
    struct err err;
    double loss;
    row_batch_init(&b);
    memset(l->grads, 0, l->n_params * sizeof *l->grads);
    preference_clear(p);
    if (preference_find_kl(p, decoder, l, &range, NULL, &err))
        bail(&err);
    for (size_t i = 0; i < range.end; i++)
        if (row_batch_add(&b, rows, i, &err))
            bail(&err);
    preference_teach(p, &b, 0, &range, &how);
    const struct batch view = row_batch_view(&b);
    if (decoder_accumulate(decoder, l, &view, &how, &loss, &err))
        bail(&err);
    row_batch_release(&b);
    const double mean = 1 / rows_totals(rows)->weight;
    for (size_t i = 0; i < l->n_params; i++)
        l->grads[i] *= (float)mean;
    return loss * mean;
}

static void check_gradients(const char *name, const struct lora *l)
{
    char file[64], path[1024];
    double worst = 0;
    snprintf(file, sizeof file, "prefs/%s.safetensors", name);
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (!fixture_exists(directory, file))
        return;
    struct safetensors *s = fixture_tensors(directory, file);
    for (size_t i = 0; i < 2 * l->n_pairs; i++) {
        const struct lora_pair *pair = &l->pairs[i / 2];
        struct tensor_name tensor;
        char key[256];
        size_t n;
        names_describe(decoder_config(decoder), pair->slot, pair->layer, &tensor);
        snprintf(key, sizeof key, "grad.base_model.model.%s.lora_%c.weight", tensor.module,
                 i % 2 ? 'B' : 'A');
        float *want = fixture_floats(s, key, &n);
        const float *got = i % 2 ? pair->grad_b : pair->grad_a;
        for (size_t k = 0; k < n; k++)
            worst = fmax(worst, fabs((double)got[k] - (double)want[k]));
        free(want);
    }
    safetensors_close(s);
    tap_ok(worst <= 1e-5, "%s: gradients within 1e-5 (%.2g)", name, worst);
}

static double value(const json_t *of, const char *key)
{
    return json_number_value(json_object_get(of, key));
}

/* The rewards' means, and KL, against the terms of every item. */
static void check_sums(const char *name, const struct preference *p, const json_t *items)
{
    const struct preference_sums *sums = preference_sums(p);
    double chosen = 0, rejected = 0;
    size_t right = 0;
    for (size_t i = 0; i < sums->n; i++) {
        const json_t *item = json_array_get(items, i);
        if (json_object_get(item, "reward")) {
            bool desirable = json_is_true(
                json_object_get(json_array_get(json_object_get(inputs, "kto"), i), "desirable"));
            *(desirable ? &chosen : &rejected) += value(item, "reward");
            right += value(item, "loss") < 0.5;
        } else if (json_object_get(item, "mean_logp_chosen")) {
            chosen += 0.1 * value(item, "mean_logp_chosen");
            rejected += 0.1 * value(item, "mean_logp_rejected");
            right += value(item, "log_odds") > 0;
        } else {
            chosen += value(item, "reward_chosen");
            rejected += value(item, "reward_rejected");
            right += value(item, "reward_margin") > 0;
        }
    }
    tap_ok(fabs(sums->chosen - chosen) <= 1e-5 && fabs(sums->rejected - rejected) <= 1e-5,
           "%s: rewards %.7g and %.7g, want %.7g and %.7g", name, sums->chosen, sums->rejected,
           chosen, rejected);
    tap_ok(sums->right == right, "%s: %zu rows in which the chosen wins", name, right);
    if (!isnan(sums->kl))
        tap_ok(fabs(sums->kl - value(json_array_get(items, sums->n), "kl")) <= 1e-5, "%s: KL %.7g",
               name, sums->kl);
}

static void check_references(const char *name, const float *reference, size_t n,
                             const json_t *items)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(
            items, json_object_get(json_array_get(items, 0), "ref_logp") ? i : i / 2);
        const char *key = json_object_get(item, "ref_logp") ? "ref_logp"
                          : i % 2                           ? "ref_logp_rejected"
                                                            : "ref_logp_chosen";
        worst = fmax(worst, fabs((double)reference[i] - value(item, key)));
    }
    /* Sums of some twenty logarithms, in float32 in PyTorch. */
    tap_ok(worst <= 5e-5, "%s: log-likelihoods of the reference (%.2g)", name, worst);
}

static void check_steps(const char *name, const struct loss *loss, size_t n)
{
    const json_t *want = json_object_get(expected, name), *items = json_object_get(want, "items"),
                 *losses = json_object_get(want, "losses");
    struct rows *rows =
        make_rows(loss_is_of_pairs(loss->kind) ? STREAM_PREFERENCE : STREAM_LABEL, n);
    struct lora *l = fixture_lora(directory, "prefs/initial", decoder_config(decoder));
    struct preference *p;
    struct adamw adamw;
    struct err err;
    if (preference_new(&p, loss, rows, &err) ||
        adamw_init(&adamw, l->n_params, 0.9, 0.999, 1e-8, 0.01, &err))
        bail(&err);
    float *reference = xcalloc(preference_references(p) + 1, sizeof *reference);
    preference_set_references(p, reference);
    if (preference_compute_references(p, decoder, NULL, NULL, &err))
        bail(&err);
    if (preference_references(p))
        check_references(name, reference, n * stream_kind_group(rows_kind(rows)), items);
    double worst = 0;
    for (size_t step = 0; step < json_array_size(losses); step++) {
        double got = learn(p, rows, l);
        worst = fmax(worst, fabs(got - json_number_value(json_array_get(losses, step))));
        if (!step) {
            check_gradients(name, l);
            check_sums(name, p, items);
        }
        adamw_update(&adamw, l->params, l->grads, 1, 0.001);
    }
    tap_ok(worst <= 1e-5, "%s: losses before each step (%.2g)", name, worst);
    double loss_after = value(want, "loss_after");
    preference_judge(p, decoder, l, NULL, &err);
    const struct preference_sums *sums = preference_sums(p);
    tap_ok(fabs(sums->loss / sums->weight - loss_after) <= 1e-5, "%s: judged after the last (%.2g)",
           name, fabs(sums->loss / sums->weight - loss_after));
    free(reference);
    adamw_release(&adamw);
    preference_free(p);
    lora_free(l);
    rows_free(rows);
}

static void test_steps(void)
{
    static const struct {
        const char *name;
        struct loss loss;
        size_t n;
    } cases[] = {
        {"dpo", {.kind = LOSS_DPO, .beta = 0.1}, 1},
        {"dpo_batch", {.kind = LOSS_DPO, .beta = 0.1}, 2},
        {"orpo", {.kind = LOSS_ORPO, .beta = 0.1}, 1},
        {"kto", {.kind = LOSS_KTO, .beta = 0.1, .desirable = 1, .undesirable = 1}, 4},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_steps(cases[i].name, &cases[i].loss, cases[i].n);
}

/* ---- stopping ---- */

static bool stop_after(void *arg, double part)
{
    int *left = arg;
    (void)part;
    return (*left)-- <= 0;
}

static void test_stop(void)
{
    const struct loss kto = {.kind = LOSS_KTO, .beta = 0.1, .desirable = 1, .undesirable = 1};
    const struct row_range all = {NULL, 0, 4};
    struct rows *rows = make_rows(STREAM_LABEL, 4);
    struct preference *p;
    struct err err;
    float reference[8];
    if (preference_new(&p, &kto, rows, &err))
        bail(&err);
    tap_is_u64("kto: two references for each row", preference_references(p), 8);
    preference_set_references(p, reference);
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        const struct preference_watch watch = {stop_after, &left};
        tap_is_u64("references: 1 when stopped",
                   (uint64_t)preference_compute_references(p, decoder, NULL, &watch, &err),
                   calls < 2);
    }
    int left = 0;
    const struct preference_watch watch = {stop_after, &left};
    tap_ok(preference_find_kl(p, decoder, NULL, &all, &watch, &err) == 1 &&
               preference_judge(p, decoder, NULL, &watch, &err) == 1,
           "KL and judging: too");
    preference_free(p);
    rows_free(rows);
}

/* ---- what can't be ---- */

static void test_refusals(void)
{
    const struct vocabulary vocabulary = {decoder_config(decoder)->vocab, ""};
    struct rows *pairs = make_rows(STREAM_PREFERENCE, 2), *one, *none = rows_new();
    struct preference *p;
    struct err err;
    tap_ok(rows_read(none, shard, &vocabulary, &err) && strstr(err.msg, "is of kind preference"),
           "preferences are no documents");
    const struct loss kto = {.kind = LOSS_KTO, .beta = 0.1, .desirable = 1, .undesirable = 1};
    tap_ok(preference_new(&p, &kto, pairs, &err) && strstr(err.msg, "kto learns from kind label"),
           "kto takes no pairs");
    one = make_rows(STREAM_LABEL, 1);
    tap_ok(preference_new(&p, &kto, one, &err) && strstr(err.msg, "with another's"),
           "kto takes no single completion");
    rows_free(none);
    rows_free(one);
    rows_free(pairs);
}

int main(void)
{
    const char *srcdir = getenv("SRCDIR");
    const struct decoder_options options = {.backend = BACKEND_FP32, .threads = 2};
    struct checkpoint *c;
    struct err err;
    snprintf(directory, sizeof directory, "%s/tests/data/models/llama", srcdir ? srcdir : ".");
    if (mkstemps(shard, 3) < 0 || checkpoint_open(&c, directory, &err) ||
        decoder_open(&decoder, c, &options, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    inputs = fixture_json(directory, "prefs/inputs.json");
    expected = fixture_json(directory, "prefs/expected.json");
    test_values();
    test_pairs();
    test_labels();
    test_steps();
    test_stop();
    test_refusals();
    json_decref(inputs);
    json_decref(expected);
    decoder_close(decoder);
    checkpoint_close(c);
    unlink(shard);
    return tap_done();
}
