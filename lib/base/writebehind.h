/*
 * writebehind: writing on a thread of its own, while the caller fills the next buffer.
 */
#ifndef BASE_WRITEBEHIND_H
#define BASE_WRITEBEHIND_H

#include <stddef.h>

#include "base/err.h"

/* What a buffer's bytes are handed to, on the other thread; called in order, never twice at once.
 */
typedef int writebehind_fn(void *arg, const void *p, size_t len, struct err *err);

struct writebehind;

int writebehind_new(struct writebehind **w, writebehind_fn *write, void *arg, struct err *err);
/* A free buffer of `size` bytes, with anything in it; waits for one. NULL when a write has failed
 * or memory is out. */
void *writebehind_buffer(struct writebehind *w, size_t size, struct err *err);
/* Has the first len bytes of that buffer written. */
void writebehind_submit(struct writebehind *w, size_t len);
/* Waits until all is written, and frees w. -1 with its message if a write failed. */
int writebehind_finish(struct writebehind *w, struct err *err);

#endif
