/*
 * mapfile: a whole file as read-only memory, and the checked cursor that reads it.
 */
#ifndef BASE_MAPFILE_H
#define BASE_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct mapfile {
    const uint8_t *p; /* NULL for an empty file */
    size_t size;
};

/* Maps a regular file. Fails on a directory, a pipe or a device, naming path. */
int mapfile_open(struct mapfile *m, const char *path, struct err *err);
void mapfile_close(struct mapfile *m);

/* Reads a whole small file (any kind, at most `limit` bytes). The caller frees the result, which
 * has a NUL behind it; NULL on failure. */
char *file_read(const char *path, size_t limit, size_t *len, struct err *err);

/* False where there is none of that name. True where one is, and where that can't be told, which
 * opening it will explain: what can't be reached isn't missing. */
bool file_exists(const char *path);

/*
 * A cursor over untrusted bytes. Once it has run past the end it stays `failed`, hands out zeros
 * and NULLs, and never reads outside; a reader may check once after a group of fields.
 * Numbers are little-endian.
 */
struct cursor {
    const uint8_t *start, *p, *end;
    bool failed;
};

void cursor_init(struct cursor *c, const void *p, size_t size);
size_t cursor_left(const struct cursor *c);
size_t cursor_offset(const struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
float cursor_f32(struct cursor *c);
double cursor_f64(struct cursor *c);
const uint8_t *cursor_bytes(struct cursor *c, uint64_t len); /* a view; NULL if not all there */

#endif
