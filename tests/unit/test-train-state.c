/* train_options and train_state: what a run remembers, and that damage is found. */
#include "tap.h"

#include <unistd.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "compute/backend.h"
#include "compute/schedule.h"
#include "formats/json.h"
#include "model/adapter.h"
#include "model/lora_init.h"
#include "model/train_state.h"

static char path[] = "/tmp/test-train-state-XXXXXX";

/* ---- options ---- */

static char *arguments(const struct train_options *o)
{
    static char *text;
    struct buf b = BUF_INIT;
    train_options_add_arguments(&b, o);
    free(text);
    return text = buf_detach(&b, NULL);
}

static void test_options(void)
{
    struct train_options o = train_options_unset, back;
    struct err err;
    tap_is_str("nothing is set", arguments(&o), "");
    o.rank = 8;
    train_options_complete(&o, true);
    tap_is_str(
        "the defaults", arguments(&o),
        " --rank=8 --alpha=16.0 --targets=all-linear --dropout=0.0 --seed=1 --steps=0"
        " --epochs=1.0 --batch=4 --micro-batch=0 --backend=fp32 --base-type=stored --lr=0.0005"
        " --schedule=cosine --warmup=0 --decay=20% --weight-decay=0.0 --clip=1.0"
        " --beta1=0.9 --beta2=0.999 --eps=1e-08 --eval-every=0 --patience=0 --keep=best");
    o.rslora = true;
    o.seed = UINT64_MAX - 1; /* more than a JSON integer holds */
    o.lr = 0.1 + 0.2;
    json_t *json = train_options_to_json(&o);
    char *before = xstrdup(arguments(&o));
    tap_ok(!train_options_from_json(&back, json, &err), "options are read back");
    tap_is_str("as they were", arguments(&back), before);
    json_object_set_new(json, "lr", json_string("high"));
    tap_ok(train_options_from_json(&back, json, &err) && strstr(err.msg, "\"lr\""),
           "a value of another type is an error");
    json_object_del(json, "lr");
    json_object_set_new(json, "colour", json_string("red"));
    tap_ok(train_options_from_json(&back, json, &err) && strstr(err.msg, "\"colour\""),
           "an unknown option too");
    json_decref(json);
    free(before);
    o = train_options_unset;
    train_options_complete(&o, false);
    tap_ok(o.rank == SIZE_MAX && isnan(o.alpha) && !o.targets && isnan(o.dropout) && o.batch == 4,
           "an adapter that is there keeps its shape");
}

static void test_check(void)
{
    struct train_options o = train_options_unset, good;
    struct err err;
    tap_ok(train_options_check(&o, &err) != 0, "unset options are no run");
    train_options_complete(&o, true);
    good = o;
    tap_ok(!train_options_check(&o, &err), "the defaults are");
    o.batch = 0;
    tap_ok(train_options_check(&o, &err) && strstr(err.msg, "\"batch\""), "steps need rows");
    o = good;
    o.beta2 = 1;
    tap_ok(train_options_check(&o, &err) && strstr(err.msg, "\"beta2\""),
           "a mean needs something new");
    o = good;
    o.dropout = 1;
    tap_ok(train_options_check(&o, &err) && strstr(err.msg, "\"dropout\""),
           "something must be left");
}

