/*
 * cachedir: where this user's caches are.
 *
 * $TUNEUTILS_CACHE, and none where that is empty; else tuneutils in $XDG_CACHE_HOME, if that is an
 * absolute path, or in ~/.cache. Whatever lies there may be removed at any time.
 */
#ifndef BASE_CACHEDIR_H
#define BASE_CACHEDIR_H

#include <stdbool.h>

#include "base/buf.h"

/* Appends the folder, which need not be there; false where there is to be none. */
bool cachedir_path(struct buf *out);

#endif
