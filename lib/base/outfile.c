#include "base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

/* Temporary names in use, for outfile_remove_all; a slot is claimed before its file exists. */
enum { MAX_PENDING = 1024 };
static char *volatile pending[MAX_PENDING];

void outfile_pending_add(char *tmp)
{
    static bool registered;
    if (!registered) {
        atexit(outfile_remove_all);
        registered = true;
    }
    for (int i = 0; i < MAX_PENDING; i++)
        if (!pending[i]) {
            pending[i] = tmp;
            return;
        }
}

void outfile_pending_drop(const char *tmp)
{
    for (int i = 0; i < MAX_PENDING; i++)
        if (pending[i] == tmp)
            pending[i] = NULL;
}

void outfile_remove_all(void)
{
    for (int i = 0; i < MAX_PENDING; i++) {
        const char *tmp = pending[i];
        if (tmp)
            unlink(tmp);
    }
    for (int i = 0; i < MAX_PENDING; i++) { /* folders, now that their files are gone */
        const char *tmp = pending[i];
        if (tmp)
            rmdir(tmp);
    }
}

static void release(struct outfile *o)
{
    if (o->tmp)
        outfile_pending_drop(o->tmp);
    free(o->tmp);
    free(o->path);
    *o = (struct outfile){0};
}

static bool written_in_place(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int outfile_open(struct outfile *o, const char *path, struct err *err)
{
    *o = (struct outfile){0};
    if (!path || !strcmp(path, "-")) {
        if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
            return err_errno(err, "stdout");
        o->fp = stdout;
        o->path = xstrdup("stdout");
        return 0;
    }
    o->path = xstrdup(path);
    if (written_in_place(path)) {
        o->fp = fopen(path, "we");
        if (o->fp)
            return 0;
    } else {
        struct buf tmp = BUF_INIT;
        buf_addf(&tmp, "%s.%ld.tmp", path, (long)getpid());
        o->tmp = buf_detach(&tmp, NULL);
        outfile_pending_add(o->tmp);
        o->fp = fopen(o->tmp, "w+e");
        if (o->fp)
            return 0;
    }
    err_errno(err, "%s", path);
    release(o);
    return -1;
}

/* Has the disk begin with what was written so far, so that the fsync at the end doesn't find it all
 * still to do. Only advice: what fails here, fsync reports. */
static void start_writing(struct outfile *o)
{
#ifdef SYNC_FILE_RANGE_WRITE
    enum { PIECE = 8 << 20 };
    if (!o->tmp || o->written - o->started < PIECE || fflush(o->fp))
        return;
    sync_file_range(fileno(o->fp), (off_t)o->started, (off_t)(o->written - o->started),
                    SYNC_FILE_RANGE_WRITE);
    o->started = o->written;
#else
    (void)o;
#endif
}

int outfile_write(struct outfile *o, const void *p, size_t len, struct err *err)
{
    if (fwrite(p, 1, len, o->fp) != len)
        return err_errno(err, "%s: writing", o->path);
    o->written += len;
    start_writing(o);
    return 0;
}

/* A rename is only durable once its directory is. A file system that can't sync one is no error. */
static void sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? xmemdup0(path, (size_t)(slash - path) + 1) : xstrdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

int outfile_commit(struct outfile *o, struct err *err)
{
    bool failed = ferror(o->fp) != 0;
    if (fflush(o->fp))
        failed = true;
    if (o->tmp && !failed && fsync(fileno(o->fp)))
        failed = true;
    int saved = errno;
    /* Closing stdout finds errors that a network file system reports late. */
    if (fclose(o->fp) && !failed) {
        failed = true;
        saved = errno;
    }
    o->fp = NULL;
    if (!failed && o->tmp && rename(o->tmp, o->path)) {
        failed = true;
        saved = errno;
    }
    if (failed) {
        errno = saved ? saved : EIO;
        err_errno(err, "%s: writing", o->path);
        outfile_abandon(o);
        return -1;
    }
    if (o->tmp)
        sync_directory_of(o->path);
    release(o);
    return 0;
}

void outfile_abandon(struct outfile *o)
{
    if (o->fp && o->fp != stdout)
        fclose(o->fp);
    if (o->tmp)
        unlink(o->tmp);
    release(o);
}

int file_write(const char *path, const void *p, size_t len, struct err *err)
{
    struct outfile o;
    if (outfile_open(&o, path, err))
        return -1;
    if (outfile_write(&o, p, len, err)) {
        outfile_abandon(&o);
        return -1;
    }
    return outfile_commit(&o, err);
}

int directory_make(const char *path, struct err *err)
{
    char *copy = xstrdup(path);
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char saved = *p;
        *p = 0;
        struct stat st;
        if (mkdir(copy, 0777) &&
            (errno != EEXIST || (stat(copy, &st) == 0 && !S_ISDIR(st.st_mode)))) {
            err_errno(err, "%s", copy);
            free(copy);
            return -1;
        }
        *p = saved;
        if (!saved)
            break;
    }
    free(copy);
    return 0;
}
