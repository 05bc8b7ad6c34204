/*
 * token_text: tokens as text again, for people and for what follows.
 */
#ifndef TEXT_TOKEN_TEXT_H
#define TEXT_TOKEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/archive.h"
#include "text/chat.h"
#include "text/tokenizer.h"

/* The text of a tokenised document with what is learnt between marks: [[ and ]], or in colour.
 * Tokens that no text stands behind (BOS, EOS) are shown by name. */
int token_text_marked(const struct tokenizer *t, const struct chat_result *r, bool colour,
                      struct buf *out, struct err *err);

/* Decodes every document of an input: a token stream, a shard, or JSON Lines {"id", "ids"}. id is
 * JSON. Takes over `in`. */
int token_text_decode(const struct tokenizer *t, struct input *in, bool skip_special,
                      int (*take)(void *arg, const char *id, const char *text, size_t len,
                                  struct err *err),
                      void *arg, struct err *err);

#endif
