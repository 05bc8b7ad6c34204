/* JSON Lines of ids into a corpus: corpus.c's other half. */
#ifndef FORMATS_CORPUS_JSON_H
#define FORMATS_CORPUS_JSON_H

#include "formats/corpus.h"

/* What an input's documents are, which the first one says for all. */
int corpus_take_kind(struct corpus *c, enum stream_kind kind, struct err *err);

int corpus_read_json(struct corpus *c, struct input *in, struct err *err);

#endif
