/*
 * adapter_gguf: a LoRA adapter as a GGUF file, as llama.cpp loads it (general.type "adapter").
 *
 * For each matrix there are A [r, in] and B [out, r] under its GGUF name with ".lora_a" and
 * ".lora_b", B's rows in the order of the matrix's; what is added to it is alpha / r * B A, with
 * one alpha for the file. The file alone doesn't say enough: names and orders are the base model's.
 */
#ifndef MODEL_ADAPTER_GGUF_H
#define MODEL_ADAPTER_GGUF_H

#include <stdbool.h>

#include "base/err.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/lora.h"

struct adapter_gguf;

/* Whether it is a file that begins as GGUF files do; an adapter's folder is none. */
bool adapter_is_gguf(const char *path);

/* Opens it and checks that it is one for such a model. */
int adapter_gguf_load(struct adapter_gguf **a, const char *path, const struct model_config *config,
                      struct err *err);
void adapter_gguf_free(struct adapter_gguf *a); /* NULL is allowed */

size_t adapter_gguf_count(const struct adapter_gguf *a);
/* In Hugging Face's order of rows, b in float32. */
const struct adapter_pair *adapter_gguf_at(const struct adapter_gguf *a, size_t i);
/* By the tensor's Hugging Face name; NULL where the adapter leaves it alone. */
const struct adapter_pair *adapter_gguf_find(const struct adapter_gguf *a, const char *tensor);
const char *adapter_gguf_provenance(const struct adapter_gguf *a); /* NULL if it doesn't say */
void adapter_gguf_hash(const struct adapter_gguf *a, char hex[33]);
/* As the decoder computes with it. */
int adapter_gguf_lora(struct lora **l, const struct adapter_gguf *a,
                      const struct model_config *config, struct err *err);

/* Writes one, in F32; where scale * r isn't the same everywhere, B takes up the difference.
 * provenance may be NULL. What GGUF can't say (DoRA, whole weights) is an error. */
int adapter_gguf_save(const char *path, const struct lora *l, const struct model_config *config,
                      const char *name, const char *provenance, struct err *err);

#endif
