#include "text/text.h"

#include <stdlib.h>

#include "base/mem.h"

void text_builder_init(struct text_builder *b)
{
    buf_init(&b->text);
    b->map = NULL;
    b->cap = 0;
}

void text_builder_release(struct text_builder *b)
{
    buf_release(&b->text);
    free(b->map);
    text_builder_init(b);
}

void text_builder_clear(struct text_builder *b)
{
    buf_clear(&b->text);
}

static uint32_t *map_room(struct text_builder *b, size_t extra)
{
    size_t n = b->text.len;
    if (!b->map || b->cap - n < extra) {
        b->cap = n + n / 2 + extra + 256;
        b->map = xreallocarray(b->map, b->cap, sizeof *b->map);
    }
    return b->map + n;
}

void text_builder_add(struct text_builder *b, const char *p, size_t len, uint32_t origin)
{
    if (!len)
        return;
    uint32_t *map = map_room(b, len);
    for (size_t i = 0; i < len; i++)
        map[i] = origin;
    buf_add(&b->text, p, len);
}

void text_builder_copy(struct text_builder *b, const struct text *t, size_t start, size_t end)
{
    if (end <= start)
        return;
    uint32_t *map = map_room(b, end - start);
    for (size_t i = start; i < end; i++)
        map[i - start] = text_origin(t, i);
    buf_add(&b->text, t->p + start, end - start);
}

char *text_builder_extend(struct text_builder *b, size_t len)
{
    map_room(b, len);
    buf_reserve(&b->text, len);
    char *p = b->text.p + b->text.len;
    b->text.len += len;
    b->text.p[b->text.len] = 0;
    return p;
}

struct text text_builder_text(const struct text_builder *b)
{
    return (struct text){b->text.p, b->text.len, b->map, 0};
}

void token_list_grow(struct token_list *l, size_t extra)
{
    l->cap = l->n + l->n / 2 + extra + 64;
    l->ids = xreallocarray(l->ids, l->cap, sizeof *l->ids);
    l->offsets = xreallocarray(l->offsets, l->cap, sizeof *l->offsets);
}

void token_list_release(struct token_list *l)
{
    free(l->ids);
    free(l->offsets);
    *l = (struct token_list){NULL, NULL, 0, 0};
}
