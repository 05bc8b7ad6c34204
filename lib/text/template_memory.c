/* Arenas, limits and the way out of a failure. */
#include "text/template_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK = 64 * 1024, MAX_DEPTH = 1000 };

struct arena_chunk {
    struct arena_chunk *next;
    max_align_t data[];
};

void template_fail(struct limits *l, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (l->line > 0)
        err_set(l->err, "%s:%d: %s", l->name, l->line, msg);
    else
        err_set(l->err, "%s: %s", l->name, msg);
    longjmp(l->on_failure, 1);
}

static void arena_release(struct arena *a)
{
    for (struct arena_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct arena){0};
}

void limits_release(struct limits *l)
{
    arena_release(&l->objects);
    arena_release(&l->bytes);
}

/* `size` more bytes at the tip; a large request gets a chunk of its own size. */
static char *arena_take(struct limits *l, struct arena *a, size_t size)
{
    if (size > (size_t)(a->end - a->tip) || !a->head) {
        size_t room = size > CHUNK ? size : CHUNK;
        if (room > l->bytes_left)
            template_fail(l, "needs more memory than a template is allowed");
        l->bytes_left -= room;
        struct arena_chunk *chunk = xmalloc(sizeof *chunk + room);
        chunk->next = a->head;
        a->head = chunk;
        a->tip = (char *)chunk->data;
        a->end = a->tip + room;
    }
    char *p = a->tip;
    a->tip += size;
    return p;
}

void *arena_alloc(struct limits *l, size_t n, size_t size)
{
    const size_t align = sizeof(max_align_t);
    size_t total;
    if (!size_mul(n, size, &total) || !size_add(total, align - 1, &total))
        template_fail(l, "needs more memory than a template is allowed");
    void *p = arena_take(l, &l->objects, total / align * align);
    return memset(p, 0, n * size);
}

char *arena_bytes(struct limits *l, size_t len)
{
    return arena_take(l, &l->bytes, len);
}

bool arena_extend(struct limits *l, const char *end, size_t extra)
{
    struct arena *a = &l->bytes;
    if (!a->head || end != a->tip || extra > (size_t)(a->end - a->tip))
        return false;
    a->tip += extra;
    return true;
}

void arena_give_back(struct limits *l, const char *end, size_t unused)
{
    if (l->bytes.head && end == l->bytes.tip)
        l->bytes.tip -= unused;
}

void spend(struct limits *l, uint64_t steps)
{
    if (steps > l->steps_left)
        template_fail(l, "takes more steps than a template is allowed");
    l->steps_left -= steps;
}

void depth_enter(struct limits *l)
{
    if (++l->depth > MAX_DEPTH)
        template_fail(l, "nested more than %d deep", MAX_DEPTH);
}

void depth_leave(struct limits *l)
{
    l->depth--;
}
