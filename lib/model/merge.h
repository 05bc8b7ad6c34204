/*
 * merge: a base model with adapters and other models merged into its weights, written as a Hugging
 * Face folder or a GGUF file.
 *
 * An adapter changes W by scale * B A, another model by V - W, and so does a weight that an adapter
 * replaces whole (modules_to_save). A recipe makes one change of them (merge_recipe.h; mostly their
 * sum, each times its weight), in float32, rounded once to the type that is written. Tensors are
 * worked on in tiles of rows, so that memory doesn't grow with the model; tiles depend on the
 * shapes alone, so the bytes don't depend on the number of threads.
 */
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "base/writebehind.h"
#include "formats/checkpoint.h"
#include "model/adapter.h"
#include "model/adapter_gguf.h"
#include "compute/quantise.h"
#include "model/config.h"
#include "model/merge_recipe.h"
#include "model/names.h"
#include "model/quant_mix.h"

/* A PEFT folder, or a GGUF file; the other one is NULL. */
/* How far the numbers written are from those computed: sums of squares. */
struct merge_rounding {
    double lost, all;
};

struct merge_adapter {
    struct adapter *adapter;
    struct adapter_gguf *gguf;
    double weight;
};

/* Where an adapter changes the tensor of that Hugging Face name; NULL: it doesn't. */
const struct adapter_pair *merge_pair(const struct merge_adapter *a, const char *tensor);
const struct adapter_whole *merge_whole(const struct merge_adapter *a, const char *tensor);

/* Another model of the base's architecture and shapes. */
struct merge_model {
    struct checkpoint *checkpoint;
    struct model_config config; /* set by merge_check */
    double weight;
};

struct merge {
    const struct checkpoint *base;
    struct model_config config;
    const struct merge_adapter *adapters;
    size_t n_adapters;
    struct merge_model *models;
    size_t n_models;
    const struct merge_recipe *recipe; /* NULL: the sum */
    enum base_type base_type; /* linear layers' W after a round trip through that type, as QLoRA
                                 trained on it */
    struct pool *pool;
    const char *provenance; /* one line a program that made it; NULL for none */
    const char *pre;        /* GGUF: name of the pre-tokeniser; NULL: found from tokenizer.json */

    bool measures_rounding;                /* so that what follows is set */
    struct merge_rounding rounding, worst; /* of all, and of the tensor where it's largest */
    char worst_tensor[NAME_SIZE];

    /* Set while writing, for messages. */
    size_t n_changed;    /* tensors that an adapter changed */
    size_t n_fallback;   /* tensors whose rows are no whole number of the type's blocks */
    bool has_vocabulary; /* GGUF: a vocabulary was written too */
    void (*progress)(void *arg, const char *tensor, size_t done,
                     size_t total); /* bytes; may be NULL */
    void *progress_arg;
    size_t bytes_done, bytes_total;
    struct merge_work *work; /* between merge_begin and merge_end */
};

/* Reads the base's description and checks that all its tensors are there and that every adapter
 * fits. The caller has set base, adapters, n_adapters, pool and what it wants of the rest. */
int merge_check(struct merge *m, struct err *err);

/* Key of the metadata that say how a model was made. */
#define MERGE_PROVENANCE "tuneutils.provenance"
/*
 * Programs, arguments that matter and hashes of what they read, a line each, after those that made
 * the base and the sources; no paths, which differ from machine to machine. arguments: "" or " A
 * B". The caller frees it.
 */
char *merge_provenance(const struct merge *m, const char *arguments);

/* Whether an adapter would leave every weight as it is: all its B, or its weight, are zero. */
bool merge_is_no_op(const struct merge_adapter *a);

/* The type that most of the base's numbers in linear layers have. */
enum dtype merge_base_type(const struct merge *m);

/* Type of a tensor in the output, where the choice is left open. */
enum { MERGE_AS_BASE = -1 };

/*
 * Writes a folder: weights in type (F32, F16, BF16, or MERGE_AS_BASE: each tensor's own), split
 * into files of at most shard_bytes, config.json, and the tokenizer's files: copied from a folder,
 * or made from a GGUF base's metadata. The folder appears whole or not at all. replace: as
 * outdir_open.
 */
int merge_write_folder(struct merge *m, const char *path, int type, size_t shard_bytes,
                       bool replace, struct err *err);

/*
 * Writes a GGUF file: matrices by a mix of types (NULL: each as it is in the base), vectors in F32,
 * metadata from a GGUF base or made from a folder's config.json and tokenizer files.
 */
int merge_write_gguf(struct merge *m, const char *path, const struct quant_mix *mix,
                     struct err *err);

/* What an adapter of a smaller rank leaves out of the change: sums of squares over linear layers,
 * and how many other tensors change, which it can't hold. */
struct merge_loss {
    double lost, all;
    size_t beside;
};

/*
 * Writes the sources' change as an adapter: a PEFT folder or a GGUF file. rank 0: adapters' sum as
 * it is, whose rank is the sum of theirs; else the nearest of that rank to any change, also of
 * other models. replace: as outdir_open.
 */
int merge_write_adapter(struct merge *m, const char *path, bool gguf, size_t rank, bool replace,
                        struct merge_loss *loss, struct err *err);

/*
 * For the two that write models: tensors as they are written, handed to `write` from front to back,
 * which runs on a thread of its own. merge_end waits for it and reports what failed; it's to be
 * called after a failure too.
 */
int merge_begin(struct merge *m, writebehind_fn *write, void *arg, struct err *err);
/* The tensor's bytes in type, rows in Hugging Face's order or in GGUF's. */
int merge_tensor(struct merge *m, const struct tensor_name *name, enum dtype type, bool gguf_order,
                 struct err *err);
int merge_end(struct merge *m, struct err *err);

/*
 * out [rows, cols]: the change that the sources make to a matrix together, as in a Hugging Face
 * model's linear layer. Between merge_begin, which may have no `write` then, and merge_end.
 */
int merge_change(struct merge *m, const struct tensor_name *name, float *out, struct err *err);

/* The base's tensor of that name; NULL: none. */
const struct tensor *merge_base_tensor(const struct merge *m, const struct tensor_name *name);
/* Whether any source changes it, or anything at all. */
bool merge_changes_any(const struct merge *m);
bool merge_changes(const struct merge *m, const struct tensor_name *name);

#endif
