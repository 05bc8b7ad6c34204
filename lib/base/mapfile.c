#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"

int mapfile_open(struct mapfile *m, const char *path, struct err *err)
{
    struct stat st;
    *m = (struct mapfile){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "%s", path);
    if (fstat(fd, &st)) {
        err_errno(err, "%s", path);
        goto fail;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, "%s: %s", path, S_ISDIR(st.st_mode) ? "is a directory" : "not a regular file");
        goto fail;
    }
    if (st.st_size) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            err_errno(err, "%s: mapping", path);
            goto fail;
        }
        m->p = p;
        m->size = (size_t)st.st_size;
    }
    close(fd);
    return 0;
fail:
    close(fd);
    return -1;
}

void mapfile_close(struct mapfile *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->size);
    *m = (struct mapfile){0};
}

char *file_read(const char *path, size_t limit, size_t *len, struct err *err)
{
    struct buf b = BUF_INIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "%s", path);
        return NULL;
    }
    for (;;) {
        buf_reserve(&b, 1 << 16);
        ssize_t n = fd_read(fd, b.p + b.len, 1 << 16);
        if (n < 0) {
            err_errno(err, "%s", path);
            break;
        }
        if (n == 0) {
            close(fd);
            b.p[b.len] = 0;
            return buf_detach(&b, len);
        }
        b.len += (size_t)n;
        if (b.len > limit) {
            err_set(err, "%s: larger than the %zu bytes expected of such a file", path, limit);
            break;
        }
    }
    close(fd);
    buf_release(&b);
    return NULL;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

void cursor_init(struct cursor *c, const void *p, size_t size)
{
    if (!p) /* an empty file: no arithmetic on NULL */
        p = "";
    *c = (struct cursor){p, p, (const uint8_t *)p + size, false};
}

size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

size_t cursor_offset(const struct cursor *c)
{
    return (size_t)(c->p - c->start);
}

const uint8_t *cursor_bytes(struct cursor *c, uint64_t len)
{
    if (c->failed || len > cursor_left(c)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += len;
    return p;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
             : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    uint64_t low = cursor_u32(c);
    return low | (uint64_t)cursor_u32(c) << 32;
}

float cursor_f32(struct cursor *c)
{
    uint32_t bits = cursor_u32(c);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double cursor_f64(struct cursor *c)
{
    uint64_t bits = cursor_u64(c);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
