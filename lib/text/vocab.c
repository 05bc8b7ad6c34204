#include "text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

void vocab_init(struct vocab *v)
{
    memset(v, 0, sizeof *v);
}

void vocab_release(struct vocab *v)
{
    if (!v->borrowed) {
        free(v->entries);
        free(v->arena);
        free(v->slots);
    }
    vocab_init(v);
}

static bool entry_is(const struct vocab *v, uint32_t id, const char *p, size_t len)
{
    return v->entries[id].len == len && !memcmp(v->arena + v->entries[id].at, p, len);
}

/* The slot of the string, or the empty one where it would go. */
static size_t find_slot_from(const struct vocab *v, size_t hash, const char *p, size_t len)
{
    size_t i = hash & (v->n_slots - 1);
    while (v->slots[i] && !entry_is(v, v->slots[i] - 1, p, len))
        i = (i + 1) & (v->n_slots - 1);
    return i;
}

static size_t find_slot(const struct vocab *v, const char *p, size_t len)
{
    return find_slot_from(v, hash64(p, len, 0), p, len);
}

static void grow_slots(struct vocab *v)
{
    free(v->slots);
    v->n_slots = v->n_slots ? 4 * v->n_slots : 1024;
    v->slots = xcalloc(v->n_slots, sizeof *v->slots);
    for (size_t id = 0; id < v->n; id++) {
        const struct vocab_entry *e = &v->entries[id];
        if (e->len != VOCAB_NONE)
            v->slots[find_slot(v, v->arena + e->at, e->len)] = (uint32_t)id + 1;
    }
}

static void grow_entries(struct vocab *v, uint32_t id)
{
    while (v->n <= id) {
        ARRAY_GROW(v->entries, v->n, v->cap);
        v->entries[v->n++] = (struct vocab_entry){0, VOCAB_NONE};
    }
}

static uint32_t arena_add(struct vocab *v, const char *p, size_t len)
{
    size_t at = v->arena_len;
    if (v->arena_cap - at < len + 1) {
        v->arena_cap = v->arena_cap * 2 + len + 4096;
        v->arena = xrealloc(v->arena, v->arena_cap);
    }
    if (len)
        memcpy(v->arena + at, p, len);
    v->arena[at + len] = 0;
    v->arena_len += len + 1;
    return (uint32_t)at;
}

void vocab_reserve(struct vocab *v, size_t n, size_t bytes)
{
    if (n > VOCAB_MAX_ID)
        n = VOCAB_MAX_ID;
    for (v->n_slots = 1024; v->n_slots < 2 * n; v->n_slots *= 2)
        ;
    v->slots = xcalloc(v->n_slots, sizeof *v->slots);
    v->entries = xreallocarray(NULL, n + 1, sizeof *v->entries);
    v->arena = xmalloc(bytes + 1);
    v->cap = n + 1;
    v->arena_cap = bytes + 1;
}

static int add(struct vocab *v, uint32_t id, struct vocab_view string, size_t hash, bool again,
               struct err *err)
{
    const char *p = string.p;
    size_t len = string.len;
    if (id > VOCAB_MAX_ID)
        return err_set(err, "token id %u is above %u", id, VOCAB_MAX_ID);
    if (v->borrowed)
        return err_set(err, "the vocabulary is complete");
    if (len >= VOCAB_NONE || v->arena_len + len + 1 >= VOCAB_NONE)
        return err_set(err, "the vocabulary's strings are longer than 4 GiB");
    if (2 * v->n_tokens >= v->n_slots)
        grow_slots(v);
    size_t slot = find_slot_from(v, hash, p, len);
    if (v->slots[slot] && !again)
        return err_set(err, "token \"%.*s\" has two ids, %u and %u", (int)(len < 100 ? len : 100),
                       p, v->slots[slot] - 1, id);
    grow_entries(v, id);
    if (v->entries[id].len != VOCAB_NONE)
        return err_set(err, "token id %u is both \"%.100s\" and \"%.*s\"", id,
                       v->arena + v->entries[id].at, (int)(len < 100 ? len : 100), p);
    v->entries[id].at = arena_add(v, p, len);
    v->entries[id].len = (uint32_t)len;
    v->slots[slot] = id + 1;
    v->n_tokens++;
    return 0;
}

int vocab_add(struct vocab *v, uint32_t id, const char *p, size_t len, struct err *err)
{
    return add(v, id, (struct vocab_view){p, len}, hash64(p, len, 0), false, err);
}

int vocab_add_again(struct vocab *v, uint32_t id, const char *p, size_t len, struct err *err)
{
    return add(v, id, (struct vocab_view){p, len}, hash64(p, len, 0), true, err);
}

