/*
 * outfile: an output that appears whole or not at all.
 *
 * A named output is written beside its place under a temporary name and renamed by outfile_commit
 * after fsync; an error, an exit or a signal leaves nothing. NULL or "-" is stdout, where commit
 * flushes and checks. A name that is no regular file (/dev/null, a pipe) is written as it is.
 */
#ifndef BASE_OUTFILE_H
#define BASE_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct outfile {
    int fd;
    char *path;    /* final name; "stdout" for stdout; NULL: not open */
    char *tmp;     /* temporary name, NULL when written in place */
    char *waiting; /* [n_waiting] small writes that go out together */
    size_t n_waiting;
    bool at_once;            /* a terminal, where nothing waits */
    size_t written, started; /* bytes by outfile_write, and those that the disk was told of */
};

/* Whether something that is no regular file stands there, or a device's name for one (/dev/stdout):
 * it is written as it is. */
bool outfile_in_place(const char *path);
int outfile_open(struct outfile *o, const char *path, struct err *err);
int outfile_write(struct outfile *o, const void *p, size_t len, struct err *err);
/* Everything written so far goes to the file or pipe. */
int outfile_flush(struct outfile *o, struct err *err);
/* Flush, fsync, close, rename; every failure is reported and removes the temporary file. */
int outfile_commit(struct outfile *o, struct err *err);
void outfile_abandon(struct outfile *o); /* closes and removes; safe on a committed outfile */

/* Writes a whole small file by the same rules. */
int file_write(const char *path, const void *p, size_t len, struct err *err);

/* Removes the temporary files and folders of every open outfile and outdir: only async-signal-safe
 * calls inside. */
void outfile_remove_all(void);
/* Puts a path that stays the caller's on that list, and takes it off. */
void outfile_pending_add(char *tmp);
void outfile_pending_drop(const char *tmp);

/*
 * A folder that appears whole or not at all: its files are written into a temporary folder beside
 * it, which outdir_commit renames; an error, an exit or a signal leaves nothing.
 */
struct outdir {
    char *path, *tmp;
    char **files; /* [n]: paths inside tmp */
    size_t n, cap;
    bool replace; /* a folder stands there that the commit puts this one in the place of */
};

/* path may be an empty folder. Anything else that is there is an error, but with `replace` a folder
 * that holds plain files only, among them one named `mark`, as an earlier result does. */
int outdir_open(struct outdir *d, const char *path, bool replace, const char *mark,
                struct err *err);
/* Where to write a file of that name: a view, valid until the commit. */
const char *outdir_file(struct outdir *d, const char *name);
int outdir_commit(struct outdir *d, struct err *err); /* abandons on failure */
void outdir_abandon(struct outdir *d);                /* safe on a committed or zeroed outdir */

/* mkdir -p. */
int directory_make(const char *path, struct err *err);

#endif
