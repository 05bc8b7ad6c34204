#include "base/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/sandbox_calls.h"

#if defined __linux__ && !defined SANDBOX_NOT_HERE && __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#include <sys/syscall.h>

/* What older headers don't have. */
#define ACCESS_REFER (1ULL << 13)
#define ACCESS_TRUNCATE (1ULL << 14)
#define ACCESS_IOCTL_DEV (1ULL << 15)
#define NET_BIND_CONNECT 3ULL

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE)
#define CHANGES                                                                                    \
    (READS | WRITES | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |             \
     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_REFER)
#define OF_FILES                                                                                   \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | WRITES | ACCESS_IOCTL_DEV)

/* As the kernel's, which has grown. */
struct ruleset_attr {
    uint64_t files, net;
};

struct sandbox {
    int fd;         /* of the ruleset */
    uint64_t files; /* accesses that this kernel knows */
};

struct sandbox *sandbox_new(void)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return NULL;
    struct ruleset_attr attr = {.files = (1ULL << 13) - 1};
    if (version >= 2)
        attr.files |= ACCESS_REFER;
    if (version >= 3)
        attr.files |= ACCESS_TRUNCATE;
    if (version >= 4)
        attr.net = NET_BIND_CONNECT;
    if (version >= 5)
        attr.files |= ACCESS_IOCTL_DEV;
    const size_t size = version >= 4 ? sizeof attr : sizeof attr.files;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0U);
    if (fd < 0)
        return NULL;
    struct sandbox *s = xmalloc(sizeof *s);
    *s = (struct sandbox){fd, attr.files};
    return s;
}

void sandbox_free(struct sandbox *s)
{
    if (s)
        close(s->fd);
    free(s);
}

static void allow_at(struct sandbox *s, int folder, const char *path, uint64_t access)
{
    struct stat st;
    int fd = s ? openat(folder, path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = access & s->files & (S_ISDIR(st.st_mode) ? ~0ULL : OF_FILES),
            .parent_fd = fd};
        /* Fails on pipes and sockets, which need no rule. */
        syscall(SYS_landlock_add_rule, s->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U);
    }
    close(fd);
}

static int restrict_thread(const struct sandbox *s)
{
    return (int)syscall(SYS_landlock_restrict_self, s->fd, 0U);
}

#else

#define READS 0
#define WRITES 0
#define CHANGES 0
#define LANDLOCK_ACCESS_FS_EXECUTE 0

struct sandbox *sandbox_new(void)
{
    return NULL;
}

void sandbox_free(struct sandbox *s)
{
    (void)s;
}

static void allow_at(struct sandbox *s, int folder, const char *path, uint64_t access)
{
    (void)s, (void)folder, (void)path, (void)access;
}

static int restrict_thread(const struct sandbox *s)
{
    (void)s;
    return -1;
}

#endif

void sandbox_allow_read(struct sandbox *s, const char *path)
{
    allow_at(s, AT_FDCWD, path, READS);
}

void sandbox_allow_run(struct sandbox *s, const char *path)
{
    allow_at(s, AT_FDCWD, path, READS | LANDLOCK_ACCESS_FS_EXECUTE);
}

void sandbox_allow_write(struct sandbox *s, const char *path)
{
    allow_at(s, AT_FDCWD, path, WRITES);
}

void sandbox_allow_change(struct sandbox *s, const char *folder)
{
    allow_at(s, AT_FDCWD, folder, CHANGES);
}

/* A model's folder has few files; one with more is no model's. */
enum { MOST_ENTRIES = 10000 };

static void allow_links(struct sandbox *s, const char *folder, int deeper)
{
    struct buf path = BUF_INIT;
    struct dirent *entry;
    struct stat st;
    DIR *dir = s ? opendir(folder) : NULL;
    for (int n = 0; dir && n < MOST_ENTRIES && (entry = readdir(dir)); n++) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        buf_clear(&path);
        buf_addf(&path, "%s/%s", folder, entry->d_name);
        if (S_ISLNK(st.st_mode))
            sandbox_allow_read(s, path.p);
        if (S_ISDIR(st.st_mode) && deeper)
            allow_links(s, path.p, deeper - 1);
    }
    if (dir)
        closedir(dir);
    buf_release(&path);
}

void sandbox_allow_links(struct sandbox *s, const char *folder)
{
    allow_links(s, folder, 1);
}

static int restrict_one(const void *arg)
{
    return restrict_thread(arg);
}

int sandbox_enter(const struct sandbox *s, bool runs, bool *complete, struct err *err)
{
    *complete = s != NULL;
    if (sandbox_no_new_privileges())
        return err_errno(err, "no_new_privs");
    if (s && sandbox_in_all_threads(restrict_one, s, err))
        return -1;
    if (sandbox_limit_calls(runs))
        *complete = false;
    return 0;
}
