/* Any bytes as config.json: an error, or the description of a model that is sound enough to name
 * its tensors, compute its rotary frequencies and be written as GGUF keys and as config.json again.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "formats/checkpoint.h"
#include "model/config.h"
#include "model/gguf_meta.h"
#include "model/hf_files.h"
#include "model/names.h"
#include "scratch_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct model_config *c)
{
    enum { TENSORS = 40 };
    struct err err;
    struct tensor_name name, found;
    float freq[ROPE_MAX_PAIRS];
    struct gguf_writer *w = gguf_writer_new();
    for (size_t i = 0; i < TENSORS && i < names_count(c); i++) {
        names_at(c, i, &name);
        if (!names_find_hf(c, name.hf, &found) || found.slot != name.slot)
            abort();
    }
    for (int beyond = 0; beyond < 2; beyond++) {
        rope_inv_freq(&c->rope, c->rotary_dim, beyond, freq);
        if (c->local_rope.theta != 0)
            rope_inv_freq(&c->local_rope, c->rotary_dim, beyond, freq);
    }
    if (gguf_add_config(w, c, "model", &err) && !err.msg[0])
        abort();
    gguf_writer_abandon(w);
    json_decref(hf_config(c, NULL, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* One tensor, "x" [1] of float32. */
    static const char weights[] = "\x38\0\0\0\0\0\0\0{\"x\":{\"dtype\":\"F32\",\"shape\":[1],"
                                  "\"data_offsets\":[0,4]}}  \0\0\0";
    struct checkpoint *c;
    struct model_config config;
    struct err err;
    scratch_make();
    scratch_write("config.json", data, size);
    scratch_write("model.safetensors", (const uint8_t *)weights, sizeof weights);
    if (!checkpoint_open(&c, scratch_folder, &err)) {
        if (!config_load(&config, c, &err))
            use(&config);
        checkpoint_close(c);
    }
    return 0;
}
