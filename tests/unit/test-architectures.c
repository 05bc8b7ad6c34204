/*
 * Every architecture, with weights made from their names, against transformers and PEFT
 * (tests/data/architectures/make.py): likelihoods, logits, LoRA gradients; and through GGUF and
 * back.
 */
#include "files.h"
#include "fixture.h"

#include <unistd.h>

#include "base/pool.h"
#include "model/merge.h"

static char folder[64] = "/tmp/test-architectures-XXXXXX";
static struct err err;
static struct pool *pool;

static const char *scratch(const char *name)
{
    return scratch_in(folder, name);
}

/* In [-1, 1): splitmix64 of FNV-1a of the name plus i. */
static double uniform(const char *name, size_t i)
{
    uint64_t z = 0xcbf29ce484222325;
    for (; *name; name++)
        z = (z ^ (uint8_t)*name) * 0x100000001b3;
    z += (i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (double)((z ^ (z >> 31)) >> 40) / (1 << 23) - 1;
}

static float *values(const char *name, size_t n, double scale, double center)
{
    float *x = xcalloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(scale * uniform(name, i) + center);
    return x;
}

/* The tensors of a configuration as model.safetensors; bare: without the first part of their names,
 * and with a mask beside them, as gpt2 was published. */
static void write_weights(const struct model_config *c, bool bare)
{
    struct safetensors_writer *w = safetensors_writer_new();
    struct tensor_name name;
    for (size_t i = 0; i < names_count(c); i++) {
        names_at(c, i, &name);
        const uint64_t shape[] = {name.transposed ? name.cols : name.rows,
                                  name.transposed ? name.rows : name.cols};
        safetensors_writer_declare(w, bare ? strchr(name.hf, '.') + 1 : name.hf, DTYPE_F32,
                                   name.n_dims, shape);
    }
    const uint64_t mask[] = {1, 1, 2, 2};
    const float ones[4] = {1, 1, 1, 1};
    if (bare)
        safetensors_writer_declare(w, "h.0.attn.bias", DTYPE_F32, 4, mask);
    if (safetensors_writer_open(w, scratch("model/model.safetensors"), &err))
        exit(1);
    for (size_t i = 0; i < names_count(c); i++) {
        names_at(c, i, &name);
        size_t n = (size_t)(name.rows * (name.cols ? name.cols : 1));
        bool bias = slot_is_bias(name.slot);
        float *x = values(name.hf, n,
                          bias               ? 0.2
                          : name.n_dims == 1 ? 0.3
                                             : 0.25,
                          !bias && name.n_dims == 1 && !c->norm_plus_one);
        safetensors_writer_write(w, x, n * sizeof *x, &err);
        free(x);
    }
    if (bare)
        safetensors_writer_write(w, ones, sizeof ones, &err);
    safetensors_writer_finish(w, &err);
}

static struct fixture_inputs read_documents(const json_t *documents)
{
    struct fixture_inputs in = {.n_documents = json_array_size(documents)};
    in.lengths = xcalloc(in.n_documents, sizeof *in.lengths);
    for (size_t i = 0; i < in.n_documents; i++)
        in.n += in.lengths[i] = json_array_size(json_array_get(documents, i));
    in.ids = xcalloc(in.n, sizeof *in.ids);
    in.trained = xcalloc(in.n, 1);
    for (size_t i = 0, at = 0; i < in.n_documents; i++)
        for (size_t t = 0; t < in.lengths[i]; t++, at++) {
            const json_t *document = json_array_get(documents, i);
            in.ids[at] = (uint32_t)json_integer_value(json_array_get(document, t));
            in.trained[at] = 1;
        }
    return in;
}

static struct decoder *open_model(const char *path, struct checkpoint **c)
{
    const struct decoder_options options = {.backend = BACKEND_FP32, .threads = 1};
    struct decoder *d;
    if (checkpoint_open(c, path, &err) || decoder_open(&d, *c, &options, &err)) {
        printf("# %s\n", err.msg);
        return NULL;
    }
    return d;
}

static void check_nll(const char *name, const char *what, const char *path,
                      const struct fixture_inputs *in, const json_t *expected)
{
    struct checkpoint *c = NULL;
    struct decoder *d = open_model(path, &c);
    struct batch b = fixture_batch(in);
    double nll[8], worst = 0;
    bool scored = d && !decoder_score(d, NULL, &b, nll, NULL, &err);
    for (size_t i = 0; scored && i < in->n_documents; i++) {
        double want = json_number_value(json_array_get(json_object_get(expected, "nll"), i));
        worst = fmax(worst, fabs(nll[i] - want) / want);
    }
    tap_ok(scored && worst <= 1e-5, "%s%s: likelihoods within 1e-5 (%.2g)", name, what, worst);
    decoder_close(d);
    checkpoint_close(c);
}

static void check_logits(const char *name, struct decoder *d, const struct fixture_inputs *in,
                         const json_t *expected)
{
    struct batch b = fixture_batch(in);
    const json_t *list = json_object_get(expected, "logits");
    size_t vocab = json_array_size(list);
    float *logits = xcalloc(in->n * vocab, sizeof *logits), *want = xcalloc(vocab, sizeof *want);
    char what[128];
    for (size_t i = 0; i < vocab; i++)
        want[i] = (float)json_number_value(json_array_get(list, i));
    snprintf(what, sizeof what, "%s: logits after the last token", name);
    if (tap_ok(!decoder_logits(d, NULL, &b, logits, &err), "%s: logits", name))
        tap_close(what, logits + (in->n - 1) * vocab, want, vocab, 5e-5);
    free(logits);
    free(want);
}

/* The adapter of all linear layers, r = 2, alpha = 4. */
static struct lora *make_lora(const struct model_config *c)
{
    enum { RANK = 2 };
    struct lora_pair *pairs = NULL;
    size_t n = 0, cap = 0;
    struct tensor_name name;
    for (size_t i = 0; i < names_count(c); i++) {
        char a[300], b[300];
        names_at(c, i, &name);
        if (!name.linear)
            continue;
        snprintf(a, sizeof a, "base_model.model.%s.lora_A.weight", name.module);
        snprintf(b, sizeof b, "base_model.model.%s.lora_B.weight", name.module);
        ARRAY_GROW(pairs, n, cap);
        pairs[n++] = (struct lora_pair){.slot = name.slot,
                                        .layer = name.layer,
                                        .in = name.cols,
                                        .out = name.rows,
                                        .r = RANK,
                                        .scale = 2,
                                        .a = values(a, RANK * name.cols, 0.3, 0),
                                        .b = values(b, RANK * name.rows, 0.3, 0)};
    }
    struct lora *l;
    if (lora_from_pairs(&l, c, pairs, n, true, &err))
        exit(1);
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].a);
        free(pairs[i].b);
    }
    free(pairs);
    return l;
}

