/*
 * document_id: names of documents: the path as it was given, the path inside the archive behind it.
 */
#ifndef TEXT_DOCUMENT_ID_H
#define TEXT_DOCUMENT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/program.h"

/*
 * Appends path to id, a '/' between them: without "." components, doubled or trailing slashes. A
 * leading '/' stays where id is empty and `member` is false. Bytes that are no UTF-8 become %XX.
 */
void document_id_add(struct buf *id, const char *path, bool member);

/* Whether a component of an archive member's path begins with a dot, or is what macOS adds. */
bool path_is_hidden(const char *path);

/* Whether a pattern (as in a shell, '*' also matching '/') matches the id or what is behind one of
 * its slashes. */
bool id_matches(const struct string_list *patterns, const char *id);

/* Ids that have been given away. */
struct id_set {
    uint64_t *slots; /* hashes, 0 for free */
    size_t n, cap;
};

/* Makes id one that the set doesn't have, by "#2", "#3" ..., and adds it. */
void id_set_claim(struct id_set *set, struct buf *id);
void id_set_release(struct id_set *set);

#endif
