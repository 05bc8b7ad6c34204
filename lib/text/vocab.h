/*
 * vocab: the strings of a vocabulary and their ids, both ways.
 *
 * Ids may have holes. The strings lie in one arena; the way back is an open-addressing table of
 * ids. A string has one id and an id one string.
 */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/image.h"

/* The highest id that a vocabulary file may hold: far above any in use, far below what would let a
 * small file ask for much memory. */
#define VOCAB_MAX_ID ((1u << 21) - 1)

struct vocab_entry {
    uint32_t at, len; /* in the arena; len VOCAB_NONE: no token has this id */
};
#define VOCAB_NONE UINT32_MAX

struct vocab {
    struct vocab_entry *entries; /* [n] */
    size_t n, cap;               /* highest id + 1 */
    char *arena;
    size_t arena_len, arena_cap;
    uint32_t *slots; /* id + 1, 0 for empty */
    size_t n_slots;  /* a power of two */
    size_t n_tokens;
    bool borrowed; /* the arrays are an image's: nothing can be added */
};

void vocab_init(struct vocab *v);
void vocab_release(struct vocab *v);

/* Adds a token. Fails where the id or the string is taken, or the id is above VOCAB_MAX_ID. */
int vocab_add(struct vocab *v, uint32_t id, const char *p, size_t len, struct err *err);
/* The same, but of several tokens with one string the last added is found. */
int vocab_add_again(struct vocab *v, uint32_t id, const char *p, size_t len, struct err *err);
/* vocab_add of up to VOCAB_MANY tokens, much faster than one by one. */
struct vocab_view {
    const char *p;
    size_t len;
};
#define VOCAB_MANY 64
int vocab_add_many(struct vocab *v, const uint32_t *ids, const struct vocab_view *strings, size_t n,
                   struct err *err);
/* Makes room, before anything is added, for n tokens and their strings' bytes; more may come. */
void vocab_reserve(struct vocab *v, size_t n, size_t bytes);
int64_t vocab_find(const struct vocab *v, const char *p, size_t len); /* -1: none */
/* The same for up to VOCAB_MANY strings together. */
void vocab_find_many(const struct vocab *v, const struct vocab_view *strings, size_t n,
                     int64_t *ids);
/* Into an image, its arrays called name.something; and out of one, which must outlive it. False
 * where they aren't those of a vocabulary. */
void vocab_put(const struct vocab *v, struct image_writer *w, const char *name);
bool vocab_restore(struct vocab *v, const struct image *image, const char *name);
/* The tokens of single bytes, "<0x00>" to "<0xFF>"; false where any is missing. */
bool vocab_find_bytes(const struct vocab *v, uint32_t ids[256]);
/* The string of an id, NUL-terminated; NULL for an id without one. */
static inline const char *vocab_string(const struct vocab *v, uint32_t id, size_t *len)
{
    bool found = id < v->n && v->entries[id].len != VOCAB_NONE;
    if (len)
        *len = found ? v->entries[id].len : 0;
    return found ? v->arena + v->entries[id].at : NULL;
}

#endif
