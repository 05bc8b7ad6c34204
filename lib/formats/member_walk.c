#include "formats/member_walk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mapfile.h"
#include "base/mem.h"

/* Of an archive that has to be at hand as a whole and doesn't lie in a file as it is. */
#define MAX_STORED ((size_t)4 << 30)

struct level {
    struct input *in; /* the archive */
    struct members *members;
    struct mapfile map; /* of one that is at hand as a whole */
    struct buf stored;  /* the same, read into memory */
};

/* levels[0].in is the caller's, the others are of members of the level before. */
struct member_walk {
    struct level levels[MEMBER_WALK_NESTING];
    size_t n;
    struct input *content; /* of the member that is looked at; NULL: not opened */
};

bool member_is_hidden(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (slash ? slash[1] : path[0]) == '.' || !strncmp(path, "__MACOSX/", 9);
}

static struct level *top(const struct member_walk *w)
{
    return (struct level *)(uintptr_t)&w->levels[w->n - 1];
}

/* ---- an archive ---- */

static int store(struct input *in, struct buf *out, struct err *err)
{
    enum { READ_BYTES = 64 * 1024 };
    ssize_t n;
    do {
        if (out->len > MAX_STORED)
            return err_set(err, "over %zu bytes, too much to hold in memory", MAX_STORED);
        buf_reserve(out, READ_BYTES);
        n = input_read(in, out->p + out->len, READ_BYTES, err);
        if (n > 0)
            out->len += (size_t)n;
    } while (n > 0);
    return n < 0 ? -1 : 0;
}

static ssize_t read_input(void *arg, void *p, size_t n, struct err *err)
{
    return input_read(arg, p, n, err);
}

static ssize_t read_member(void *arg, void *p, size_t n, struct err *err)
{
    return members_read(arg, p, n, err);
}

/* One whose table is at its end is mapped if it is a file as it stands there, else stored. */
static int open_whole(struct level *l, bool may_be_file, enum archive_kind kind,
                      const uint8_t *head, size_t len, struct err *err)
{
    struct err ignored;
    if (may_be_file && !mapfile_open(&l->map, input_name(l->in), &ignored)) {
        if (l->map.size >= len && !memcmp(l->map.p, head, len))
            return members_open_memory(&l->members, kind, l->map.p, l->map.size, err);
        mapfile_close(&l->map);
    }
    if (store(l->in, &l->stored, err))
        return -1;
    return members_open_memory(&l->members, kind, l->stored.p, l->stored.len, err);
}

static void level_close(struct level *l)
{
    members_close(l->members);
    mapfile_close(&l->map);
    buf_release(&l->stored);
    *l = (struct level){.in = NULL};
}

/* Goes into what is in `in`, if it is an archive: 1, 0 if not, -1. */
static int enter(struct member_walk *w, struct input *in, struct err *err)
{
    const uint8_t *p;
    size_t len;
    uint8_t first;
    int status = input_peek(in, &first, err);
    if (status <= 0 || strchr("{[ \t\r\n\xef", first)) /* JSON, and no name in a tar */
        return status < 0 ? -1 : 0;
    if (input_head(in, ARCHIVE_SNIFF, &p, &len, err))
        return -1;
    enum archive_kind kind = archive_sniff(p, len);
    if (kind == ARCHIVE_NONE || kind == ARCHIVE_COMPRESSED)
        return 0;
    if (w->n == MEMBER_WALK_NESTING)
        return err_set(err, "%s: archives are nested more than %d deep", input_name(in),
                       MEMBER_WALK_NESTING);
    struct level *l = &w->levels[w->n++];
    *l = (struct level){.in = in};
    buf_init(&l->stored);
    len = len < ARCHIVE_SNIFF ? len : ARCHIVE_SNIFF;
    status = archive_kind_seeks(kind) ? open_whole(l, w->n == 1, kind, p, len, err)
                                      : members_open_stream(&l->members, kind, read_input, in, err);
    return status ? err_prefix(err, "%s", input_name(in)) : 1;
}

static void leave(struct member_walk *w)
{
    struct input *in = top(w)->in;
    level_close(top(w));
    w->n--;
    if (w->n)
        input_close(in);
}

/* ---- the walk ---- */

int member_walk_open(struct member_walk **out, struct input *in, struct err *err)
{
    struct member_walk *w = xcalloc(1, sizeof *w);
    int status = enter(w, in, err);
    if (status <= 0) {
        member_walk_close(w);
        return status;
    }
    *out = w;
    return 1;
}

void member_walk_close(struct member_walk *w)
{
    if (!w)
        return;
    input_close(w->content);
    while (w->n)
        leave(w);
    free(w);
}

const char *member_walk_name(const struct member_walk *w)
{
    return members_name(top(w)->members);
}

int member_walk_input(struct member_walk *w, struct input **content, struct err *err)
{
    struct buf name = BUF_INIT;
    if (!w->content) {
        buf_addf(&name, "%s:%s", input_name(top(w)->in), member_walk_name(w));
        int status = input_open_source(&w->content, name.p, read_member, top(w)->members, err);
        buf_release(&name);
        if (status)
            return -1;
    }
    *content = w->content;
    return 0;
}

/* Other files that are archives by their bytes, as a .docx or a .jar is, are not for their
 * members. */
static bool is_named_as_archive(const char *name)
{
    static const char *const ends[] = {
        ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4", ".tar.lzma",
        ".tgz", ".tbz", ".tbz2",   ".txz",     ".tzst",   ".7z",      ".rar",     ".cab"};
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        size_t n = strlen(ends[i]);
        if (len > n && !strcasecmp(name + len - n, ends[i]))
            return true;
    }
    return false;
}

int member_walk_next(struct member_walk *w, struct err *err)
{
    int status = 0;
    input_close(w->content);
    w->content = NULL;
    while (w->n) {
        status = members_next(top(w)->members, err);
        if (status < 0)
            return err_prefix(err, "%s", input_name(top(w)->in));
        if (!status) {
            leave(w);
            continue;
        }
        const char *name = member_walk_name(w);
        struct input *in;
        if (!is_named_as_archive(name))
            return 1;
        if (member_is_hidden(name))
            continue;
        if (member_walk_input(w, &in, err))
            return -1;
        status = enter(w, in, err);
        if (top(w)->in == in)
            w->content = NULL; /* it's the level's now */
        if (status <= 0)
            return status < 0 ? -1 : 1;
    }
    return 0;
}
