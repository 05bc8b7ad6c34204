/* Any bytes as a GGUF file: an error, or metadata and tensors that lie inside of it, from which a
 * configuration and a tokenizer.json can be made or not. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "memory_file.h"
#include "model/config.h"
#include "model/hf_files.h"
#include "model/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static double touch_value(const struct gguf_value *v)
{
    double sum = 0;
    if (v->type != GGUF_ARRAY)
        return 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->element != GGUF_STRING)
            sum += gguf_array_number(v, i);
        else if (v->strings[i].len)
            sum += v->strings[i].p[0] + v->strings[i].p[v->strings[i].len - 1];
    return sum;
}

static void touch_tensor(const struct tensor *t)
{
    const struct dtype_info *type = &dtypes[t->dtype];
    float block[256];
    for (size_t at = 0; at < t->bytes; at += type->block_bytes)
        type->to_float((const uint8_t *)t->data + at, block, type->block);
}

static void convert(const struct checkpoint *c)
{
    struct model_config config;
    struct err err;
    bool there;
    const struct gguf *g = checkpoint_gguf(c);
    json_decref(hf_tokenizer(g, &there, &err));
    if (!config_load(&config, c, &err) && !names_check(&config, c, &err))
        json_decref(hf_config(&config, g, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    struct checkpoint *c;
    struct err err;
    volatile double sum = 0;
    int fd = memory_file(data, size, path);
    if (!checkpoint_open(&c, path, &err)) {
        const struct gguf *g = checkpoint_gguf(c);
        for (size_t i = 0; i < gguf_count(g); i++)
            sum += touch_value(gguf_at(g, i));
        for (size_t i = 0; i < gguf_tensor_count(g); i++)
            touch_tensor(gguf_tensor(g, i));
        convert(c);
        checkpoint_close(c);
    }
    (void)sum;
    close(fd);
    return 0;
}
