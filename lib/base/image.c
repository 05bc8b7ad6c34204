#include "base/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/outfile.h"

#define MAGIC "tuneutils image\n"
enum { ALIGNMENT = 64, CHECKSUM = HASH_HEX - 1 };

/* A file: the header, the entries, and behind them the arrays, each where its entry says. */
struct image_header {
    char checksum[CHECKSUM]; /* XXH3-128 of all that follows, in hexadecimal digits */
    char magic[16];
    char key[IMAGE_KEY]; /* NULs behind it */
    uint64_t size;       /* of the file */
    uint64_t n;          /* entries */
};

struct image_entry {
    char name[IMAGE_NAME]; /* NULs behind it */
    uint64_t at, size;     /* in bytes */
};

struct image {
    const struct image_header *header; /* the mapping */
    const struct image_entry *entries;
    size_t size;
};

/* ---- reading ---- */

static bool is_own(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static const void *map_file(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    void *p = MAP_FAILED;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st) && is_own(&st) && st.st_size >= (off_t)sizeof(struct image_header)) {
        *size = (size_t)st.st_size;
        p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    }
    close(fd);
    return p == MAP_FAILED ? NULL : p;
}

static bool has_key(const struct image_header *h, const char *key)
{
    return !memcmp(h->magic, MAGIC, sizeof h->magic) && memchr(h->key, 0, sizeof h->key) &&
           !strcmp(h->key, key);
}

static bool entries_hold(const struct image *i)
{
    size_t n = i->header->n;
    if (n > IMAGE_ARRAYS || n * sizeof *i->entries > i->size - sizeof *i->header)
        return false;
    for (size_t k = 0; k < n; k++) {
        const struct image_entry *e = &i->entries[k];
        if (!memchr(e->name, 0, sizeof e->name) || e->at % ALIGNMENT || e->at > i->size ||
            e->size > i->size - e->at)
            return false;
    }
    return true;
}

static bool is_whole(const struct image *i)
{
    char hex[HASH_HEX];
    if (i->header->size != i->size || !entries_hold(i))
        return false;
    hash_bytes_hex((const char *)i->header + CHECKSUM, i->size - CHECKSUM, hex);
    return !memcmp(hex, i->header->checksum, CHECKSUM);
}

struct image *image_open(const char *path, const char *key)
{
    struct image *i = xcalloc(1, sizeof *i);
    i->header = map_file(path, &i->size);
    if (i->header && has_key(i->header, key)) {
        i->entries = (const struct image_entry *)(i->header + 1);
        if (is_whole(i))
            return i;
    }
    image_close(i);
    return NULL;
}

void image_close(struct image *i)
{
    if (!i)
        return;
    if (i->header)
        munmap((void *)(uintptr_t)i->header, i->size);
    free(i);
}

const void *image_array(const struct image *i, const char *name, size_t item, size_t *n)
{
    for (size_t k = 0; k < i->header->n; k++) {
        const struct image_entry *e = &i->entries[k];
        if (strcmp(e->name, name))
            continue;
        *n = (size_t)e->size / item;
        return e->size % item ? NULL : (const char *)i->header + e->at;
    }
    return NULL;
}

/* ---- writing ---- */

void image_put(struct image_writer *w, const char *name, const void *p, size_t n, size_t item)
{
    struct image_part *part = &w->parts[w->n++];
    *part = (struct image_part){.p = p, .size = n * item};
    memcpy(part->name, name, strlen(name));
}

static size_t padding(size_t size)
{
    return (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT;
}

/* Header and entries, padded, all but the checksum. */
static void add_front(const struct image_writer *w, const char *key, struct buf *out)
{
    struct image_header h = {.magic = MAGIC, .n = w->n};
    size_t front = sizeof h + w->n * sizeof(struct image_entry);
    h.size = front + padding(front);
    for (size_t i = 0; i < w->n; i++)
        h.size += w->parts[i].size + padding(w->parts[i].size);
    memcpy(h.key, key, strlen(key));
    buf_add(out, &h, sizeof h);
    uint64_t at = front + padding(front);
    for (size_t i = 0; i < w->n; i++) {
        struct image_entry e = {.at = at, .size = w->parts[i].size};
        memcpy(e.name, w->parts[i].name, sizeof e.name);
        buf_add(out, &e, sizeof e);
        at += e.size + padding(e.size);
    }
    while (out->len % ALIGNMENT)
        buf_addch(out, 0);
}

static const char zeros[ALIGNMENT];

static void add_checksum(const struct image_writer *w, struct buf *front)
{
    char hex[HASH_HEX];
    struct hash *h = hash_new();
    hash_add(h, front->p + CHECKSUM, front->len - CHECKSUM);
    for (size_t i = 0; i < w->n; i++) {
        hash_add(h, w->parts[i].p, w->parts[i].size);
        hash_add(h, zeros, padding(w->parts[i].size));
    }
    hash_hex(h, hex);
    hash_free(h);
    memcpy(front->p, hex, CHECKSUM);
}

static int write_all(int fd, const void *p, size_t len)
{
    for (const char *at = p; len;) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int write_image(const struct image_writer *w, int fd, const char *key)
{
    struct buf front = BUF_INIT;
    add_front(w, key, &front);
    add_checksum(w, &front);
    int rc = write_all(fd, front.p, front.len);
    for (size_t i = 0; i < w->n && !rc; i++)
        rc = write_all(fd, w->parts[i].p, w->parts[i].size) ||
             write_all(fd, zeros, padding(w->parts[i].size));
    buf_release(&front);
    return rc;
}

int image_write(const struct image_writer *w, const char *path, const char *key, struct err *err)
{
    struct buf tmp = BUF_INIT;
    buf_addf(&tmp, "%s.XXXXXX", path);
    int fd = mkstemp(tmp.p); /* mode 0600 */
    if (fd < 0) {
        err_errno(err, "%s", path);
        buf_release(&tmp);
        return -1;
    }
    outfile_pending_add(tmp.p);
    int rc = write_image(w, fd, key);
    if ((close(fd) | rc) || rename(tmp.p, path)) {
        err_errno(err, "%s", path);
        unlink(tmp.p);
        rc = -1;
    }
    outfile_pending_drop(tmp.p);
    buf_release(&tmp);
    return rc ? -1 : 0;
}
