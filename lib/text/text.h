/*
 * text: a piece of text on its way through a tokenizer, and where it came from.
 */
#ifndef TEXT_TEXT_H
#define TEXT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/tokenizer.h"

/* Valid UTF-8. Byte i came from byte map[i] of the text to encode, base + i where map is NULL. */
struct text {
    const char *p;
    size_t len;
    const uint32_t *map;
    uint32_t base;
};

static inline uint32_t text_origin(const struct text *t, size_t i)
{
    return t->map ? t->map[i] : t->base + (uint32_t)i;
}

/* t[start, end). */
static inline struct text text_slice(const struct text *t, size_t start, size_t end)
{
    return (struct text){t->p + start, end - start, t->map ? t->map + start : NULL,
                         t->base + (uint32_t)start};
}

/* A text that is being written; its map grows with it. */
struct text_builder {
    struct buf text;
    uint32_t *map; /* [text.len] */
    size_t cap;
};

void text_builder_init(struct text_builder *b);
void text_builder_release(struct text_builder *b);
void text_builder_clear(struct text_builder *b);
/* Bytes that all came from one place. */
void text_builder_add(struct text_builder *b, const char *p, size_t len, uint32_t origin);
void text_builder_copy(struct text_builder *b, const struct text *t, size_t start, size_t end);
/* Copies t[start, end) with `with` for each byte that is `byte`, which comes from where that was. */
void text_builder_replace(struct text_builder *b, const struct text *t, size_t start, size_t end,
                          char byte, const char *with, size_t with_len);
/* What was written, valid until more is. */
struct text text_builder_text(const struct text_builder *b);

/* Room for `extra` more tokens. */
void token_list_grow(struct token_list *l, size_t extra);

static inline void token_list_reserve(struct token_list *l, size_t extra)
{
    if (l->cap - l->n < extra)
        token_list_grow(l, extra);
}

static inline void token_list_put(struct token_list *l, uint32_t id, uint32_t offset)
{
    l->ids[l->n] = id;
    l->offsets[l->n++] = offset;
}

#endif
