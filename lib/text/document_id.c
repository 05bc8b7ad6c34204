#include "text/document_id.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/hash.h"
#include "base/mem.h"

/* A component of a path; what is no UTF-8 in it becomes %XX, so that different names stay
 * different. */
static void add_component(struct buf *id, const char *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)(len - i), &c);
        if (n > 0)
            buf_add(id, p + i, (size_t)n);
        else
            buf_addf(id, "%%%02X", (unsigned char)p[i]);
        i += n > 0 ? (size_t)n : 1;
    }
}

void document_id_add(struct buf *id, const char *path, bool member)
{
    bool separate = id->len > 0;
    if (*path == '/' && !separate && !member)
        buf_addch(id, '/');
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n && !(n == 1 && *path == '.')) {
            if (separate)
                buf_addch(id, '/');
            add_component(id, path, n);
            separate = true;
        }
        path += n;
        path += *path == '/';
    }
}

bool path_is_hidden(const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        bool dots = (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.');
        if (n && ((path[0] == '.' && !dots) || (n == 8 && !memcmp(path, "__MACOSX", 8))))
            return true;
        path += n;
        path += *path == '/';
    }
    return false;
}

bool id_matches(const struct string_list *patterns, const char *id)
{
    for (size_t i = 0; i < patterns->n; i++) {
        for (const char *tail = id; tail;) {
            if (fnmatch(patterns->items[i], tail, 0) == 0)
                return true;
            tail = strchr(tail, '/');
            tail = tail ? tail + 1 : NULL;
        }
    }
    return false;
}

/* True if the hash was new. */
static bool insert(struct id_set *set, uint64_t hash)
{
    size_t i = hash & (set->cap - 1);
    while (set->slots[i] && set->slots[i] != hash)
        i = (i + 1) & (set->cap - 1);
    if (set->slots[i])
        return false;
    set->slots[i] = hash;
    set->n++;
    return true;
}

static void grow(struct id_set *set)
{
    struct id_set bigger = {.cap = set->cap ? 2 * set->cap : 1024};
    bigger.slots = xcalloc(bigger.cap, sizeof *bigger.slots);
    for (size_t i = 0; i < set->cap; i++)
        if (set->slots[i])
            insert(&bigger, set->slots[i]);
    free(set->slots);
    *set = bigger;
}

void id_set_claim(struct id_set *set, struct buf *id)
{
    size_t len = id->len;
    for (unsigned k = 2;; k++) {
        if (set->n >= set->cap / 2)
            grow(set);
        if (insert(set, hash64(id->p, id->len, 0) | 1))
            return;
        id->len = len;
        buf_addf(id, "#%u", k);
    }
}

void id_set_release(struct id_set *set)
{
    free(set->slots);
    *set = (struct id_set){0};
}
