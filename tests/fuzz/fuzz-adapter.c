/* Any bytes as an adapter: the text up to the first NUL is adapter_config.json, the rest
 * adapter_model.safetensors. An error, or pairs and weights of the shapes that they claim, which
 * the model has. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "model/adapter.h"
#include "model/names.h"
#include "scratch_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const struct adapter *a)
{
    static const struct model_config model = {.architecture = "llama",
                                              .names = &names_llama,
                                              .pre_norms = true,
                                              .gated = true,
                                              .n_layers = 2,
                                              .hidden = 8,
                                              .ffn = 16,
                                              .n_heads = 2,
                                              .n_kv_heads = 1,
                                              .head_dim = 4,
                                              .vocab = 16};
    struct err err;
    char hex[33];
    for (size_t i = 0; i < adapter_count(a); i++) {
        const struct adapter_pair *p = adapter_at(a, i);
        float *x = xcalloc(p->r * (p->in + p->out), sizeof *x);
        adapter_pair_values(p, x, x + p->r * p->in);
        free(x);
        x = xcalloc(p->in, sizeof *x);
        adapter_pair_normalise(p, p->out - 1, 1, x);
        free(x);
    }
    adapter_hash(a, hex);
    struct lora *l;
    if (!adapter_lora(&l, a, &model, false, &err))
        lora_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t config = nul ? (size_t)(nul - data) : size;
    struct adapter *a;
    struct err err;
    scratch_make();
    scratch_write("adapter_config.json", data, config);
    scratch_write("adapter_model.safetensors", nul ? nul + 1 : data, nul ? size - config - 1 : 0);
    if (!adapter_load(&a, scratch_folder, &err)) {
        touch(a);
        adapter_free(a);
    }
    return 0;
}
