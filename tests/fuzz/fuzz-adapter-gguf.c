/* Any bytes as a GGUF adapter: an error, or pairs of the shapes that they claim. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "memory_file.h"
#include "model/adapter_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const struct adapter_gguf *a, const struct model_config *model)
{
    struct lora *l;
    struct err err;
    char hex[33];
    for (size_t i = 0; i < adapter_gguf_count(a); i++) {
        const struct adapter_pair *p = adapter_gguf_at(a, i);
        float *x = xcalloc(p->r * (p->in + p->out), sizeof *x);
        adapter_pair_values(p, x, x + p->r * p->in);
        free(x);
    }
    adapter_gguf_hash(a, hex);
    if (!adapter_gguf_lora(&l, a, model, &err))
        lora_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct model_config model = {.architecture = "llama",
                                              .names = &names_llama,
                                              .n_layers = 2,
                                              .hidden = 48,
                                              .ffn = 96,
                                              .n_heads = 6,
                                              .n_kv_heads = 2,
                                              .head_dim = 8,
                                              .vocab = 256,
                                              .pre_norms = true,
                                              .gated = true};
    char path[32];
    struct adapter_gguf *a;
    struct err err;
    int fd = memory_file(data, size, path);
    if (!adapter_gguf_load(&a, path, &model, &err)) {
        touch(a, &model);
        adapter_gguf_free(a);
    }
    close(fd);
    return 0;
}
