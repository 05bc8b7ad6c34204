#include "model/gguf_meta.h"

#include <string.h>

#include "model/arch.h"

enum { QUANTIZATION_VERSION = 2 }; /* of ggml's block formats as they are today */

int gguf_add_config(struct gguf_writer *w, const struct model_config *c, const char *name,
                    struct err *err)
{
    const struct architecture *a = arch_by_type(c->architecture);
    struct model_config copy = *c;
    struct config_keys k = {
        .mode = KEYS_WRITE_GGUF, .gguf_out = w, .prefix = a->gguf, .where = "GGUF", .err = err};
    if (!a->gguf)
        return err_set(err, "models of architecture %s are not written as GGUF", c->architecture);
    gguf_writer_string(w, "general.architecture", a->gguf, strlen(a->gguf));
    gguf_writer_string(w, "general.type", "model", 5);
    gguf_writer_string(w, "general.name", name, strlen(name));
    a->describe(&k, &copy);
    gguf_writer_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    return k.failed ? -1 : 0;
}

size_t gguf_lost_window(const struct model_config *config)
{
    return strncmp(config->architecture, "gemma", 5) != 0 ? config->window : 0;
}
