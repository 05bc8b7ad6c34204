#include "text/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

/*
 * One character may come for each byte, and its four bytes are written whatever it is: nearly every
 * word of a text has a space before it, so there is nothing to guess.
 */
static size_t replace_short(char *p, uint32_t *map, const struct text *t, size_t start, size_t end,
                            char byte, const char *with, size_t with_len)
{
    uint32_t four = 0;
    size_t to = 0;
    memcpy(&four, with, with_len);
    for (size_t i = start; i < end; i++) {
        uint32_t one = (unsigned char)t->p[i];
        uint32_t origin = text_origin(t, i);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        one <<= 24;
#endif
        one = t->p[i] == byte ? four : one;
        memcpy(p + to, &one, sizeof one);
        for (size_t j = 0; j < sizeof one; j++)
            map[to + j] = origin;
        to += t->p[i] == byte ? with_len : 1;
    }
    return to;
}

void text_builder_replace(struct text_builder *b, const struct text *t, size_t start, size_t end,
                          char byte, const char *with, size_t with_len)
{
    enum { SHORT = 4, CHUNK = 4096 };
    for (size_t stop; with_len <= SHORT && start < end; start = stop) {
        stop = end - start < CHUNK ? end : start + CHUNK;
        uint32_t *map = map_room(b, SHORT * CHUNK + SHORT);
        buf_reserve(&b->text, SHORT * CHUNK + SHORT);
        b->text.len +=
            replace_short(b->text.p + b->text.len, map, t, start, stop, byte, with, with_len);
        b->text.p[b->text.len] = 0;
    }
    for (size_t i = start, done = start; i <= end && with_len > SHORT; i++) {
        if (i < end && t->p[i] != byte)
            continue;
        text_builder_copy(b, t, done, i);
        if (i < end)
            text_builder_add(b, with, with_len, text_origin(t, i));
        done = i + 1;
    }
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