int vocab_add_many(struct vocab *v, const uint32_t *ids, const struct vocab_view *strings, size_t n,
                   struct err *err)
{
    size_t hashes[VOCAB_MANY];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = hash64(strings[i].p, strings[i].len, 0);
        if (v->n_slots)
            __builtin_prefetch(&v->slots[hashes[i] & (v->n_slots - 1)], 1);
    }
    for (size_t i = 0; i < n; i++)
        if (add(v, ids[i], strings[i], hashes[i], false, err))
            return -1;
    return 0;
}

int64_t vocab_find(const struct vocab *v, const char *p, size_t len)
{
    if (!v->n_slots)
        return -1;
    return (int64_t)v->slots[find_slot(v, p, len)] - 1;
}

/* Each round touches what the next one needs, so that the memory is fetched for many at once. */
void vocab_find_many(const struct vocab *v, const struct vocab_view *strings, size_t n,
                     int64_t *ids)
{
    size_t hashes[VOCAB_MANY];
    for (size_t i = 0; i < n; i++) {
        hashes[i] = v->n_slots ? hash64(strings[i].p, strings[i].len, 0) : 0;
        if (v->n_slots)
            __builtin_prefetch(&v->slots[hashes[i] & (v->n_slots - 1)]);
    }
    for (size_t i = 0; i < n && v->n_slots; i++) {
        uint32_t slot = v->slots[hashes[i] & (v->n_slots - 1)];
        if (slot)
            __builtin_prefetch(&v->entries[slot - 1]);
    }
    for (size_t i = 0; i < n && v->n_slots; i++) {
        uint32_t slot = v->slots[hashes[i] & (v->n_slots - 1)];
        if (slot && v->entries[slot - 1].len != VOCAB_NONE)
            __builtin_prefetch(v->arena + v->entries[slot - 1].at);
    }
    for (size_t i = 0; i < n; i++)
        ids[i] =
            v->n_slots
                ? (int64_t)v->slots[find_slot_from(v, hashes[i], strings[i].p, strings[i].len)] - 1
                : -1;
}

/*
 * Images.
 */

static const char *array_name(char out[IMAGE_NAME], const char *name, const char *array)
{
    snprintf(out, IMAGE_NAME, "%s.%s", name, array);
    return out;
}

void vocab_put(const struct vocab *v, struct image_writer *w, const char *name)
{
    char s[IMAGE_NAME];
    image_put(w, array_name(s, name, "entries"), v->entries, v->n, sizeof *v->entries);
    image_put(w, array_name(s, name, "arena"), v->arena, v->arena_len, 1);
    image_put(w, array_name(s, name, "slots"), v->slots, v->n_slots, sizeof *v->slots);
}

/* Each string lies in the arena, whose last byte is a NUL. */
static bool entries_hold(struct vocab *v)
{
    size_t outside = 0;
    v->n_tokens = 0;
    for (size_t i = 0; i < v->n; i++) {
        const struct vocab_entry *e = &v->entries[i];
        bool is_token = e->len != VOCAB_NONE;
        v->n_tokens += is_token;
        outside += is_token & ((uint64_t)e->at + e->len >= v->arena_len);
    }
    return !outside && v->arena_len && !v->arena[v->arena_len - 1];
}

/* Each id is one, and there is an empty slot, at which a search ends. */
static bool slots_hold(const struct vocab *v)
{
    size_t outside = 0, empty = 0;
    if (v->n_slots & (v->n_slots - 1))
        return false;
    for (size_t i = 0; i < v->n_slots; i++) {
        outside += v->slots[i] > v->n;
        empty += !v->slots[i];
    }
    return !outside && empty;
}

bool vocab_restore(struct vocab *v, const struct image *image, const char *name)
{
    char s[IMAGE_NAME];
    vocab_init(v);
    v->borrowed = true; /* so nothing is ever written through these */
    v->entries = (void *)(uintptr_t)image_array(image, array_name(s, name, "entries"),
                                                sizeof *v->entries, &v->n);
    v->arena =
        (void *)(uintptr_t)image_array(image, array_name(s, name, "arena"), 1, &v->arena_len);
    v->slots = (void *)(uintptr_t)image_array(image, array_name(s, name, "slots"), sizeof *v->slots,
                                              &v->n_slots);
    if (v->entries && v->arena && v->slots && v->n <= VOCAB_MAX_ID + 1 && entries_hold(v) &&
        slots_hold(v))
        return true;
    vocab_init(v);
    return false;
}

bool vocab_find_bytes(const struct vocab *v, uint32_t ids[256])
{
    bool all = true;
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        int len = snprintf(name, sizeof name, "<0x%02X>", byte);
        int64_t id = vocab_find(v, name, (size_t)len);
        all &= id >= 0;
        ids[byte] = (uint32_t)id;
    }
    return all;
}
