/*
 * gguf_meta: the metadata of a GGUF file, made from the files of a Hugging Face folder under the
 * keys that llama.cpp reads (ggml's docs/gguf.md).
 */
#ifndef MODEL_GGUF_META_H
#define MODEL_GGUF_META_H

#include <stdbool.h>

#include "base/err.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "model/config.h"

/* general.* and the architecture's keys. name: what the model is called. An error where llama.cpp's
 * keys can't say what the model is. */
int gguf_add_config(struct gguf_writer *w, const struct model_config *config, const char *name,
                    struct err *err);

/* A window of attention that llama.cpp doesn't know of in that architecture, so that it computes
 * longer documents otherwise; 0: none. */
size_t gguf_lost_window(const struct model_config *config);

/*
 * tokenizer.*: vocabulary, merges, token types, special ids and chat templates, from tokenizer.json
 * and the files beside it. pre NULL: tokenizer.ggml.pre is found from the pre_tokenizer. A folder
 * without tokenizer.json gives a file without vocabulary, and *found = false.
 */
int gguf_add_tokenizer(struct gguf_writer *w, const struct checkpoint *c,
                       const struct model_config *config, const char *pre, bool *found,
                       struct err *err);

#endif
