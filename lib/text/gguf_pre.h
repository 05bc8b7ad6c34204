/*
 * gguf_pre: what the names in a GGUF file's tokenizer.ggml.pre stand for, as the pre_tokenizer of
 * the tokenizer.json that such a file is made from.
 */
#ifndef TEXT_GGUF_PRE_H
#define TEXT_GGUF_PRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct gguf_pre {
    const char *name;
    const char *pre_tokenizer; /* JSON */
    const char *normalizer;    /* JSON; NULL for none */
    bool ignore_merges;        /* a word that is a token is not merged up to it */
    bool add_bos;              /* where tokenizer.ggml.add_bos_token doesn't say */
    /* Tokens are written as the text they stand for, not as its bytes spelled by ByteLevel; a
     * character that is none becomes its bytes, "<0x0A>", or nothing where there are no such. */
    bool plain;
};

/* NULL: not known. name need not end with a NUL. */
const struct gguf_pre *gguf_pre_find(const char *name, size_t len);

/*
 * The entry for a tokenizer.json, by what its pre_tokenizer and model.ignore_merges do, not by how
 * they are written; only byte-level ones. NULL: llama.cpp has no name for it that is known here.
 */
const struct gguf_pre *gguf_pre_of(const json_t *tokenizer);

#endif
