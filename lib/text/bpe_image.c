/* The tables of a byte pair encoding, into an image and out of one. */
#include <stdlib.h>

#include "text/bpe_internal.h"

/* Whether words that are tokens are looked up by their bytes. */
static bool has_words(const struct bpe *b)
{
    return b->options.ignore_merges && b->options.bytes;
}

void bpe_put(const struct bpe *b, struct image_writer *w)
{
    merge_table_put(&b->table, w);
    image_put(w, "bpe.lengths", b->lengths, b->vocab->n, sizeof *b->lengths);
    image_put(w, "bpe.may_cut", &b->may_cut, 1, sizeof b->may_cut);
    if (has_words(b))
        vocab_put(&b->words, w, "words");
    if (b->options.bytes) {
        byte_pairs_put(b->byte_pairs, w);
        return;
    }
    image_put(w, "bpe.char_ids", b->char_ids, CHARS, sizeof *b->char_ids);
    cuts_put(&b->cuts, w);
}

/* An array of n numbers; NULL where there's no such array, or one with a number that is neither
 * below `most` nor `none`. */
static uint32_t *numbers(const struct image *image, const char *name, size_t n, size_t most,
                         uint32_t none)
{
    size_t found = 0, outside = 0;
    const uint32_t *p = image_array(image, name, sizeof *p, &found);
    if (!p || found != n)
        return NULL;
    for (size_t i = 0; i < n; i++)
        outside += p[i] >= most && p[i] != none;
    return outside ? NULL : (uint32_t *)(uintptr_t)p; /* never written through */
}

static bool restore_bytes(struct bpe *b, const struct image *image)
{
    b->byte_pairs = byte_pairs_restore(image, b->vocab->n);
    if (!b->byte_pairs)
        return false;
    return !has_words(b) || (vocab_restore(&b->words, image, "words") && b->words.n <= b->vocab->n);
}

static bool restore_chars(struct bpe *b, const struct image *image)
{
    size_t n = 0;
    const unsigned char *may_cut = image_array(image, "bpe.may_cut", 1, &n);
    b->char_ids = numbers(image, "bpe.char_ids", CHARS, b->vocab->n, NO_TOKEN);
    if (!may_cut || n != 1 || !b->char_ids)
        return false;
    b->may_cut = *may_cut;
    return cuts_restore(&b->cuts, image);
}

struct bpe *bpe_restore(const struct vocab *v, const struct bpe_options *o,
                        const struct image *image)
{
    struct bpe *b = bpe_start(v, o);
    b->borrowed = true;
    b->lengths = numbers(image, "bpe.lengths", v->n, VOCAB_NONE, VOCAB_NONE);
    if (b->lengths && merge_table_restore(&b->table, image, v->n) &&
        (o->bytes ? restore_bytes(b, image) : restore_chars(b, image)))
        return b;
    bpe_free(b);
    return NULL;
}
