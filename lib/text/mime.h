/*
 * mime: messages and their parts (RFC 5322, 2045 to 2047, 2231), as views of the bytes they lie in.
 *
 * Written for what comes out of mailboxes: fields that break the rules are read as far as they can
 * be. Nothing is copied but values that are asked for.
 */
#ifndef TEXT_MIME_H
#define TEXT_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* A message, or a part of one: fields, an empty line, the body. */
struct mime_part {
    const char *fields, *body;
    size_t fields_len, body_len;
};
void mime_split(struct mime_part *part, const char *p, size_t len);

/* The first field of that name as UTF-8 on one line, its encoded words decoded; false if there is
 * none, or nothing in it. `value` is cleared first. */
bool mime_field(const struct mime_part *part, const char *name, struct buf *value);

/* What a part says of itself. */
struct mime_kind {
    struct buf type;     /* "text/plain": in lower case, never empty */
    struct buf charset;  /* as it stands there; empty: not said */
    struct buf boundary; /* of a multipart */
    struct buf name;     /* a file's, in UTF-8; empty: none */
    char transfer;       /* 'b' base64, 'q' quoted-printable, 0 as it is, '?' unknown */
    bool attachment;
    bool flowed, delsp; /* format=flowed (RFC 3676) */
};
void mime_kind_init(struct mime_kind *k);
void mime_kind_release(struct mime_kind *k);
void mime_kind_read(struct mime_kind *k, const struct mime_part *part);

/* Appends the body with its transfer encoding undone. What isn't of the encoding is passed over, as
 * RFC 2045 has it. Fails on an encoding that isn't known. */
int mime_decode(struct buf *out, const struct mime_part *part, const struct mime_kind *kind,
                struct err *err);

/* The parts of a multipart, one after the other. */
struct mime_parts {
    const char *p, *end;
    const struct buf *boundary;
    bool begun, inner;
};
/* `inner`: it is a part itself, so that its own end may be missing: that of its part is there. */
void mime_parts_init(struct mime_parts *parts, const struct mime_part *multipart,
                     const struct mime_kind *kind, bool inner);
/* 1, 0 at the end, -1 if the last part has none: the message was cut off. */
int mime_parts_next(struct mime_parts *parts, struct mime_part *part, struct err *err);

/* Makes paragraphs of lines that were folded for format=flowed, in place. */
void mime_unfold(struct buf *text, bool delsp);

#endif
