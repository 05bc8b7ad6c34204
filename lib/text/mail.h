/*
 * mail: the text of a message, and the files that come with it.
 */
#ifndef TEXT_MAIL_H
#define TEXT_MAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "text/encoding.h"
#include "text/prose_text.h"

/* Whether the bytes begin like a message, or like a mailbox of messages. */
bool mail_begins(const char *p, size_t len);
bool mbox_begins(const char *p, size_t len);

/* What isn't the message's own text. -1 ends the reading. */
struct mail_sink {
    /* A file in the message; the bytes live until the function returns. The name is never empty and
     * has no slash. */
    int (*file)(void *arg, const char *name, const char *p, size_t len, struct err *err);
    /* A part that has no text: a signature, an invitation. */
    void (*passed_over)(void *arg, const char *type);
    void *arg;
};

/*
 * Appends the subject as a heading of level 1 and the text below it. Of alternatives the plain text
 * is taken, unless it is missing or less than a quarter of what the HTML says. The other fields are
 * left out. `otherwise` and `how` are as for encoding_decode.
 */
int extract_mail(struct prose_text *t, const char *p, size_t len, const char *otherwise,
                 struct encoding *how, const struct mail_sink *sink, struct err *err);

/*
 * The next message of a mailbox (mboxrd, mboxo), from *at on: false at the end. `message` is
 * cleared first; "From " lines that were quoted are whole again.
 */
bool mbox_next(const char *p, size_t len, size_t *at, struct buf *message);

#endif
