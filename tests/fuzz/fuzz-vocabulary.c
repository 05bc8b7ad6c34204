/* Any bytes as the tokenizer.json of a folder that becomes GGUF. */
#include <stddef.h>
#include <stdint.h>

#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "model/gguf_meta.h"
#include "scratch_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct checkpoint *make_base(void)
{
    static const char empty[] = "\2\0\0\0\0\0\0\0{}", config[] = "{\"eos_token_id\": [2, 3]}",
                      tokens[] = "{\"bos_token\": {\"content\": \"a\"}, \"eos_token\": \"b\", "
                                 "\"chat_template\": [{\"name\": \"x\", \"template\": \"y\"}]}";
    struct checkpoint *c;
    struct err err;
    scratch_make();
    scratch_write("model.safetensors", empty, sizeof empty - 1);
    scratch_write("config.json", config, sizeof config - 1);
    scratch_write("tokenizer_config.json", tokens, sizeof tokens - 1);
    if (checkpoint_open(&c, scratch_folder, &err))
        abort();
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct checkpoint *base;
    const struct model_config model = {.architecture = "llama", .vocab = 300};
    struct gguf_writer *w = gguf_writer_new();
    struct err err;
    bool found;
    if (!base)
        base = make_base();
    scratch_write("tokenizer.json", data, size);
    gguf_add_tokenizer(w, base, &model, NULL, &found, &err);
    gguf_writer_abandon(w);
    return 0;
}
