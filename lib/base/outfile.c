#include "base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"

enum { TOGETHER = 64 << 10 }; /* bytes that wait */

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

/* The one that writes to stdout, whose last bytes go out however the program ends. */
static struct outfile *to_stdout;

static void flush_stdout(void)
{
    if (to_stdout)
        outfile_flush(to_stdout, NULL);
}

static void release(struct outfile *o)
{
    if (o == to_stdout)
        to_stdout = NULL;
    if (o->tmp)
        outfile_pending_drop(o->tmp);
    free(o->waiting);
    free(o->tmp);
    free(o->path);
    *o = (struct outfile){.fd = -1};
}

bool outfile_in_place(const char *path)
{
    struct stat st;
    if (stat(path, &st))
        return false;
    return !S_ISREG(st.st_mode) || !strncmp(path, "/dev/", 5) || !strncmp(path, "/proc/", 6);
}

static int open_stdout(struct outfile *o, struct err *err)
{
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0 || fflush(stdout))
        return err_errno(err, "stdout");
    o->fd = STDOUT_FILENO;
    o->path = xstrdup("stdout");
    o->at_once = isatty(o->fd);
    static bool registered;
    if (!registered)
        atexit(flush_stdout);
    registered = true;
    to_stdout = o;
    return 0;
}

int outfile_open(struct outfile *o, const char *path, struct err *err)
{
    *o = (struct outfile){.fd = -1};
    if (!path || !strcmp(path, "-"))
        return open_stdout(o, err);
    o->path = xstrdup(path);
    if (outfile_in_place(path)) {
        o->fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    } else {
        struct buf tmp = BUF_INIT;
        buf_addf(&tmp, "%s.%ld.tmp", path, (long)getpid());
        o->tmp = buf_detach(&tmp, NULL);
        outfile_pending_add(o->tmp);
        o->fd = open(o->tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (o->fd >= 0)
        return 0;
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
    const size_t out = o->written - o->n_waiting;
    if (!o->tmp || out - o->started < PIECE)
        return;
    sync_file_range(o->fd, (off_t)o->started, (off_t)(out - o->started), SYNC_FILE_RANGE_WRITE);
    o->started = out;
#else
    (void)o;
#endif
}

int outfile_flush(struct outfile *o, struct err *err)
{
    const size_t n = o->n_waiting;
    o->n_waiting = 0;
    return n && fd_write(o->fd, o->waiting, n) ? err_errno(err, "%s: writing", o->path) : 0;
}

int outfile_write(struct outfile *o, const void *p, size_t len, struct err *err)
{
    if (o->n_waiting + len > TOGETHER && outfile_flush(o, err))
        return -1;
    if (o->at_once || len >= TOGETHER) {
        if (fd_write(o->fd, p, len))
            return err_errno(err, "%s: writing", o->path);
    } else if (len) {
        if (!o->waiting)
            o->waiting = xmalloc(TOGETHER);
        memcpy(o->waiting + o->n_waiting, p, len);
        o->n_waiting += len;
    }
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

static int fsync_again(int fd)
{
    int status;
    do
        status = fsync(fd);
    while (status && errno == EINTR);
    return status;
}

/* Closing finds errors that a network file system reports late. */
static int close_checked(struct outfile *o)
{
    int fd = o->fd;
    o->fd = -1;
    return close(fd) && errno != EINTR ? -1 : 0; /* it is closed after EINTR too */
}

int outfile_commit(struct outfile *o, struct err *err)
{
    if (outfile_flush(o, err)) {
        outfile_abandon(o);
        return -1;
    }
    if ((o->tmp && fsync_again(o->fd)) || close_checked(o) || (o->tmp && rename(o->tmp, o->path))) {
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
    if (!o->path)
        return;
    if (o->fd == STDOUT_FILENO)
        outfile_flush(o, NULL);
    else if (o->fd >= 0)
        close(o->fd);
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
