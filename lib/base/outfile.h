/*
 * outfile: an output that appears whole or not at all.
 *
 * A named output is written beside its place under a temporary name and renamed by outfile_commit
 * after fsync; an error, an exit or a signal leaves nothing. NULL or "-" is stdout, where commit
 * flushes and checks. A name that is no regular file (/dev/null, a pipe) is written as it is.
 */
#ifndef BASE_OUTFILE_H
#define BASE_OUTFILE_H

#include <stdio.h>

#include "base/err.h"

struct outfile {
    FILE *fp;   /* write here */
    char *path; /* final name; "stdout" for stdout */
    char *tmp;  /* temporary name, NULL when written in place */
};

int outfile_open(struct outfile *o, const char *path, struct err *err);
int outfile_write(struct outfile *o, const void *p, size_t len, struct err *err);
/* Flush, fsync, close, rename; every failure is reported and removes the temporary file. */
int outfile_commit(struct outfile *o, struct err *err);
void outfile_abandon(struct outfile *o); /* closes and removes; safe on a committed outfile */

/* Writes a whole small file by the same rules. */
int file_write(const char *path, const void *p, size_t len, struct err *err);

/* Removes the temporary files of every open outfile: only async-signal-safe calls inside. */
void outfile_remove_all(void);

/* mkdir -p. */
int directory_make(const char *path, struct err *err);

#endif
