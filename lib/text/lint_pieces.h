/*
 * lint_pieces: every text in a document, and what it is there for.
 */
#ifndef TEXT_LINT_PIECES_H
#define TEXT_LINT_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "formats/document.h"

struct lint_piece {
    size_t start, len; /* in the pieces' text, which is UTF-8 */
    const char *key;   /* "text", "messages" ... */
    size_t message;    /* key[message]; SIZE_MAX: none */
    const char *part;  /* "content" ...; NULL: none */
    bool learnt;       /* by what ft-tok does with no options */
    bool system;       /* a frame around every question, by which documents aren't compared */
    bool is_call;      /* JSON of tool calls */
};

struct lint_pieces {
    struct lint_piece *items;
    size_t n, cap;
    struct buf text;
};

void lint_pieces_init(struct lint_pieces *p);
void lint_pieces_release(struct lint_pieces *p);

/* Of a document of any shape but ids, which has no pieces. Clears before. */
void lint_pieces_read(struct lint_pieces *p, const struct document *d);
/* "messages[2].content" into out, which it clears. */
void lint_piece_where(const struct lint_piece *piece, struct buf *out);

#endif