static void test_adopt(void)
{
    struct train_options then = train_options_unset, now = train_options_unset;
    struct err err;
    then.steps = 10;
    train_options_complete(&then, true);
    tap_ok(!train_options_adopt(&now, &then, &err), "nothing given again");
    char *before = xstrdup(arguments(&then));
    tap_is_str("everything is as it was", arguments(&now), before);
    tap_ok(!train_options_adopt(&now, &then, &err), "everything given again");
    now = train_options_unset;
    now.steps = 20;
    tap_ok(!train_options_adopt(&now, &then, &err) && now.steps == 20 && now.epochs == 0,
           "another length");
    now = train_options_unset;
    now.epochs = 2;
    tap_ok(!train_options_adopt(&now, &then, &err) && now.steps == 0 && now.epochs == 2,
           "in epochs");
    now = train_options_unset;
    now.batch = 5;
    tap_ok(train_options_adopt(&now, &then, &err) != 0, "another batch is refused");
    tap_is_str("and named", err.msg, "--batch is 5 now, but the run began with 4");
    now = train_options_unset;
    now.rslora = true;
    tap_ok(train_options_adopt(&now, &then, &err) != 0, "and so is a flag that wasn't there");
    now = train_options_unset;
    now.schedule = SCHEDULE_LINEAR;
    tap_ok(train_options_adopt(&now, &then, &err) && strstr(err.msg, "linear"),
           "and another schedule");
    free(before);
}

/* ---- the state ---- */

static const struct model_config config = {.architecture = "llama",
                                           .names = &names_llama,
                                           .pre_norms = true,
                                           .gated = true,
                                           .n_layers = 2,
                                           .hidden = 8,
                                           .ffn = 12,
                                           .n_heads = 2,
                                           .n_kv_heads = 1,
                                           .head_dim = 4,
                                           .vocab = 20};

static const struct train_progress progress = {.step = 7,
                                               .tokens = 1234567890123,
                                               .trained = 99,
                                               .steps = 20,
                                               .warmup = 2,
                                               .decay = 3,
                                               .evaluated = 6,
                                               .best_step = 6,
                                               .best_loss = 1 / 3.0,
                                               .since_best = 1,
                                               .stopped_early = true};
static const struct train_hashes hashes = {"base", "rows", "", "initial"};

struct sample {
    struct lora *lora;
    float *m, *v, *best;
    struct train_options options;
    json_t *config;
};

