/*
 * hf_files: the files beside the weights in a Hugging Face folder, made from GGUF metadata.
 */
#ifndef MODEL_HF_FILES_H
#define MODEL_HF_FILES_H

#include <jansson.h>

#include "base/err.h"
#include "base/outfile.h"
#include "formats/gguf.h"
#include "model/config.h"

/* config.json of a model read from GGUF. NULL where config.json can't express it. The caller
 * decrefs it. */
json_t *hf_config(const struct model_config *config, const struct gguf *g, struct err *err);

/* Writes tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json, as
 * far as the metadata has what belongs there. */
int hf_write_tokenizer(struct outdir *dir, const struct gguf *g, struct err *err);

#endif
