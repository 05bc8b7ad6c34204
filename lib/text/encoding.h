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

/* True for what is no text: a NUL that neither a byte order mark nor UTF-16 explains, or more than
 * one other control character in a hundred bytes. */
bool encoding_is_binary(const char *p, size_t len);

enum { ENCODING_NAME = 40 };

/* How bytes were read. */
struct encoding {
    char name[ENCODING_NAME]; /* "UTF-8", "WINDOWS-1252" ... */
    bool guessed;             /* nothing declared it, and it isn't whole UTF-8 */
};

/*
 * Appends p[len] to out as UTF-8. A byte order mark decides and is dropped; else `declared` (NULL:
 * nothing was; a label as in HTML, an unknown one is none); else UTF-8 or UTF-16 if the bytes are
 * that; else `otherwise`; else, where that is NULL or unknown, what encoding_guess says. What the
 * encoding has no meaning for becomes U+FFFD. `how` may be NULL.
 */
void encoding_decode(struct buf *out, const char *p, size_t len, const char *declared,
                     const char *otherwise, struct encoding *how);

/* Appends p[len] from an encoding by iconv's name of it. False, having added nothing, if there is
 * none of that name. */
bool encoding_convert(struct buf *out, const char *p, size_t len, const char *charset);

/* Whether there is an encoding of that name. */
bool encoding_is_known(const char *label);

/*
 * The encoding that makes most sense of text which isn't UTF-8, by what letters stand beside each
 * other: of Western, Central and Eastern European, Greek, Chinese, Japanese and Korean ones.
 * Windows-1252 when nothing speaks for another. "UTF-8" if only a few bytes of it are damaged.
 */
const char *encoding_guess(const char *p, size_t len);

/* Makes every line end in \n alone, in place. */
void encoding_unix_lines(struct buf *text);

#endif