static void sample_init(struct sample *s)
{
    const struct adapter_options how = {.rank = 3,
                                        .alpha = 6,
                                        .dora = true,
                                        .targets = "q_proj,layers.1.mlp.down_proj",
                                        .saved = "model.norm"};
    struct err err;
    s->config = adapter_config_new(&how, &config, NULL, &err);
    if (!s->config || adapter_new(&s->lora, s->config, &config, false, &err) ||
        lora_init(s->lora, LORA_INIT_DEFAULT, 0, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    s->m = xcalloc(3 * s->lora->n_params, sizeof *s->m);
    s->v = s->m + s->lora->n_params;
    s->best = s->v + s->lora->n_params;
    for (size_t i = 0; i < 3 * s->lora->n_params; i++)
        s->m[i] = (float)i * 0.125f;
    s->options = train_options_unset;
    train_options_complete(&s->options, true);
}

static void sample_release(struct sample *s)
{
    lora_free(s->lora);
    free(s->m);
    json_decref(s->config);
}

static int save(const struct sample *s, const struct train_progress *p, bool best, struct err *err)
{
    static const float reference[] = {-1.5f, -20, -300.25f};
    const struct train_arrays arrays = {.lora = s->lora,
                                        .m = s->m,
                                        .v = s->v,
                                        .best = best ? s->best : NULL,
                                        .reference = best ? reference : NULL,
                                        .n_reference = ARRAY_SIZE(reference),
                                        .adapter_config = s->config,
                                        .model = &config};
    return train_state_save(path, &s->options, p, &hashes, &arrays, err);
}

static bool same_floats(const float *a, const float *b, size_t n)
{
    return a && b && !memcmp(a, b, n * sizeof *a);
}

static void test_round_trip(void)
{
    struct sample s;
    struct train_state t;
    struct err err;
    sample_init(&s);
    tap_ok(!save(&s, &progress, true, &err), "a state is saved");
    if (!tap_ok(!train_state_load(&t, path, &err), "and loaded"))
        printf("# %s\n", err.msg);
    size_t n = s.lora->n_params;
    char *want = xstrdup(arguments(&s.options));
    tap_is_str("its options", arguments(&t.options), want);
    tap_ok(t.progress.tokens == progress.tokens && t.progress.step == 7 &&
               t.progress.evaluated == 6 && t.progress.best_loss == 1 / 3.0 &&
               t.progress.stopped_early && t.progress.steps == 20,
           "its progress");
    tap_ok(!strcmp(t.hashes.base, "base") && !t.hashes.held[0] &&
               !strcmp(t.hashes.initial, "initial"),
           "its hashes");
    tap_ok(t.n_params == n && same_floats(t.params, s.lora->params, n) &&
               same_floats(t.m, s.m, n) && same_floats(t.v, s.v, n) &&
               same_floats(t.best, s.best, n) && t.n_reference == 3 && t.reference[2] == -300.25f,
           "its arrays");
    tap_ok(json_integer_value(json_object_get(t.adapter_config, "r")) == 3, "the adapter's config");
    tap_ok(!train_state_bind(&t, &config, &err) && t.parts.n_pairs == s.lora->n_pairs &&
               t.parts.n_weights == 1 && t.parts.dora,
           "its pairs and weights");
    bool same = true;
    for (size_t i = 0; i < t.parts.n_pairs; i++) {
        const struct lora_pair *a = &t.parts.pairs[i], *b = &s.lora->pairs[i];
        same = same && a->slot == b->slot && a->layer == b->layer && a->r == b->r &&
               a->in == b->in && a->out == b->out && a->scale == b->scale &&
               a->a - t.params == b->a - s.lora->params &&
               a->b - t.params == b->b - s.lora->params &&
               a->magnitude - t.params == b->magnitude - s.lora->params;
    }
    same =
        same && t.parts.weights[0].values - t.params == s.lora->weights[0].values - s.lora->params;
    tap_ok(same, "have their shapes and places");
    struct model_config wider = config, flatter = config;
    wider.hidden = 16;
    flatter.n_layers = 1;
    tap_ok(train_state_bind(&t, &wider, &err) && train_state_bind(&t, &flatter, &err),
           "and fit no other model");
    train_state_release(&t);
    free(want);
    sample_release(&s);
}

static void test_first_step(void)
{
    struct sample s;
    struct train_state t;
    struct err err;
    static const struct train_progress none = {.steps = 20};
    sample_init(&s);
    bool ok = !save(&s, &none, false, &err) && !train_state_load(&t, path, &err);
    tap_ok(ok && !t.best && !t.reference && t.m[5] == 0 && t.v[5] == 0,
           "moments before the first step are zero");
    if (ok)
        train_state_release(&t);
    sample_release(&s);
}

/* Every byte changed, and every length, must be noticed. */
static void test_damage(void)
{
    struct sample s;
    struct train_state t;
    struct err err;
    size_t len, missed = 0, cut = 0;
    sample_init(&s);
    save(&s, &progress, true, &err);
    char *bytes = file_read(path, 1 << 20, &len, &err);
    for (size_t i = 0; i < len; i += 1 + i / 500) {
        bytes[i] ^= 1 << i % 8;
        if (file_write(path, bytes, len, &err))
            break;
        bytes[i] ^= 1 << i % 8;
        err.msg[0] = 0;
        if (!train_state_load(&t, path, &err)) {
            printf("# byte %zu of %zu may change\n", i, len);
            train_state_release(&t);
            missed++;
        } else if (!err.msg[0]) {
            missed++;
        }
    }
    for (size_t n = 0; n < len; n += 1 + n / 50)
        if (!file_write(path, bytes, n, &err) && !train_state_load(&t, path, &err)) {
            train_state_release(&t);
            cut++;
        }
    tap_is_u64("changed bytes that went unnoticed", missed, 0);
    tap_is_u64("cuts that went unnoticed", cut, 0);
    free(bytes);
    sample_release(&s);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    test_options();
    test_check();
    test_adopt();
    test_round_trip();
    test_first_step();
    test_damage();
    unlink(path);
    return tap_done();
}