/* How far a gradient is from the norm and the first numbers that are expected of it, relative to
 * the norm. */
static double gradient_error(const json_t *gradients, const char *module, const char *part,
                             const float *grad, size_t n)
{
    char key[300];
    double sum = 0, worst;
    snprintf(key, sizeof key, "base_model.model.%s.%s.weight", module, part);
    const json_t *want = json_object_get(gradients, key);
    double norm = json_number_value(json_array_get(want, 0));
    for (size_t i = 0; i < n; i++)
        sum += (double)grad[i] * (double)grad[i];
    worst = fabs(sqrt(sum) - norm);
    for (size_t i = 1; i < json_array_size(want); i++)
        worst = fmax(worst, fabs((double)grad[i - 1] - json_number_value(json_array_get(want, i))));
    return want ? worst / norm : INFINITY;
}

static void check_gradients(const char *name, struct decoder *d, const struct fixture_inputs *in,
                            const json_t *expected)
{
    const json_t *gradients = json_object_get(expected, "gradients");
    const struct learning plain = {.key = 0};
    struct lora *l = make_lora(decoder_config(d));
    struct batch b = fixture_batch(in);
    double nll, worst = 0, want = json_number_value(json_object_get(expected, "adapted_nll"));
    if (!tap_ok(!decoder_accumulate(d, l, &b, &plain, &nll, &err), "%s: forward and backward",
                name)) {
        lora_free(l);
        return;
    }
    tap_ok(fabs(nll - want) <= 1e-5 * want, "%s: likelihood with an adapter (%.8g, want %.8g)",
           name, nll, want);
    for (size_t i = 0; i < l->n_pairs; i++) {
        const struct lora_pair *p = &l->pairs[i];
        struct tensor_name tensor;
        names_describe(decoder_config(d), p->slot, p->layer, &tensor);
        worst = fmax(worst,
                     gradient_error(gradients, tensor.module, "lora_A", p->grad_a, p->r * p->in));
        worst = fmax(worst,
                     gradient_error(gradients, tensor.module, "lora_B", p->grad_b, p->r * p->out));
    }
    tap_is_u64("PEFT's linear layers", 2 * l->n_pairs, json_object_size(gradients));
    tap_ok(worst <= 1e-4, "%s: gradients within 1e-4 of their norms (%.2g)", name, worst);
    lora_free(l);
}

