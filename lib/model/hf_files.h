/*
 * hf_files: the files beside the weights in a Hugging Face folder: which they are, and how they are
 * made from GGUF metadata.
 */
#ifndef MODEL_HF_FILES_H
#define MODEL_HF_FILES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/outfile.h"
#include "formats/gguf.h"
#include "model/config.h"

/* config.json of a model read from GGUF. NULL where config.json can't express it. The caller
 * decrefs it. */
json_t *hf_config(const struct model_config *config, const struct gguf *g, struct err *err);

/* tokenizer.json of the vocabulary in the metadata. NULL when it can't be expressed, and with
 * *there false when there is none. The caller decrefs it. */
json_t *hf_tokenizer(const struct gguf *g, bool *there, struct err *err);

/* Whether a file of that name belongs to a model beside its weights and config.json: tokenizer,
 * templates, generation settings, licence. Not weights in other formats, nor code. */
bool hf_is_carried(const char *name);

/* Copies the regular files that are carried from a folder to what place says of their names, which
 * has to last until it is asked again. */
int hf_carry_files(const char *folder, const char *(*place)(void *arg, const char *name), void *arg,
                   struct err *err);

/* Writes a file of a folder, keys sorted and indented. */
int hf_write_json(const char *path, const json_t *v, struct err *err);

/* Writes tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json, as
 * far as the metadata has what belongs there. */
int hf_write_tokenizer(struct outdir *dir, const struct gguf *g, struct err *err);

#endif
