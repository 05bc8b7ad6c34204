#include "base/cachedir.h"

#include <stdlib.h>

bool cachedir_path(struct buf *out)
{
    const char *own = getenv("TUNEUTILS_CACHE"), *caches = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    if (own)
        buf_addstr(out, own);
    else if (caches && *caches == '/')
        buf_addf(out, "%s/tuneutils", caches);
    else if (home && *home == '/')
        buf_addf(out, "%s/.cache/tuneutils", home);
    else
        return false;
    return !own || *own;
}