/* GGUF can't say all that config.json can; what is written says the same, and so does what is made
 * of it again. */
static void check_gguf(const char *name, const struct fixture_inputs *in, const json_t *expected)
{
    static const char *const refused[] = {
        "gemma2",     "gemma3_text", "gemma3_nested", "gpt2_plain",         "gpt_neox_sequential",
        "llama_yarn", "qwen2",       "smollm3",       "starcoder2_unbiased"};
    bool sayable = true;
    struct checkpoint *c;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        sayable = sayable && strcmp(refused[i], name) != 0;
    if (checkpoint_open(&c, scratch("model"), &err))
        exit(1);
    struct merge m = {.base = c, .pool = pool};
    bool written = !merge_check(&m, &err) &&
                   !merge_write_gguf(&m, scratch("model.gguf"), quant_mix_of(DTYPE_F32), &err);
    tap_ok(written == sayable, "%s: GGUF is %s", name, sayable ? "written" : "refused");
    if (!written)
        printf("# %s\n", err.msg);
    checkpoint_close(c);
    if (!written || !sayable)
        return;
    check_nll(name, ", GGUF", scratch("model.gguf"), in, expected);
    if (checkpoint_open(&c, scratch("model.gguf"), &err))
        exit(1);
    m = (struct merge){.base = c, .pool = pool};
    written = !merge_check(&m, &err) &&
              !merge_write_folder(&m, scratch("back"), DTYPE_F32, SIZE_MAX, true, &err);
    if (!tap_ok(written, "%s: a folder again", name))
        printf("# %s\n", err.msg);
    else
        check_nll(name, ", folder again", scratch("back"), in, expected);
    checkpoint_close(c);
}

static void check(const char *name)
{
    char file[128];
    struct model_config config;
    struct checkpoint *c;
    snprintf(file, sizeof file, "architectures/%s.json", name);
    json_t *expected = fixture_json(data_file(""), file);
    if (!tap_ok(
            !fixture_config(scratch("model"), json_object_get(expected, "config"), &config, &err),
            "%s: config.json", name)) {
        printf("# %s\n", err.msg);
        json_decref(expected);
        return;
    }
    struct fixture_inputs in = read_documents(json_object_get(expected, "documents"));
    if (!strcmp(name, "gpt2")) {
        write_weights(&config, true);
        check_nll(name, ", as published", scratch("model"), &in, expected);
    }
    write_weights(&config, false);
    check_nll(name, "", scratch("model"), &in, expected);
    struct decoder *d = open_model(scratch("model"), &c);
    if (d) {
        check_logits(name, d, &in, expected);
        check_gradients(name, d, &in, expected);
        decoder_close(d);
        check_gguf(name, &in, expected);
    }
    checkpoint_close(c);
    fixture_inputs_release(&in);
    json_decref(expected);
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int n = scandir(data_file("architectures"), &entries, NULL, alphasort);
    if (!mkdtemp(folder) || !(pool = pool_new(2, &err)))
        return 1;
    for (int i = 0; i < n; i++) {
        char *dot = strrchr(entries[i]->d_name, '.');
        if (dot && !strcmp(dot, ".json")) {
            *dot = 0;
            if (argc < 2 || !strcmp(argv[1], entries[i]->d_name))
                check(entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    pool_free(pool);
    return tap_done();
}
