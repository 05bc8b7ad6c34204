#undef ANALYSED /* the functions themselves */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks a message that did not fit, and keeps it one line whatever bytes a file name brought in. */
static void finish(char *msg, size_t size, size_t wanted)
{
    if (wanted >= size)
        memcpy(msg + size - 4, "...", 4);
    for (; *msg; msg++)
        if ((unsigned char)*msg < ' ' || *msg == 0x7f)
            *msg = '?';
}

int err_set(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    finish(err->msg, sizeof err->msg, n < 0 ? 0 : (size_t)n);
    return -1;
}

int err_errno(struct err *err, const char *fmt, ...)
{
    int saved = errno;
    if (!err)
        return -1;
    char what[sizeof err->msg / 2];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return err_set(err, "%s: %s", what, strerror(saved));
}

int err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return -1;
    char context[sizeof err->msg / 2], msg[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    memcpy(msg, err->msg, sizeof msg);
    return err_set(err, "%s: %s", context, msg);
}
