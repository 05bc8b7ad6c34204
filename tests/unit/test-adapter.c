/* adapter: PEFT's rules, folders read, written and refused. */
#include "files.h"
#include "tap.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "fixture.h"
#include "formats/archive.h"
#include "formats/json.h"
#include "model/adapter.h"
#include "model/adapter_config.h"

static char folder[64] = "/tmp/test-adapter-XXXXXX";
static struct err err;

static const char *scratch(const char *name)
{
    return scratch_in(folder, name);
}

/* cases.jsonl: what PEFT does. */
static void test_peft_rules(void)
{
    struct input *in;
    struct buf line = BUF_INIT;
    json_t *v;
    size_t n = 0, wrong = 0;
    if (!tap_ok(!input_open(&in, data_file("adapter/cases.jsonl"), &err), "cases: open"))
        return;
    while (json_next_line(in, &line, &v, &err) > 0) {
        struct adapter_settings s;
        const char *module = json_string_value(json_object_get(v, "module"));
        bool targeted = false;
        size_t r = 0;
        double scale = 0;
        n++;
        bool good = !adapter_settings_read(&s, json_object_get(v, "config"), &err) &&
                    !adapter_settings_target(&s, module, false, &targeted, &err) &&
                    !adapter_settings_scale(&s, module, &r, &scale, &err) &&
                    targeted == json_is_true(json_object_get(v, "targeted")) &&
                    (json_int_t)r == json_integer_value(json_object_get(v, "r")) &&
                    fabs(scale - json_number_value(json_object_get(v, "scale"))) < 1e-12;
        if (!good)
            printf("# line %zu: targeted %d, r %zu, scale %g\n", input_line_number(in), targeted, r,
                   scale);
        wrong += !good;
        json_decref(v);
    }
    tap_ok(n == 140 && !wrong, "targets, ranks and scales are PEFT's");
    input_close(in);
    buf_release(&line);
}

/* What reading a configuration says, the least one with one more key. */
static const char *config_says(const char *more)
{
    struct buf b = BUF_INIT;
    struct adapter_settings s;
    buf_addf(
        &b, "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[\"q_proj\"]%s%s}",
        *more ? "," : "", more);
    json_t *v = json_loads(b.p, 0, NULL);
    err.msg[0] = 0;
    if (!v)
        strcpy(err.msg, "no JSON");
    else
        adapter_settings_read(&s, v, &err);
    json_decref(v);
    buf_release(&b);
    return err.msg;
}

static void test_config_keys(void)
{
    tap_is_str("config: the least one", config_says(""), "");
    tap_is_str("config: false and empty values mean nothing",
               config_says("\"use_dora\":false,\"layer_replication\":null,\"megatron_config\":{},"
                           "\"lora_bias\":false,\"target_parameters\":[]"),
               "");
    tap_is_str("config: DoRA", config_says("\"use_dora\":true"), "");
    tap_is_str("config: a method nobody has", config_says("\"use_qalora\":true"),
               "\"use_qalora\" is not supported, and ignoring it would change the result");
    tap_is_str("config: a key nobody knows", config_says("\"sparkle\":0.5"),
               "\"sparkle\" is not supported, and ignoring it would change the result");
    tap_is_str("config: bias", config_says("\"bias\":\"all\""), "");
    tap_is_str("config: another bias", config_says("\"bias\":\"some\""),
               "\"bias\" is \"some\", which is none of none, all, lora_only");
    tap_ok(strstr(config_says("\"init_lora_weights\":\"pissa\""), "path_initial_model_for"),
           "config: PiSSA's base is another one");
    tap_is_str("config: gaussian", config_says("\"init_lora_weights\":\"gaussian\""), "");
    tap_is_str("config: wrong type", config_says("\"rank_pattern\":[1]"),
               "\"rank_pattern\" has a value of the wrong type");
    tap_is_str("config: names that are none", config_says("\"exclude_modules\":[1]"),
               "a list of module names holds something else");

    struct adapter_settings s;
    bool targeted;
    json_t *v = json_loads("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,"
                           "\"target_modules\":\"(a|aa)+\"}",
                           0, NULL);
    adapter_settings_read(&s, v, &err);
    tap_ok(adapter_settings_target(&s, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", true, &targeted,
                                   &err) &&
               strstr(err.msg, "match limit"),
           "config: a pattern without end is stopped");
    json_decref(v);
    v = json_loads("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":\"(a\"}", 0,
                   NULL);
    adapter_settings_read(&s, v, &err);
    tap_ok(adapter_settings_target(&s, "a", true, &targeted, &err) && strstr(err.msg, "\"(a\""),
           "config: a pattern that is none is quoted");
    json_decref(v);
}

