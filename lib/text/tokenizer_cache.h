/*
 * tokenizer_cache: what a large tokenizer.json was made into, kept for the next start.
 *
 * Finding the tables of 200,000 tokens again takes a few milliseconds, making them ten times as
 * long. They are an image (base/image.h) in the folder of caches, under the hash of the file that
 * they were made of. Whatever goes wrong with one, the file is read instead, and nothing is said.
 */
#ifndef TEXT_TOKENIZER_CACHE_H
#define TEXT_TOKENIZER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/image.h"
#include "text/tokenizer_parts.h"
#include "text/vocab_json.h"

struct tokenizer_cache {
    struct buf folder, path;
    char key[IMAGE_KEY];
};

/* The place for a tokenizer.json of these bytes; false where it's to have none, or is so small
 * that it's read as soon. To be released in either case. */
bool tokenizer_cache_find(struct tokenizer_cache *c, const void *p, size_t size);
void tokenizer_cache_release(struct tokenizer_cache *c);

/* What the file was read into, as views of the image, which must outlive it; false where the image
 * doesn't hold that. */
bool tokenizer_cache_restore(const struct image *image, struct vocab_json *v);
/* Keeps what v was, of which t was made. A failure means that there is no cache. */
void tokenizer_cache_keep(const struct tokenizer_cache *c, const struct tokenizer *t,
                          const struct vocab_json *v);

#endif
