/*
 * mime_words: what stands in a MIME field or body, decoded: encoded words, parameters, transfer
 * encodings.
 */
#ifndef TEXT_MIME_WORDS_H
#define TEXT_MIME_WORDS_H

#include <stddef.h>

#include "base/buf.h"

/* Appends the UTF-8 of a field's value on one line: encoded words (RFC 2047), a character cut apart
 * by two of them too; bytes beyond ASCII are UTF-8 or guessed. */
void mime_words_decode(struct buf *out, const char *p, size_t len);

/* The value of a parameter in `field`, "type; name=value; name*=utf-8''value; name*0=..." (RFC 2045
 * and 2231), in UTF-8. `out` is cleared first; it stays empty when there is no such parameter. */
void mime_parameter(struct buf *out, const char *field, const char *name);

/* Appends what is encoded; characters that no encoder writes are passed over. */
void mime_base64(struct buf *out, const char *p, size_t len);
void mime_quoted_printable(struct buf *out, const char *p, size_t len);

#endif
