/*
 * The bfloat16 backend on every reference model, beside float32: it rounds what is multiplied to 8
 * bits, which a tiny random model feels more than a trained one. Tolerances are two to four times
 * the largest difference seen; a wrong term would be off by all of it.
 */
#include "fixture.h"

static double relative(const float *got, const float *want, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)got[i] - (double)want[i], 2);
        norm += (double)want[i] * (double)want[i];
    }
    return sqrt(difference / norm);
}

struct run {
    float *logits;     /* [n, vocab] */
    double nll, loss;  /* of the base; of the adapter */
    struct lora *lora; /* with gradients; NULL: the model has no reference adapter */
};

static struct run run_with(const char *dir, enum backend backend, const struct fixture_inputs *in)
{
    struct err err;
    struct checkpoint *c;
    struct decoder *d;
    struct run r = {0};
    struct batch b = fixture_batch(in);
    struct decoder_options options = {.backend = backend, .threads = 2};
    if (checkpoint_open(&c, dir, &err) || decoder_open(&d, c, &options, &err)) {
        printf("Bail out! %s: %s\n", dir, err.msg);
        exit(1);
    }
    double *nll = xcalloc(in->n_documents, sizeof *nll);
    r.logits = xcalloc(in->n * decoder_config(d)->vocab, sizeof *r.logits);
    tap_ok(!decoder_logits(d, NULL, &b, r.logits, &err) &&
               !decoder_score(d, NULL, &b, nll, NULL, &err),
           "%s: %s", dir, backend_choices[backend]);
    for (size_t i = 0; i < in->n_documents; i++)
        r.nll += nll[i];
    if (fixture_exists(dir, "lora")) {
        r.lora = fixture_lora(dir, "lora/initial", decoder_config(d));
        tap_ok(!decoder_accumulate(d, r.lora, &b, &(struct learning){0}, &r.loss, &err),
               "%s: %s: gradients", dir, backend_choices[backend]);
    }
    free(nll);
    decoder_close(d);
    checkpoint_close(c);
    return r;
}

static double worst_gradient(const struct lora *got, const struct lora *want)
{
    double worst = 0;
    for (size_t i = 0; i < want->n_pairs; i++) {
        const struct lora_pair *g = &got->pairs[i], *w = &want->pairs[i];
        worst = fmax(worst, relative(g->grad_a, w->grad_a, w->r * w->in));
        worst = fmax(worst, relative(g->grad_b, w->grad_b, w->r * w->out));
    }
    return worst;
}

static void check_model(const char *dir, const char *name)
{
    struct fixture_inputs in = fixture_inputs(dir);
    struct run want = run_with(dir, BACKEND_FP32, &in), got = run_with(dir, BACKEND_BF16, &in);
    struct json_t *config = fixture_json(dir, "config.json");
    size_t vocab = (size_t)json_integer_value(json_object_get(config, "vocab_size"));
    double logits = relative(got.logits, want.logits, in.n * vocab);
    double nll = fabs(got.nll / want.nll - 1);
    tap_ok(logits <= 0.05, "%s: logits (%.2g of their norm)", name, logits);
    tap_ok(nll <= 0.005, "%s: nll (%.2g of it)", name, nll);
    if (want.lora) {
        double worst = worst_gradient(got.lora, want.lora);
        tap_ok(worst <= 0.1, "%s: gradients (%.2g of a tensor's norm)", name, worst);
    }
    json_decref(config);
    lora_free(want.lora);
    lora_free(got.lora);
    free(want.logits);
    free(got.logits);
    fixture_inputs_release(&in);
}

int main(void)
{
    if (!backend_available(BACKEND_BF16))
        return tap_skip_all("this CPU has no AVX512-BF16");
    fixture_models(check_model);
    return tap_done();
}
