/*
 * json_strings: long strings on their way around Jansson.
 *
 * Jansson reads a string byte by byte, which for documents costs more than tokenising them. So the
 * long ones are decoded here and left out of the text that Jansson sees, and set into the value
 * that it makes. Everything else, and whether the text is JSON at all, is Jansson's to say.
 */
#ifndef FORMATS_JSON_STRINGS_H
#define FORMATS_JSON_STRINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_span {
    size_t start, len;
};

struct json_strings {
    struct buf text;         /* the JSON without them */
    struct buf bytes;        /* they, decoded */
    struct json_span *spans; /* [n] of bytes */
    size_t n, cap;
};

void json_strings_init(struct json_strings *s);
void json_strings_release(struct json_strings *s);

/* Whether p[len] has long strings and nothing that is in the way; s->text is then what Jansson is
 * to parse. Where it isn't, or where that fails, Jansson must parse p[len]. */
bool json_strings_take(struct json_strings *s, const char *p, size_t len);
/* Puts them into the value that Jansson made of s->text. */
void json_strings_give(const struct json_strings *s, json_t *value);

#endif
