/* merge: the merged weights of reference models, in each format, and what can't be merged. */
#include "files.h"
#include "tap.h"

#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/outfile.h"
#include "base/pool.h"
#include "fixture.h"
#include "formats/gguf.h"
#include "model/decoder.h"
#include "model/merge.h"

static char folder[64] = "/tmp/test-merge-XXXXXX";
static struct err err;
static struct pool *pool;

static const char *scratch(const char *name)
{
    return scratch_in(folder, name);
}

struct inputs {
    struct checkpoint *base;
    struct merge_adapter adapters[2];
    struct merge m;
};

/* Opens a model and n times the same adapter with these weights. */
static bool open_inputs(struct inputs *in, const char *model, const char *adapter, size_t n,
                        const double *weights)
{
    *in = (struct inputs){0};
    if (checkpoint_open(&in->base, model, &err))
        return false;
    for (size_t i = 0; i < n; i++) {
        in->adapters[i].weight = weights[i];
        if (adapter_load(&in->adapters[i].adapter, adapter, &err))
            return false;
    }
    in->m =
        (struct merge){.base = in->base, .adapters = in->adapters, .n_adapters = n, .pool = pool};
    return !merge_check(&in->m, &err);
}

static void close_inputs(struct inputs *in)
{
    for (size_t i = 0; i < in->m.n_adapters; i++)
        adapter_free(in->adapters[i].adapter);
    checkpoint_close(in->base);
}

/* Logits of document 1 of the fixture with a model. The caller frees them. */
static float *logits_of(const char *model, const char *fixture, size_t *n)
{
    struct checkpoint *c;
    struct decoder *d;
    struct fixture_inputs all = fixture_inputs(fixture);
    const struct decoder_options options = {.backend = BACKEND_FP32, .threads = 1};
    if (checkpoint_open(&c, model, &err) || decoder_open(&d, c, &options, &err)) {
        printf("Bail out! %s\n", err.msg);
        exit(1);
    }
    struct batch b = {all.ids + all.lengths[0], NULL, all.lengths[1], &all.lengths[1], 1, NULL};
    *n = b.n * decoder_config(d)->vocab;
    float *logits = xcalloc(*n, sizeof *logits);
    if (decoder_logits(d, NULL, &b, logits, &err))
        printf("# %s\n", err.msg);
    decoder_close(d);
    checkpoint_close(c);
    fixture_inputs_release(&all);
    return logits;
}

static void is_merged(const char *what, const char *model, const char *fixture)
{
    char expected[512];
    size_t n, wanted;
    snprintf(expected, sizeof expected, "%s/lora", fixture);
    struct safetensors *s = fixture_tensors(expected, "expected.safetensors");
    float *want = fixture_floats(s, "merged_logits.1", &wanted);
    float *got = logits_of(model, fixture, &n);
    tap_ok(n == wanted, "%s: size", what);
    tap_close(what, got, want, n, 1e-4);
    free(got);
    free(want);
    safetensors_close(s);
}

static void test_fixture(const char *name)
{
    char model[512], adapter[544], what[128];
    const double one = 1, parts[] = {0.25, 0.75};
    struct inputs in;
    snprintf(model, sizeof model, "%s/%s", data_file("models"), name);
    snprintf(adapter, sizeof adapter, "%s/lora/initial", model);

    if (!tap_ok(open_inputs(&in, model, adapter, 1, &one), "%s: opens", name)) {
        printf("# %s\n", err.msg);
        return;
    }
    tap_ok(!merge_write_folder(&in.m, scratch("folder"), DTYPE_F32, (size_t)1 << 40, true, &err) &&
               !merge_write_gguf(&in.m, scratch("model.gguf"), quant_mix_of(DTYPE_F32), &err),
           "%s: written", name);
    close_inputs(&in);
    snprintf(what, sizeof what, "%s: merged folder", name);
    is_merged(what, scratch("folder"), model);
    snprintf(what, sizeof what, "%s: merged GGUF", name);
    is_merged(what, scratch("model.gguf"), model);

    open_inputs(&in, scratch("model.gguf"), NULL, 0, NULL);
    tap_ok(!merge_write_folder(&in.m, scratch("back"), MERGE_AS_BASE, 40000, true, &err),
           "%s: GGUF to folder, in shards", name);
    close_inputs(&in);
    snprintf(what, sizeof what, "%s: through GGUF and back", name);
    is_merged(what, scratch("back"), model);

    open_inputs(&in, model, adapter, 2, parts);
    merge_write_folder(&in.m, scratch("parts"), DTYPE_F32, (size_t)1 << 40, true, &err);
    close_inputs(&in);
    snprintf(what, sizeof what, "%s: a quarter and three quarters", name);
    is_merged(what, scratch("parts"), model);

    /* An adapter on a GGUF base, whose query and key rows are in another order. */
    open_inputs(&in, model, NULL, 0, NULL);
    merge_write_gguf(&in.m, scratch("base.gguf"), quant_mix_of(DTYPE_F32), &err);
    close_inputs(&in);
    open_inputs(&in, scratch("base.gguf"), adapter, 1, &one);
    merge_write_gguf(&in.m, scratch("tuned.gguf"), NULL, &err);
    close_inputs(&in);
    snprintf(what, sizeof what, "%s: adapter on a GGUF base", name);
    is_merged(what, scratch("tuned.gguf"), model);
}