static void test_read_and_write(void)
{
    struct checkpoint *c;
    struct model_config config;
    struct adapter *a, *again = NULL;
    struct lora *l = NULL, *m = NULL;
    if (checkpoint_open(&c, data_file("models/llama"), &err) || config_load(&config, c, &err) ||
        !tap_ok(!adapter_load(&a, data_file("models/llama/lora/initial"), &err),
                "adapter: loads")) {
        printf("# %s\n", err.msg);
        return;
    }
    tap_is_u64("adapter: pairs", adapter_count(a), 14);
    const struct adapter_pair *p = adapter_find(a, "model.layers.1.mlp.down_proj.weight");
    tap_ok(p && p->in == 128 && p->out == 48 && p->r == 4 && p->scale == 2,
           "adapter: shape and scale");
    tap_ok(!adapter_find(a, "model.layers.1.mlp.down_proj") && !adapter_find(a, "lm_head.weight"),
           "adapter: what it leaves alone");
    if (!tap_ok(!adapter_lora(&l, a, &config, false, &err), "adapter: as the decoder has it"))
        printf("# %s\n", err.msg);

    json_t *v = json_deep_copy((json_t *)(uintptr_t)adapter_config(a));
    json_object_set_new(v, "base_model_name_or_path", json_string("/home/someone/models/base"));
    tap_ok(!adapter_save(scratch("saved"), v, l, &config, "ft-test 1", &err) &&
               !adapter_load(&again, scratch("saved"), &err) &&
               !adapter_lora(&m, again, &config, false, &err),
           "adapter: written and read");
    tap_ok(l->n_params == m->n_params && !memcmp(l->params, m->params, l->n_params * sizeof(float)),
           "adapter: the values come back");
    tap_is_str("adapter: no path of this machine",
               json_string_value(json_object_get(adapter_config(again), "base_model_name_or_path")),
               "base");
    tap_is_str("adapter: provenance", adapter_provenance(again), "ft-test 1");
    char one[33], two[33];
    adapter_hash(a, one);
    adapter_hash(again, two);
    tap_ok(strcmp(one, two) != 0, "adapter: another configuration, another hash");

    size_t len[2];
    adapter_save(scratch("twice"), v, m, &config, "ft-test 1", &err);
    char *x = file_read(scratch("saved/adapter_model.safetensors"), 1 << 20, &len[0], &err);
    char *y = file_read(scratch("twice/adapter_model.safetensors"), 1 << 20, &len[1], &err);
    tap_ok(x && y && len[0] == len[1] && !memcmp(x, y, len[0]), "adapter: the same bytes");
    free(x);
    free(y);

    struct adapter_options o = {
        .rank = 8, .alpha = 16, .dropout = 0.05, .targets = "v_proj,all-linear"};
    char *base = adapter_base_name(c);
    json_t *fresh = adapter_config_new(&o, &config, base, &err);
    struct adapter_settings s;
    tap_ok(!adapter_settings_read(&s, fresh, &err) && s.r == 8 && s.alpha == 16 &&
               json_array_size(s.targets) == 7,
           "adapter: a fresh configuration");
    tap_is_str("adapter: the base's name", base, "llama");
    free(base);
    json_decref(fresh);

    json_decref(v);
    lora_free(l);
    lora_free(m);
    adapter_free(a);
    adapter_free(again);
    checkpoint_close(c);
}

/* An adapter folder of the given tensors: "module.lora_A.weight 4x48" and so on. */
static const char *load_says(const char *config, const char *const *tensors, size_t n)
{
    struct safetensors_writer *w = safetensors_writer_new();
    struct adapter *a = NULL;
    struct checkpoint *c = NULL;
    struct model_config model;
    const float zeros[1 << 14] = {0};
    size_t numbers = 0;
    mkdir(scratch("odd"), 0777);
    file_write(scratch("odd/adapter_config.json"), config, strlen(config), &err);
    for (size_t i = 0; i < n; i++) {
        char name[200];
        unsigned rows, cols;
        if (sscanf(tensors[i], "%199s %ux%u", name, &rows, &cols) != 3)
            return "bad test";
        const uint64_t shape[] = {rows, cols};
        numbers += rows * cols;
        safetensors_writer_declare(w, name, DTYPE_F32, 2, shape);
    }
    safetensors_writer_open(w, scratch("odd/adapter_model.safetensors"), &err);
    safetensors_writer_write(w, zeros, numbers * sizeof *zeros, &err);
    safetensors_writer_finish(w, &err);
    err.msg[0] = 0;
    checkpoint_open(&c, data_file("models/llama"), &err);
    config_load(&model, c, &err);
    if (!adapter_load(&a, scratch("odd"), &err))
        adapter_check(a, &model, &err);
    adapter_free(a);
    checkpoint_close(c);
    const char *odd = strstr(err.msg, "/odd");
    return odd ? odd + 1 : err.msg;
}

