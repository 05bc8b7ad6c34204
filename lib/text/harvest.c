#include "text/harvest_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mapfile.h"
#include "base/mem.h"
#include "text/spool.h"

enum { READ_BLOCK = 64 << 10 };

struct harvest *harvest_new(const struct harvest_options *options, const struct harvest_sink *sink)
{
    struct harvest *c = xcalloc(1, sizeof *c);
    c->options = *options;
    c->sink = *sink;
    buf_init(&c->source);
    document_init(&c->document);
    return c;
}

void harvest_free(struct harvest *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->result.n_skipped; i++)
        free(c->result.skipped[i].what);
    free(c->result.skipped);
    id_set_release(&c->ids);
    document_release(&c->document);
    buf_release(&c->source);
    free(c);
}

const struct harvest_result *harvest_result(const struct harvest *c)
{
    return &c->result;
}

void harvest_count(struct harvest *c, const char *reason)
{
    struct harvest_result *r = &c->result;
    for (size_t i = 0; i < r->n_skipped; i++)
        if (!strcmp(r->skipped[i].what, reason)) {
            r->skipped[i].n++;
            return;
        }
    ARRAY_GROW(r->skipped, r->n_skipped, r->skipped_cap);
    r->skipped[r->n_skipped++] = (struct harvest_count){xstrdup(reason), 1};
}

static void log_entry(struct harvest *c, const struct harvest_log *entry)
{
    if (c->sink.log)
        c->sink.log(c->sink.arg, entry);
}

void harvest_skip(struct harvest *c, const char *id, const char *reason)
{
    harvest_count(c, reason);
    log_entry(c, &(struct harvest_log){.id = id, .skipped = reason});
}

void harvest_log(struct harvest *c, const char *id, const char *type, const struct encoding *how)
{
    log_entry(c, &(struct harvest_log){.id = id,
                                       .type = type,
                                       .encoding = how ? how->name : NULL,
                                       .guessed = how && how->guessed});
}

bool harvest_is_included(const struct harvest *c, const char *id)
{
    return !c->options.include.n || id_matches(&c->options.include, id);
}

int harvest_fail(struct harvest *c, const struct harvest_item *item, const char *reason,
                 struct err *err)
{
    const char *id = *item->id ? item->id : c->source.p;
    log_entry(c, &(struct harvest_log){.id = id, .error = err->msg});
    err_prefix(err, "%s", id);
    if (item->operand)
        c->result.operand_failed = true;
    c->result.unreadable++;
    harvest_count(c, reason);
    if (c->options.strict)
        return -1;
    c->sink.report(c->sink.arg, err->msg);
    return 0;
}

int harvest_too_large(struct harvest *c, const struct harvest_item *item, struct err *err)
{
    err_set(err, "more than %zu bytes; --max-size allows more", c->options.max_size);
    return harvest_fail(c, item, "too large", err);
}

/* Streams: stdin, pipes, devices. */
struct stream {
    struct harvest *c; /* its `packed` grows with what has come */
    int fd;
    const struct buf *head; /* read before */
    size_t head_used;
};

static ssize_t read_some(int fd, void *p, size_t n, struct err *err)
{
    ssize_t got = fd_read(fd, p, n);
    return got < 0 ? err_errno(err, "reading") : got;
}

static ssize_t read_stream(void *arg, void *p, size_t n, struct err *err)
{
    struct stream *s = arg;
    size_t left = s->head->len - s->head_used;
    ssize_t got;
    if (left) {
        got = (ssize_t)(n < left ? n : left);
        memcpy(p, s->head->p + s->head_used, (size_t)got);
        s->head_used += (size_t)got;
    } else {
        got = read_some(s->fd, p, n, err);
    }
    if (got > 0)
        s->c->packed += (uint64_t)got;
    return got;
}

