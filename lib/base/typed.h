/*
 * typed: lines that somebody types, and Ctrl-C.
 *
 * While one of these is open on a terminal, Ctrl-C doesn't end the program: it drops the line that
 * is being typed, or is there to be asked for by whoever works on an answer. Pressed three times
 * before it is forgotten, it ends the program after all. Where lines come from a
 * file or a pipe, signals do what they always do.
 */
#ifndef BASE_TYPED_H
#define BASE_TYPED_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct typed;

/* One at a time in a process. */
int typed_open(struct typed **t, int fd, struct err *err);
void typed_close(struct typed *t); /* NULL is allowed */
bool typed_on_terminal(const struct typed *t);

enum typed_got {
    TYPED_END,
    TYPED_LINE,
    TYPED_INTERRUPT, /* Ctrl-C; what was typed is gone */
    TYPED_CUT,       /* the terminal has dropped the end of a line that it found too long */
    TYPED_ERROR,
};

/* The next line, without its newline, behind what is in `line`. */
enum typed_got typed_line(struct typed *t, struct buf *line, struct err *err);

bool typed_interrupted(void); /* Ctrl-C was pressed and not forgotten since */
void typed_forget(const struct typed *t);

#endif