#define Q0 "base_model.model.model.layers.0.self_attn.q_proj"
#define Q1 "base_model.model.model.layers.1.self_attn.q_proj"
#define CONFIG(targets)                                                                            \
    "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":" targets "}"
#define SAYS(name, config, want, ...)                                                              \
    do {                                                                                           \
        const char *const list[] = {__VA_ARGS__};                                                  \
        tap_is_str(name, load_says(config, list, ARRAY_SIZE(list)), want);                         \
    } while (0)

static void test_misfits(void)
{
    SAYS("misfit: none", CONFIG("[\"q_proj\"]"), "", Q0 ".lora_A.weight 4x48",
         Q0 ".lora_B.weight 48x4", Q1 ".lora_A.weight 4x48", Q1 ".lora_B.weight 48x4");
    SAYS(
        "misfit: a pair is missing", CONFIG("[\"q_proj\"]"),
        "odd: has no LoRA pair for model.layers.1.self_attn.q_proj, which its target_modules cover",
        Q0 ".lora_A.weight 4x48", Q0 ".lora_B.weight 48x4");
    SAYS("misfit: half of a pair", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_A.weight: has no lora_B.weight beside it",
         Q0 ".lora_A.weight 4x48");
    SAYS("misfit: the other half", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_B.weight: has no lora_A.weight beside it",
         Q0 ".lora_B.weight 48x4");
    SAYS("misfit: rank", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_A.weight: A has 2 rows and B 2 columns, adapter_config.json says rank 4",
         Q0 ".lora_A.weight 2x48", Q0 ".lora_B.weight 48x2");
    SAYS("misfit: not targeted", CONFIG("[\"v_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_A.weight: adapter_config.json's target_modules do not cover it",
         Q0 ".lora_A.weight 4x48", Q0 ".lora_B.weight 48x4");
    SAYS("misfit: shape", CONFIG("[\"layers.0.self_attn.q_proj\"]"),
         "odd: module model.layers.0.self_attn.q_proj: the adapter is for a matrix [64, 64], the "
         "base "
         "model has [48, 48]",
         Q0 ".lora_A.weight 4x64", Q0 ".lora_B.weight 64x4");
    SAYS("misfit: module", CONFIG("[\"z_proj\"]"),
         "odd: module model.layers.0.self_attn.z_proj is not in the base model",
         "base_model.model.model.layers.0.self_attn.z_proj.lora_A.weight 4x48",
         "base_model.model.model.layers.0.self_attn.z_proj.lora_B.weight 48x4");
    SAYS("misfit: DoRA's vectors", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_magnitude_vector: has no lora_A.weight beside it",
         Q0 ".lora_magnitude_vector 48x1");
    SAYS("misfit: a part nobody knows", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor " Q0
         ".lora_E: such a part of an adapter is not supported",
         Q0 ".lora_E 48x1");
    SAYS("misfit: a weight from elsewhere", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor base_model.model.lm_head.weight: is neither part "
         "of a LoRA pair nor named by modules_to_save or bias",
         "base_model.model.lm_head.weight 10x10");
    SAYS("misfit: a name from elsewhere", CONFIG("[\"q_proj\"]"),
         "odd/adapter_model.safetensors: tensor lora.down.weight: its name doesn't begin with "
         "base_model.model.",
         "lora.down.weight 4x4");
    SAYS("misfit: an embedding", CONFIG("[\"embed_tokens\"]"),
         "odd: module model.embed_tokens is no linear layer of the base model",
         "base_model.model.model.embed_tokens.lora_A.weight 4x48",
         "base_model.model.model.embed_tokens.lora_B.weight 288x4");
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    test_peft_rules();
    test_config_keys();
    test_read_and_write();
    test_misfits();
    struct buf command = BUF_INIT;
    buf_addf(&command, "rm -rf '%s'", folder);
    if (system(command.p))
        printf("# could not remove %s\n", folder);
    buf_release(&command);
    return tap_done();
}
