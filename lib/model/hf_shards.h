/*
 * hf_shards: the weights of a Hugging Face folder: which tensor lies in which file, and the index.
 */
#ifndef MODEL_HF_SHARDS_H
#define MODEL_HF_SHARDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "formats/checkpoint.h"
#include "model/names.h"

struct hf_shard_tensor {
    struct tensor_name name;
    enum dtype type;
    bool turned; /* stored as [columns, rows] */
    size_t numbers, bytes, shard;
};

struct hf_shards {
    struct hf_shard_tensor *tensors; /* in the model's order */
    size_t n, n_shards, bytes;
};

enum { HF_SHARD_NAME = 64 };

/* decide sets type and turned of each tensor. A new file begins where the next tensor would make
 * one larger than shard_bytes. */
int hf_shards_plan(struct hf_shards *s, const struct model_config *config, size_t shard_bytes,
                   void (*decide)(void *arg, struct hf_shard_tensor *t), void *arg,
                   struct err *err);
void hf_shards_release(struct hf_shards *s);

/* "model.safetensors", or "model-00001-of-00003.safetensors". */
void hf_shards_name(const struct hf_shards *s, size_t shard, char name[HF_SHARD_NAME]);

/* A file's writer with its tensors declared in order; provenance NULL: none. */
struct safetensors_writer *hf_shards_writer(const struct hf_shards *s, size_t shard,
                                            const char *provenance);

/* model.safetensors.index.json, which the caller decrefs; NULL where one file has all. */
json_t *hf_shards_index(const struct hf_shards *s);

/* transformers' name of the type that most of the weights have: "bfloat16". */
const char *hf_shards_torch_type(const struct hf_shards *s);

#endif
