/*
 * encoding: bytes of a text file to UTF-8.
 */
#ifndef TEXT_ENCODING_H
#define TEXT_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

bool utf8_is_valid(const char *p, size_t len);

/* True for what is no text: a NUL that no UTF-16 or UTF-32 byte order mark explains, or more than
 * one other control character in a hundred bytes. */
bool encoding_is_binary(const char *p, size_t len);

/*
 * Appends p[len] to out as UTF-8. A byte order mark decides and is dropped; else `charset` (NULL:
 * none declared; a label as in HTML); else UTF-8 if the bytes are that; else Windows-1252.
 * *used is the name of the encoding unless it is UTF-8, when it is NULL; *guessed says that nothing
 * declared it. What the encoding has no meaning for becomes U+FFFD. Fails on an unknown label, and
 * then nothing has been added.
 */
int encoding_decode(struct buf *out, const char *p, size_t len, const char *charset,
                    const char **used, bool *guessed, struct err *err);

/* Makes every line end in \n alone, in place. */
void encoding_unix_lines(struct buf *text);

#endif