/* Copies what comes to an unlinked temporary file: a zip has its table at the end. */
static int spool(struct stream *s, struct err *err)
{
    char block[READ_BLOCK];
    int fd = spool_open(err);
    if (fd < 0)
        return -1;
    ssize_t n;
    while ((n = read_stream(s, block, sizeof block, err)) > 0)
        if (fd_write(fd, block, (size_t)n)) {
            n = err_errno(err, "temporary file: writing");
            break;
        }
    if (n < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int read_spooled(struct harvest *c, const struct harvest_item *item, struct stream *s,
                        struct err *err)
{
    struct mapfile map;
    struct buf path = BUF_INIT;
    int fd = spool(s, err);
    if (fd < 0)
        return harvest_fail(c, item, "unreadable", err);
    buf_addf(&path, "/proc/self/fd/%d", fd);
    int status = mapfile_open(&map, path.p, err);
    if (status) {
        status = harvest_fail(c, item, "unreadable", err);
    } else {
        c->packed = map.size;
        status = harvest_bytes(c, item, item->id, (const char *)map.p, map.size, err);
        mapfile_close(&map);
    }
    close(fd);
    buf_release(&path);
    return status;
}

/* Reads until data has `want` bytes or the end. */
static int read_up_to(int fd, struct buf *data, size_t want, struct err *err)
{
    while (data->len < want) {
        size_t n = want - data->len < READ_BLOCK ? want - data->len : READ_BLOCK;
        buf_reserve(data, n);
        ssize_t got = read_some(fd, data->p + data->len, n, err);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        data->len += (size_t)got;
        data->p[data->len] = 0;
    }
    return 0;
}

/* A tar ends before its padding does: whoever writes it must not see a broken pipe. */
static void drain(int fd)
{
    char block[READ_BLOCK];
    struct err ignored;
    while (read_some(fd, block, sizeof block, &ignored) > 0)
        ;
}

static int read_fd(struct harvest *c, const struct harvest_item *item, int fd, struct err *err)
{
    struct buf data = BUF_INIT;
    struct stream s = {c, fd, &data, 0};
    struct members *m;
    int status;
    if (read_up_to(fd, &data, FILE_SNIFF, err)) {
        status = harvest_fail(c, item, "unreadable", err);
        buf_release(&data);
        return status;
    }
    enum archive_kind kind = archive_sniff(data.p, data.len);
    if (archive_kind_seeks(kind)) {
        status = read_spooled(c, item, &s, err);
    } else if (kind != ARCHIVE_NONE) {
        if (members_open_stream(&m, kind, read_stream, &s, err)) {
            status = harvest_fail(c, item, "unreadable", err);
        } else {
            status = harvest_members(c, item, m, err);
            members_close(m);
            drain(fd);
        }
    } else if (read_up_to(fd, &data, c->options.max_size + 1, err)) {
        status = harvest_fail(c, item, "unreadable", err);
    } else if (data.len > c->options.max_size) {
        status = harvest_too_large(c, item, err);
    } else {
        status = harvest_bytes(c, item, item->id, data.p, data.len, err);
    }
    buf_release(&data);
    return status;
}

static int read_path(struct harvest *c, const char *path, const struct harvest_item *item,
                     struct err *err);

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_entry(struct harvest *c, const char *path, const char *name,
                      const struct harvest_item *folder, struct err *err)
{
    struct buf full = BUF_INIT, id = BUF_INIT;
    struct stat st;
    int status = 0;
    buf_addf(&full, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name);
    buf_addstr(&id, folder->id);
    document_id_add(&id, name, true);
    struct harvest_item item = {.id = id.p};
    if (*name == '.') {
        harvest_skip(c, id.p, "hidden");
    } else if (id_matches(&c->options.exclude, id.p)) {
        harvest_skip(c, id.p, "excluded");
    } else if (lstat(full.p, &st)) {
        err_set(err, "%s", strerror(errno));
        status = harvest_fail(c, &item, "unreadable", err);
    } else if (S_ISLNK(st.st_mode)) {
        harvest_skip(c, id.p, "symbolic link");
    } else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        harvest_skip(c, id.p, "no file");
    } else {
        status = read_path(c, full.p, &item, err);
    }
    buf_release(&full);
    buf_release(&id);
    return status;
}

static int read_folder(struct harvest *c, const char *path, const struct harvest_item *item,
                       struct err *err)
{
    struct dirent **entries;
    int status = 0, n = scandir(path, &entries, not_dots, by_bytes);
    if (n < 0) {
        err_set(err, "%s", strerror(errno));
        return harvest_fail(c, item, "unreadable", err);
    }
    for (int i = 0; i < n; i++) {
        if (!status)
            status = read_entry(c, path, entries[i]->d_name, item, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* A budget for each file on its own: how a folder is divided doesn't matter. */
static void new_budget(struct harvest *c, uint64_t packed)
{
    c->packed = packed;
    c->expanded = 0;
    c->exhausted = false;
}

/* "path: why" to "why": fail says where in its own way. */
static void drop_prefix(struct err *err, const char *path)
{
    size_t n = strlen(path);
    if (!strncmp(err->msg, path, n) && !strncmp(err->msg + n, ": ", 2))
        memmove(err->msg, err->msg + n + 2, strlen(err->msg + n + 2) + 1);
}

static bool is_output(const struct harvest *c, const struct stat *st)
{
    for (size_t i = 0; i < c->options.n_outputs; i++)
        if (S_ISREG(st->st_mode) && c->options.outputs[i].device == st->st_dev &&
            c->options.outputs[i].inode == st->st_ino)
            return true;
    return false;
}

static int read_path(struct harvest *c, const char *path, const struct harvest_item *item,
                     struct err *err)
{
    struct stat st;
    struct mapfile map;
    int status, fd;
    if (stat(path, &st)) {
        err_set(err, "%s", strerror(errno));
        return harvest_fail(c, item, "unreadable", err);
    }
    if (S_ISDIR(st.st_mode))
        return read_folder(c, path, item, err);
    if (is_output(c, &st)) {
        harvest_count(c, "output"); /* no log entry: it has a temporary name */
        return 0;
    }
    new_budget(c, (uint64_t)st.st_size);
    if (S_ISREG(st.st_mode) && st.st_size) {
        if (mapfile_open(&map, path, err)) {
            drop_prefix(err, path);
            return harvest_fail(c, item, "unreadable", err);
        }
        status = harvest_bytes(c, item, path, (const char *)map.p, map.size, err);
        mapfile_close(&map);
        return status;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC); /* a pipe; or a file of /proc, whose size is told as 0 */
    if (fd < 0) {
        err_set(err, "%s", strerror(errno));
        return harvest_fail(c, item, "unreadable", err);
    }
    status = read_fd(c, item, fd, err);
    close(fd);
    return status;
}

static void begin_operand(struct harvest *c, const char *name, struct buf *id)
{
    document_id_add(id, name, false);
    buf_clear(&c->source);
    buf_addstr(&c->source, id->len ? id->p : ".");
    new_budget(c, 0);
}

int harvest_read_memory(struct harvest *c, const char *name, const void *p, size_t len,
                        struct err *err)
{
    struct buf id = BUF_INIT;
    begin_operand(c, name, &id);
    c->packed = len;
    struct harvest_item item = {.id = id.p, .operand = true};
    int status = harvest_bytes(c, &item, id.p, p, len, err);
    buf_release(&id);
    return status;
}

int harvest_read(struct harvest *c, const char *operand, struct err *err)
{
    struct buf id = BUF_INIT;
    bool is_stdin = !strcmp(operand, "-");
    begin_operand(c, is_stdin ? "stdin" : operand, &id);
    struct harvest_item item = {.id = id.p, .operand = true};
    int status = 0;
    if (is_stdin)
        status = read_fd(c, &item, STDIN_FILENO, err);
    else if (id_matches(&c->options.exclude, id.p))
        harvest_skip(c, id.p, "excluded");
    else
        status = read_path(c, operand, &item, err);
    buf_release(&id);
    return status;
}
