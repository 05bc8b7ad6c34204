#include "base/outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

static char *join(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%s", folder, name);
    return buf_detach(&b, NULL);
}

/* Whether the folder holds plain files only, and how many; *marked: one of them is named mark. */
static int look_inside(const char *path, const char *mark, size_t *n, bool *plain, bool *marked,
                       struct err *err)
{
    DIR *dir = opendir(path);
    *n = 0;
    *plain = true;
    *marked = false;
    if (!dir)
        return err_errno(err, "%s", path);
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        struct stat st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        ++*n;
        char *file = join(path, entry->d_name);
        if (lstat(file, &st) || !S_ISREG(st.st_mode))
            *plain = false;
        else if (!strcmp(entry->d_name, mark))
            *marked = true;
        free(file);
    }
    int status = errno ? err_errno(err, "%s", path) : 0;
    closedir(dir);
    return status;
}

/* What may be put in the place of what stands there. */
static int check_place(struct outdir *d, bool replace, const char *mark, struct err *err)
{
    struct stat st;
    size_t n;
    bool plain, marked;
    if (lstat(d->path, &st))
        return errno == ENOENT ? 0 : err_errno(err, "%s", d->path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, "%s: is there and no folder", d->path);
    if (look_inside(d->path, mark, &n, &plain, &marked, err))
        return -1;
    if (!n)
        return 0;
    if (!replace)
        return err_set(err, "%s: is there and not empty (--force replaces it)", d->path);
    if (!plain || !marked)
        return err_set(err, "%s: is not replaced: it has no %s, or it holds more than plain files",
                       d->path, mark);
    d->replace = true;
    return 0;
}

int outdir_open(struct outdir *d, const char *path, bool replace, const char *mark, struct err *err)
{
    struct buf tmp = BUF_INIT;
    size_t len = strlen(path);
    *d = (struct outdir){0};
    while (len > 1 && path[len - 1] == '/')
        len--;
    d->path = xmemdup0(path, len);
    if (check_place(d, replace, mark, err)) {
        outdir_abandon(d);
        return -1;
    }
    buf_addf(&tmp, "%s.%ld.tmp", d->path, (long)getpid());
    char *slash = strrchr(d->path, '/');
    if (slash && slash != d->path) {
        *slash = 0;
        int status = directory_make(d->path, err);
        *slash = '/';
        if (status) {
            buf_release(&tmp);
            outdir_abandon(d);
            return -1;
        }
    }
    d->tmp = buf_detach(&tmp, NULL);
    outfile_pending_add(d->tmp);
    if (mkdir(d->tmp, 0777)) {
        err_errno(err, "%s", d->tmp);
        outdir_abandon(d);
        return -1;
    }
    return 0;
}

const char *outdir_file(struct outdir *d, const char *name)
{
    ARRAY_GROW(d->files, d->n, d->cap);
    d->files[d->n] = join(d->tmp, name);
    outfile_pending_add(d->files[d->n]);
    return d->files[d->n++];
}

static void forget(struct outdir *d)
{
    for (size_t i = 0; i < d->n; i++) {
        outfile_pending_drop(d->files[i]);
        free(d->files[i]);
    }
    if (d->tmp)
        outfile_pending_drop(d->tmp);
    free(d->files);
    free(d->tmp);
    free(d->path);
    *d = (struct outdir){0};
}

static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Removes a folder of plain files. */
static void remove_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        char *file = join(path, entry->d_name);
        unlink(file); /* fails on "." and ".." */
        free(file);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

int outdir_commit(struct outdir *d, struct err *err)
{
    sync_directory(d->tmp);
    /* Swapping the two names leaves no moment without a folder under the final one. */
    if (d->replace ? renameat2(AT_FDCWD, d->tmp, AT_FDCWD, d->path, RENAME_EXCHANGE)
                   : rename(d->tmp, d->path)) {
        err_errno(err, "%s", d->path);
        outdir_abandon(d);
        return -1;
    }
    if (d->replace)
        remove_folder(d->tmp);
    char *slash = strrchr(d->path, '/');
    if (slash)
        *slash = 0;
    sync_directory(!slash ? "." : slash == d->path ? "/" : d->path);
    forget(d);
    return 0;
}

void outdir_abandon(struct outdir *d)
{
    for (size_t i = 0; i < d->n; i++)
        unlink(d->files[i]);
    if (d->tmp)
        rmdir(d->tmp);
    forget(d);
}
