/*
 * tuned: a base with its adapters, opened from what a command line says, ready to compute.
 */
#ifndef MODEL_TUNED_H
#define MODEL_TUNED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "compute/backend.h"
#include "compute/quantise.h"
#include "formats/checkpoint.h"
#include "model/adapter_mix.h"
#include "model/decoder.h"
#include "text/tokenizer.h"

/* OPT_CHOICE writes ints. */
struct tuned_request {
    const char *model;           /* Hugging Face folder or GGUF file */
    const char *const *adapters; /* [n_adapters] ADAPTER[:WEIGHT] */
    size_t n_adapters, threads;
    int backend, base_type; /* enum backend, enum base_type */
};

struct tuned {
    struct checkpoint *checkpoint;
    struct decoder *decoder;
    struct lora *adapter; /* NULL: none */
};

/* tuned_close is for what it leaves on failure, too. */
int tuned_open(struct tuned *t, const struct tuned_request *request, struct err *err);
void tuned_close(struct tuned *t);

/* The token that a model's tokenizer puts before a text; -1: it puts none there. */
int64_t tuned_bos(const struct tokenizer *t);

/* The ids that end a completion: the tokenizer's (NULL: there is none) and those that config.json
 * names. The caller frees them. */
uint32_t *tuned_end_ids(const struct tuned *t, const struct tokenizer *tokenizer, size_t *n);

/* Entries of a table of options that say so, with the adapters as a string_list. */
#define TUNED_MODEL_OPTIONS(request, list)                                                         \
    {OPT_STRING, 'm', "model", &(request).model, "MODEL", "Hugging Face folder or GGUF file",      \
     NULL,       0,   0},                                                                          \
    {                                                                                              \
        OPT_LIST, 'a', "adapter", &(list), "ADAPTER[:WEIGHT]",                                     \
            "PEFT folder; several add up [WEIGHT 1]", NULL, 0, 0                                   \
    }
#define TUNED_COMPUTING_OPTIONS(request)                                                           \
    {OPT_CHOICE,         0,    "backend",                                                          \
     &(request).backend, NULL, "arithmetic of matrix products [fp32]",                             \
     backend_choices,    0,    0},                                                                 \
        {OPT_CHOICE,           0,    "base-type",                                                  \
         &(request).base_type, NULL, "what the base's linear layers are held as [stored]",         \
         base_type_choices,    0,    0},                                                           \
    {                                                                                              \
        OPT_SIZE, 0, "threads", &(request).threads, "N", "0: all processors [0]", NULL, 0, 4096    \
    }

#endif
