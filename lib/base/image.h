/*
 * image: named arrays in one file, as they lie in memory, to be mapped and used where they are.
 *
 * For caches: only the program that wrote one reads it, so numbers are in the machine's own order,
 * and a key says what an image was made of and by what. What comes out of one is as untrusted as
 * the bytes of any file: the checksum finds damage, that each array lies inside the file is proved
 * here, and what its items may be is for whoever asks for it to prove.
 */
#ifndef BASE_IMAGE_H
#define BASE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct image;

/* NULL where there is none, or it can't be read, isn't the user's own, has another key or is
 * damaged: whichever it is, what it holds must be made anew. */
struct image *image_open(const char *path, const char *key);
void image_close(struct image *i);
/* An array, aligned to 64 bytes, and its number of items; NULL if there is none of that name or
 * it isn't whole items of that size. Valid until the image is closed. */
const void *image_array(const struct image *i, const char *name, size_t item, size_t *n);

enum { IMAGE_ARRAYS = 32, IMAGE_NAME = 32, IMAGE_KEY = 192 };

/* Arrays that are to become an image: views, which must stand until it's written. */
struct image_writer {
    struct image_part {
        char name[IMAGE_NAME];
        const void *p;
        size_t size;
    } parts[IMAGE_ARRAYS];
    size_t n;
};

/* At most IMAGE_ARRAYS, with names shorter than IMAGE_NAME. */
void image_put(struct image_writer *w, const char *name, const void *p, size_t n, size_t item);
/* Under a temporary name, then renamed; without fsync, since the checksum tells a file that was
 * cut off. The key is shorter than IMAGE_KEY. */
int image_write(const struct image_writer *w, const char *path, const char *key, struct err *err);

#endif
