#include "text/tokenizer_cache.h"

#include <stdio.h>
#include <string.h>

#include "base/cachedir.h"
#include "base/hash.h"
#include "base/outfile.h"
#include "base/program.h"
#include "formats/json.h"

/* To be raised with every change of what the arrays of a tokenizer mean or how they are made. */
enum { LAYOUT = 3 };

enum { SMALL = 1 << 20 }; /* bytes of a file that is read in no time */

bool tokenizer_cache_find(struct tokenizer_cache *c, const void *p, size_t size)
{
    const uint16_t one = 1;
    char hash[HASH_HEX];
    buf_init(&c->folder);
    buf_init(&c->path);
    if (size < SMALL || !cachedir_path(&c->folder))
        return false;
    hash_bytes_hex(p, size, hash);
    buf_addf(&c->path, "%s/%s.tokenizer", c->folder.p, hash);
    snprintf(c->key, sizeof c->key, "tuneutils %s, tokenizer %d, %zu bits, %s, of %zu bytes %s",
             TUNEUTILS_VERSION, LAYOUT, 8 * sizeof size, *(const char *)&one ? "little" : "big",
             size, hash);
    return true;
}

void tokenizer_cache_release(struct tokenizer_cache *c)
{
    buf_release(&c->folder);
    buf_release(&c->path);
}

bool tokenizer_cache_restore(const struct image *image, struct vocab_json *v)
{
    size_t n;
    const char *rest = image_array(image, "rest", 1, &n);
    memset(v, 0, sizeof *v);
    vocab_init(&v->vocab);
    if (!rest || !vocab_restore(&v->vocab, image, "vocab"))
        return false;
    v->rest = json_parse(rest, n, NULL);
    v->has_vocab = true;
    v->has_merges = image_array(image, "merges.ids", sizeof(uint32_t), &n);
    v->has_scores = image_array(image, "scores", sizeof(double), &n);
    return v->rest;
}

void tokenizer_cache_keep(const struct tokenizer_cache *c, const struct tokenizer *t,
                          const struct vocab_json *v)
{
    struct image_writer w = {.n = 0};
    struct err ignored;
    image_put(&w, "rest", v->rest_text.p, v->rest_text.len, 1);
    vocab_put(&t->vocab, &w, "vocab");
    if (t->bpe)
        bpe_put(t->bpe, &w);
    else if (t->unigram)
        unigram_put(t->unigram, &w);
    if (!directory_make(c->folder.p, &ignored))
        image_write(&w, c->path.p, c->key, &ignored);
}
