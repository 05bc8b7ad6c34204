/*
 * quant_mix: which tensor of a quantised model gets which type.
 *
 * A mix is what llama.cpp calls a file type (general.file_type): most matrices in one type, those
 * whose rounding costs most in a larger one. The rules are those of llama.cpp's llama-quant.cpp
 * (llama_tensor_get_type_impl), so that a mix means the same as there.
 */
#ifndef MODEL_QUANT_MIX_H
#define MODEL_QUANT_MIX_H

#include <stdbool.h>
#include <stddef.h>

#include "formats/dtype.h"
#include "model/config.h"
#include "model/names.h"

struct quant_mix {
    const char *name;   /* "q4_k_m" */
    enum dtype type;    /* of most matrices */
    unsigned file_type; /* llama.cpp's number: enum llama_ftype */
};

/* Any case; "q4_k" is q4_k_m, as llama-quantize has it. NULL: there is no such mix. */
const struct quant_mix *quant_mix_by_name(const char *name);
/* The one whose matrices mostly have that type; NULL for a type that isn't written. */
const struct quant_mix *quant_mix_of(enum dtype type);

/*
 * The type of a tensor of the model. A matrix whose rows are no whole number of blocks gets a type
 * of smaller blocks, at last F16, and *fallback is set.
 */
enum dtype quant_mix_type(const struct quant_mix *mix, const struct model_config *config,
                          const struct tensor_name *name, bool *fallback);

/* The type for rows of that many numbers which is nearest to the one wanted. */
enum dtype quant_mix_fit(enum dtype type, uint64_t cols);

#endif
