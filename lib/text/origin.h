/*
 * origin: what a stream's header says of the model that its ids belong to.
 */
#ifndef TEXT_ORIGIN_H
#define TEXT_ORIGIN_H

#include "base/err.h"
#include "formats/stream.h"

struct tokenizer;

/*
 * Fills the tokenizer's hash, vocab_size, bos and eos of h from a model: a folder with config.json,
 * a tokenizer or both, a .gguf file, or a file with a tokenizer. No weights are read. vocab_size is the model's, the rows of
 * its embedding, or else the tokenizer's; so are bos and eos. t is the model's tokenizer where the
 * caller has it, or NULL.
 *
 * A model without a tokenizer has the hash "". Returns 1 for one whose tokenizer cannot be read,
 * with the reason in err: its ids are still ids, whoever made them.
 */
int origin_of_model(struct stream_header *h, const char *model, const struct tokenizer *t,
                    struct err *err);

#endif
