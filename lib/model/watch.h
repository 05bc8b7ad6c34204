/*
 * watch: what is read off the whole distributions while batches are predicted: measures of every
 * target, and the distributions themselves for a file or against one.
 */
#ifndef MODEL_WATCH_H
#define MODEL_WATCH_H

#include "base/err.h"
#include "formats/logits.h"
#include "model/decoder.h"
#include "model/measure.h"

struct watch;

/* sides [n_sides]; save takes the only side's, other comes before it. Both may be NULL. */
struct watch *watch_new(struct decoder *d, const struct lora *const *sides, size_t n_sides,
                        struct logits_writer *save, struct logits_reader *other);
void watch_free(struct watch *w); /* NULL is allowed */

int watch_run(struct watch *w, const struct batch *b, struct err *err);
/* Of the last batch's targets in order, by one side; `other` is the first. */
const struct measured_token *watch_measured(const struct watch *w, size_t side);

#endif
