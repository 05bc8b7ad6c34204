/*
 * codepage: Windows' numbers of encodings, and of the character sets that fonts are for.
 */
#ifndef TEXT_CODEPAGE_H
#define TEXT_CODEPAGE_H

#include <stddef.h>

#include "base/buf.h"

/* The code page of a font's character set (204 is Cyrillic, 1251); `otherwise` for one that leaves
 * it open. */
unsigned codepage_of_charset(int charset, unsigned otherwise);

/* Appends p[len] as UTF-8; an unknown code page is taken for 1252. */
void codepage_convert(struct buf *out, const char *p, size_t len, unsigned codepage);

#endif
