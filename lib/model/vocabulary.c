#include "model/vocabulary.h"

#include <string.h>

int vocabulary_load(struct vocabulary *v, const char *path, size_t size, struct tokenizer **keep,
                    struct err *err)
{
    *v = (struct vocabulary){.size = size};
    if (keep)
        *keep = NULL;
    int there = tokenizer_exists(path, err);
    if (there <= 0)
        return there;
    struct tokenizer *t;
    if (tokenizer_load(&t, path, err))
        return -1;
    tokenizer_hash(t, v->tokenizer);
    if (keep)
        *keep = t;
    else
        tokenizer_free(t);
    return 0;
}

int vocabulary_check(const struct vocabulary *v, const struct stream_header *h, struct err *err)
{
    /* A tokenizer may know fewer ids than the embedding has rows, which are often padded. */
    if (h->vocab_size > v->size)
        return err_set(err, "made for a vocabulary of %lu, the model has %zu",
                       (unsigned long)h->vocab_size, v->size);
    if (v->tokenizer[0] && h->tokenizer[0] && strcmp(v->tokenizer, h->tokenizer) != 0)
        return err_set(err, "made with another tokenizer (hash %.8s...) than the model's (%.8s...)",
                       h->tokenizer, v->tokenizer);
    return 0;
}
