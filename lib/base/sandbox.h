/*
 * sandbox: what this process may still do, by Linux's Landlock and seccomp, where the kernel has
 * them.
 *
 * A process that has gone into its sandbox opens files for reading only where it was allowed to,
 * writes only where it was allowed to, reaches no network, runs no other program unless that was
 * asked for, and can't see into other processes. What was open before stays usable: descriptors
 * from outside, pipes too. Nothing leads out again; threads and processes that it starts are in it.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

struct sandbox;

/* NULL where the kernel has no Landlock. */
struct sandbox *sandbox_new(void);
void sandbox_free(struct sandbox *s); /* NULL is allowed */

/* A file, or a folder and all below it, to be read; a path that isn't there is none. Symbolic links
 * are followed here and now: it's what they lead to that may be read. */
void sandbox_allow_read(struct sandbox *s, const char *path);
/* As well what the symbolic links in the folder, and in the folders in it, lead to. */
void sandbox_allow_links(struct sandbox *s, const char *folder);
/* To be run as a program. */
void sandbox_allow_run(struct sandbox *s, const char *path);
/* A file, device or pipe that is there, to be written as it is. */
void sandbox_allow_write(struct sandbox *s, const char *path);
/* All below a folder, to be made, written, renamed and removed. */
void sandbox_allow_change(struct sandbox *s, const char *folder);

/* Into the sandbox, with all threads. `runs`: other programs may be run. Where s is NULL there
 * remain the limits on system calls; *complete says whether all of it could be done. */
int sandbox_enter(const struct sandbox *s, bool runs, bool *complete, struct err *err);

#endif
