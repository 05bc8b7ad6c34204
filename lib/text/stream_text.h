/*
 * stream_text: the documents of a stream as text, what is trained between U+27E6 and U+27E7.
 */
#ifndef TEXT_STREAM_TEXT_H
#define TEXT_STREAM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/stream.h"
#include "text/tokenizer.h"

/* A title line and the text of document i of a record of a stream of that kind, whose tokens begin
 * at `at` and which is record number `row`. */
int stream_text_add(struct buf *out, const struct tokenizer *t, const struct stream_record *r,
                    enum stream_kind kind, size_t i, size_t at, uint64_t row, struct err *err);

#endif