/* Bytes of a whole tensor by merge_tensor. */
static int collect(void *arg, const void *p, size_t len, struct err *e)
{
    (void)e;
    buf_add(arg, p, len);
    return 0;
}

/* A plain twin of the merge: one loop, in double. */
static void test_plain_twin(void)
{
    struct inputs in;
    struct tensor_name name;
    const double weights[] = {0.5, -0.25};
    if (!open_inputs(&in, data_file("models/llama"), data_file("models/llama/lora/initial"), 2,
                     weights))
        return;
    names_find_hf(&in.m.config, "model.layers.1.self_attn.k_proj.weight", &name);
    const struct tensor *w = merge_base_tensor(&in.m, &name);
    const struct adapter_pair *p = adapter_find(in.adapters[0].adapter, name.hf);
    size_t rows = (size_t)name.rows, cols = (size_t)name.cols, d = in.m.config.head_dim;
    float *a = xcalloc(p->r * cols, 4), *b = xcalloc(rows * p->r, 4),
          *want = xcalloc(rows * cols, 4);
    adapter_pair_values(p, a, b);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            float base;
            double sum = 0;
            memcpy(&base, (const char *)w->data + (i * cols + j) * 4, 4);
            for (size_t k = 0; k < p->r; k++)
                sum += (double)b[i * p->r + k] * (double)a[k * cols + j];
            size_t head = i / d, at = i % d; /* GGUF's place of the row */
            size_t to = head * d + 2 * (at % (d / 2)) + at / (d / 2);
            want[to * cols + j] = (float)((double)base + 0.25 * p->scale * sum);
        }
    struct buf got = BUF_INIT;
    merge_begin(&in.m, collect, &got, &err);
    tap_ok(!merge_tensor(&in.m, &name, DTYPE_F32, true, &err) && !merge_end(&in.m, &err),
           "twin: made");
    tap_is_u64("twin: bytes", got.len, rows * cols * 4);
    tap_close("twin: weighted sum in GGUF's order of rows", (const float *)(void *)got.p, want,
              rows * cols, 1e-6);
    buf_release(&got);
    free(a);
    free(b);
    free(want);
    close_inputs(&in);
}

/* A folder with the fixture's weights but for one number. */
static void spoil(const char *tensor, float value)
{
    struct checkpoint *c;
    struct safetensors_writer *w = safetensors_writer_new();
    checkpoint_open(&c, data_file("models/llama"), &err);
    directory_make(scratch("spoilt"), &err);
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const struct tensor *t = checkpoint_at(c, i);
        safetensors_writer_declare(w, t->name, t->dtype, t->n_dims, t->shape);
    }
    safetensors_writer_open(w, scratch("spoilt/model.safetensors"), &err);
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const struct tensor *t = checkpoint_at(c, i);
        bool hit = !strcmp(t->name, tensor);
        safetensors_writer_write(w, t->data, t->bytes - 4 * hit, &err);
        if (hit)
            safetensors_writer_write(w, &value, 4, &err);
    }
    safetensors_writer_finish(w, &err);
    struct buf text = BUF_INIT;
    json_add(&text, checkpoint_config(c));
    file_write(scratch("spoilt/config.json"), text.p, text.len, &err);
    buf_release(&text);
    checkpoint_close(c);
}

static void test_bad_numbers(void)
{
    static const struct {
        const char *tensor;
        float value;
        int type;
        const char *want;
    } cases[] = {
        {"model.layers.0.mlp.up_proj.weight", NAN, DTYPE_F32,
         "tensor model.layers.0.mlp.up_proj.weight: a weight is NaN or infinite"},
        {"model.norm.weight", INFINITY, MERGE_AS_BASE,
         "tensor model.norm.weight: a weight is NaN or infinite"},
        {"lm_head.weight", 70000, DTYPE_F16, "tensor lm_head.weight: 70000 is too large for f16"},
        {"lm_head.weight", 70000, DTYPE_BF16, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct inputs in;
        spoil(cases[i].tensor, cases[i].value);
        open_inputs(&in, scratch("spoilt"), NULL, 0, NULL);
        err.msg[0] = 0;
        merge_write_folder(&in.m, scratch("nowhere"), cases[i].type, (size_t)1 << 40, true, &err);
        tap_is_str("bad numbers: named", err.msg, cases[i].want);
        tap_ok((access(scratch("nowhere"), F_OK) == 0) == !*cases[i].want,
               "bad numbers: no folder is left");
        close_inputs(&in);
    }
}

static void test_no_op(void)
{
    struct inputs in;
    const double weights[] = {1, 0};
    open_inputs(&in, data_file("models/llama"), data_file("models/llama/lora/initial"), 2, weights);
    tap_ok(!merge_is_no_op(&in.adapters[0]) && merge_is_no_op(&in.adapters[1]),
           "no-op: a weight of 0 changes nothing");
    close_inputs(&in);
}

int main(void)
{
    if (!mkdtemp(folder) || !(pool = pool_new(2, &err)))
        return 1;
    test_fixture("llama");
    test_fixture("llama3rope");
    test_fixture("llama_bf16");
    test_fixture("llama_f16");
    test_fixture("llama_sharded");
    test_plain_twin();
    test_bad_numbers();
    test_no_op();
    pool_free(pool);
    struct buf command = BUF_INIT;
    buf_addf(&command, "rm -rf '%s'", folder);
    if (system(command.p))
        printf("# could not remove %s\n", folder);
    buf_release(&command);
    return tap_done();
}
