/*
 * tokenised: a document with its tokens, and how it goes into a stream or a line of JSON.
 */
#ifndef TEXT_TOKENISED_H
#define TEXT_TOKENISED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/document_source.h"
#include "formats/stream.h"
#include "text/chat.h"

struct tokenised {
    struct document_place place;
    uint64_t number; /* among all documents, from 0 */
    struct document document;
    struct chat_result results[2]; /* [tokenised_count]: of a preference the chosen, the rejected */
};

/* 2 for a preference, else 1. */
size_t tokenised_count(const struct tokenised *t);
/* The kind of stream that it belongs into. */
enum stream_kind tokenised_kind(const struct tokenised *t);
size_t tokenised_trained(const struct tokenised *t);
/* Whether there is something to put into a stream: tokens; of answers to compare, trained ones in
 * each. */
bool tokenised_is_usable(const struct tokenised *t);

/* One that is usable as a record, which is cleared before. A document without id gets its number.
 */
int tokenised_record(const struct tokenised *t, struct stream_record *r, struct err *err);

/* {"id","ids","trained",...} and a newline, as ft-pack(1) reads it. */
void tokenised_json(const struct tokenised *t, struct buf *out);
/* Its id as JSON, else its number. */
void tokenised_id(const struct tokenised *t, struct buf *out);

#endif
