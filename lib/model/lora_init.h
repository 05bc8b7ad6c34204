/*
 * lora_init: the first values of a new adapter.
 */
#ifndef MODEL_LORA_INIT_H
#define MODEL_LORA_INIT_H

#include <stdint.h>

#include "base/err.h"
#include "model/lora.h"

enum lora_init {
    LORA_INIT_DEFAULT,    /* A uniform in +-1/sqrt(in), B zero: PEFT's default */
    LORA_INIT_GAUSSIAN,   /* A normal with deviation 1/r, B zero */
    LORA_INIT_ORTHOGONAL, /* A and B not zero, but B A is: rows of orthogonal matrices; r even */
};
extern const char *const lora_init_choices[]; /* PEFT's names of them: for OPT_CHOICE */

/* A function of the seed and of each pair's place in the model alone. */
int lora_init(struct lora *l, enum lora_init how, uint64_t seed, struct err *err);

#endif
