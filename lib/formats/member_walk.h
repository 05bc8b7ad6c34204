/*
 * member_walk: the files inside an archive, and inside the archives inside it, one after the other
 * as they stand there.
 */
#ifndef FORMATS_MEMBER_WALK_H
#define FORMATS_MEMBER_WALK_H

#include <stdbool.h>

#include "base/err.h"
#include "formats/archive.h"

enum { MEMBER_WALK_NESTING = 8 }; /* archives in each other */

struct member_walk;

/* Opens the archive that `in`, which must outlive it, is: 1, 0 if it is none, -1. */
int member_walk_open(struct member_walk **w, struct input *in, struct err *err);
void member_walk_close(struct member_walk *w); /* NULL is allowed */

/*
 * The next file that isn't an archive by its name and its first bytes: 1, 0 at the end, -1. An
 * archive whose own name is hidden is passed over with all that is in it.
 */
int member_walk_next(struct member_walk *w, struct err *err);
/* Of that file: its path in the archive that it is in, and its content, whose name has those of the
 * archives around it in front, at colons. Both the walk's, until the next. */
const char *member_walk_name(const struct member_walk *w);
int member_walk_input(struct member_walk *w, struct input **content, struct err *err);

/* Whether the path is of what programs leave beside files, not of what people put there. */
bool member_is_hidden(const char *path);

#endif
