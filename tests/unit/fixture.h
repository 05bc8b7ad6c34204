/*
 * fixture: reading reference models (tests/data/models and their like) in unit tests.
 */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

#include <dirent.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "formats/checkpoint.h"
#include "formats/json.h"
#include "model/decoder.h"
#include "tap.h"

/* inputs.json: documents back to back. */
struct fixture_inputs {
    uint32_t *ids;
    uint8_t *trained;
    size_t *lengths;
    size_t n, n_documents;
};

__attribute__((unused)) static struct batch fixture_batch(const struct fixture_inputs *in)
{
    return (struct batch){in->ids, in->trained, in->n, in->lengths, in->n_documents, NULL};
}

__attribute__((unused)) static bool fixture_exists(const char *dir, const char *name)
{
    char path[16384];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) == 0;
}

__attribute__((unused)) static json_t *fixture_json(const char *dir, const char *name)
{
    char path[16384];
    struct err err;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    json_t *v = json_read_file(path, 64 << 20, &err);
    if (!v) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    return v;
}

__attribute__((unused)) static struct safetensors *fixture_tensors(const char *dir,
                                                                   const char *name)
{
    char path[16384];
    struct err err;
    struct safetensors *s;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (safetensors_open(&s, path, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    return s;
}

/* A tensor's values as floats; the caller frees them. */
__attribute__((unused)) static float *fixture_floats(const struct safetensors *s, const char *name,
                                                     size_t *n)
{
    const struct tensor *t = safetensors_find(s, name);
    if (!t) {
        printf("Bail out! no tensor %s\n", name);
        exit(1);
    }
    *n = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        *n *= (size_t)t->shape[i];
    float *out = xcalloc(*n, sizeof *out);
    dtypes[t->dtype].to_float(t->data, out, *n);
    return out;
}

__attribute__((unused)) static struct fixture_inputs fixture_inputs(const char *dir)
{
    json_t *root = fixture_json(dir, "inputs.json");
    json_t *documents = json_object_get(root, "documents"),
           *trained = json_object_get(root, "trained");
    struct fixture_inputs in = {.n_documents = json_array_size(documents)};
    in.lengths = xcalloc(in.n_documents, sizeof *in.lengths);
    for (size_t i = 0; i < in.n_documents; i++)
        in.n += in.lengths[i] = json_array_size(json_array_get(documents, i));
    in.ids = xcalloc(in.n, sizeof *in.ids);
    in.trained = xcalloc(in.n, 1);
    for (size_t i = 0, at = 0; i < in.n_documents; i++)
        for (size_t t = 0; t < in.lengths[i]; t++, at++) {
            in.ids[at] =
                (uint32_t)json_integer_value(json_array_get(json_array_get(documents, i), t));
            in.trained[at] =
                (uint8_t)json_integer_value(json_array_get(json_array_get(trained, i), t));
        }
    json_decref(root);
    return in;
}

__attribute__((unused)) static void fixture_inputs_release(struct fixture_inputs *in)
{
    free(in->ids);
    free(in->trained);
    free(in->lengths);
}

/* The description of a model from a config.json; makes a folder with it and no weights. */
__attribute__((unused)) static int fixture_config(const char *dir, const json_t *json,
                                                  struct model_config *config, struct err *err)
{
    char path[4096];
    const uint64_t one = 1;
    const float zero = 0;
    struct checkpoint *c;
    struct safetensors_writer *w = safetensors_writer_new();
    if (mkdir(dir, 0777) && !fixture_exists(dir, "."))
        return err_errno(err, "%s", dir);
    snprintf(path, sizeof path, "%s/config.json", dir);
    json_dump_file(json, path, 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    safetensors_writer_declare(w, "nothing", DTYPE_F32, 1, &one);
    if (safetensors_writer_open(w, path, err) ||
        safetensors_writer_write(w, &zero, sizeof zero, err) || safetensors_writer_finish(w, err) ||
        checkpoint_open(&c, dir, err))
        return -1;
    int status = config_load(config, c, err);
    checkpoint_close(c);
    return status;
}

/* The adapter folder's pairs with PEFT's names, scale alpha / r. */
__attribute__((unused)) static struct lora *fixture_lora(const char *dir, const char *folder,
                                                         const struct model_config *config)
{
    char path[8192];
    struct err err;
    struct tensor_name name;
    snprintf(path, sizeof path, "%s/%s", dir, folder);
    json_t *root = fixture_json(path, "adapter_config.json");
    double alpha = json_number_value(json_object_get(root, "lora_alpha"));
    double r = json_number_value(json_object_get(root, "r"));
    json_decref(root);
    struct safetensors *s = fixture_tensors(path, "adapter_model.safetensors");
    struct lora_pair *pairs = NULL;
    size_t n = 0, cap = 0, size;
    for (size_t i = 0; i < names_count(config); i++) {
        char a[256], b[256];
        names_at(config, i, &name);
        snprintf(a, sizeof a, "base_model.model.%s.lora_A.weight", name.module);
        snprintf(b, sizeof b, "base_model.model.%s.lora_B.weight", name.module);
        if (!name.linear || !safetensors_find(s, a))
            continue;
        ARRAY_GROW(pairs, n, cap);
        pairs[n++] = (struct lora_pair){.slot = name.slot,
                                        .layer = name.layer,
                                        .in = name.cols,
                                        .out = name.rows,
                                        .r = (size_t)r,
                                        .scale = (float)(alpha / r),
                                        .a = fixture_floats(s, a, &size),
                                        .b = fixture_floats(s, b, &size)};
    }
    struct lora *l;
    if (lora_from_pairs(&l, config, pairs, n, true, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].a);
        free(pairs[i].b);
    }
    free(pairs);
    safetensors_close(s);
    return l;
}

/* Runs check on the models of a folder that aren't in `but`. Returns how many there were. */
__attribute__((unused)) static int fixture_models_in(const char *models, const char *but,
                                                     void (*check)(const char *dir,
                                                                   const char *name))
{
    struct dirent **entries;
    int checked = 0, n = scandir(models, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char dir[2048];
        const char *name = entries[i]->d_name;
        snprintf(dir, sizeof dir, "%s/%s", models, name);
        if (name[0] != '.' && !(but && fixture_exists(but, name))) {
            check(dir, name);
            checked++;
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return checked;
}

/* Runs check on every reference model: those of the tree, and others where they lie beside it. */
__attribute__((unused)) static void fixture_models(void (*check)(const char *dir, const char *name))
{
    const char *srcdir = getenv("SRCDIR"), *shared = getenv("SHARED");
    char own[512], others[512];
    snprintf(own, sizeof own, "%s/tests/data/models", srcdir ? srcdir : ".");
    if (shared)
        snprintf(others, sizeof others, "%s/fixtures/models", shared);
    else
        snprintf(others, sizeof others, "%s/../shared/fixtures/models", srcdir ? srcdir : ".");
    tap_ok(fixture_models_in(own, NULL, check) > 2, "there are models in %s", own);
    if (!fixture_models_in(others, own, check))
        printf("# no %s: the other architectures' reference models were not looked at\n", others);
}

#endif
