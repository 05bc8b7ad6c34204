/* What the files harvest*.c share. */
#ifndef TEXT_HARVEST_INTERNAL_H
#define TEXT_HARVEST_INTERNAL_H

#include "base/buf.h"
#include "formats/archive.h"
#include "formats/document.h"
#include "text/document_id.h"
#include "text/harvest.h"

struct harvest {
    struct harvest_options options;
    struct harvest_sink sink;
    struct harvest_result result;
    struct id_set ids;
    struct document document; /* a record, while its shape is checked */
    struct buf source;        /* the operand that is being read */
    /* Of the file that is being read, with all that's in it: */
    uint64_t packed;   /* its size, as far as it's known */
    uint64_t expanded; /* bytes that came out of archives */
    bool exhausted;    /* it expanded too far */
};

/* A file or member on its way: what it is called, and how deep in archives it lies. */
struct harvest_item {
    const char *id;
    bool operand; /* it is the operand itself */
    int nesting;
};

/* Something can't be read: the message in err is reported (0), or ends the walk if it has to (-1).
 */
int harvest_fail(struct harvest *c, const struct harvest_item *item, const char *reason,
                 struct err *err);

int harvest_too_large(struct harvest *c, const struct harvest_item *item, struct err *err);

/* It is passed over, for that reason: counted and logged. */
void harvest_skip(struct harvest *c, const char *id, const char *reason);
/* It was read. `how`: the encoding of its text, NULL where the format has only one. */
void harvest_log(struct harvest *c, const char *id, const char *type, const struct encoding *how);
bool harvest_is_included(const struct harvest *c, const char *id);

/* harvest_give.c: documents that are ready. `lines`: each line is one. */
int harvest_text(struct harvest *c, const struct harvest_item *item, const struct prose_text *text,
                 bool lines, struct err *err);
bool harvest_looks_like_jsonl(struct harvest *c, const char *p, size_t len);
int harvest_jsonl(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                  struct err *err);

enum { HARVEST_NESTING = 8 }; /* archives and messages in each other */

/* harvest_file.c: a whole file or member, whatever it is; the members of an archive. */
int harvest_bytes(struct harvest *c, const struct harvest_item *item, const char *name,
                  const char *p, size_t len, struct err *err);
int harvest_members(struct harvest *c, const struct harvest_item *item, struct members *m,
                    struct err *err);
/* An encoding that nothing declared is reported, any is logged. */
void harvest_note_encoding(struct harvest *c, const char *id, const char *type,
                           const struct encoding *how);

/* harvest_mail.c: the text of a message and what is attached to it; the messages of a mailbox. */
int harvest_mail(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                 struct err *err);
int harvest_mbox(struct harvest *c, const struct harvest_item *item, const char *p, size_t len,
                 struct err *err);

#endif
