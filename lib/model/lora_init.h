/*
 * lora_init: the first values of a new adapter.
 */
#ifndef MODEL_LORA_INIT_H
#define MODEL_LORA_INIT_H

#include <stdint.h>

#include "base/err.h"
#include "model/decoder.h"
#include "model/lora.h"

enum lora_init {
    LORA_INIT_DEFAULT,    /* A uniform in +-1/sqrt(in), B zero: PEFT's default */
    LORA_INIT_GAUSSIAN,   /* A normal with deviation 1/r, B zero */
    LORA_INIT_ORTHOGONAL, /* A and B not zero, but B A is: rows of orthogonal matrices; r even */
    LORA_INIT_OLORA,      /* of W's QR decomposition (arXiv:2406.01775) */
    LORA_INIT_PISSA,      /* of its largest singular values (Meng et al. 2024, arXiv:2404.02948) */
    LORA_INIT_PISSA_NITER_4, /* the same, approximately: rounds of subspace iteration */
    LORA_INIT_PISSA_NITER_16,
};
extern const char *const lora_init_choices[]; /* PEFT's names of them: for OPT_CHOICE */

/*
 * Whether the adapter begins as a part of the base, which PEFT takes out of the base. Here the base
 * stays: the pair has a second half [A0; B0] that is constant (lora_pair.fixed) and takes it out,
 * W + scale (B A - B0 A0). What is saved so is a plain LoRA of rank 2 r, what PEFT's
 * path_initial_model_for_weight_conversion makes.
 */
bool lora_init_is_part(enum lora_init how);

/* A function of the seed and of each pair's place in the model alone. For one that is a part of the
 * base: lora_init_part. */
int lora_init(struct lora *l, enum lora_init how, uint64_t seed, struct err *err);
/* Random stream of a pair's values; other users of the seed keep away from these. */
static inline uint64_t lora_init_stream(const struct lora_pair *p)
{
    return ((uint64_t)0x6c6f7261 << 32) + slot_stream(p->slot, p->layer);
}

/* Parts of the decoder's matrices for pairs whose second half is fixed. */
int lora_init_part(struct lora *l, struct decoder *d, enum lora_init how, uint64_t seed,
                   size_t threads, struct err *err);

#endif
