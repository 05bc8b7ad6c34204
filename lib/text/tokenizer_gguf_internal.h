/*
 * tokenizer_gguf_internal: what the kinds of vocabularies that GGUF files have share.
 */
#ifndef TEXT_TOKENIZER_GGUF_INTERNAL_H
#define TEXT_TOKENIZER_GGUF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "text/tokenizer_parts.h"

enum gguf_token_type {
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN,
    GGUF_TOKEN_CONTROL,
    GGUF_TOKEN_USER,
    GGUF_TOKEN_UNUSED,
    GGUF_TOKEN_BYTE
};

/* tokenizer.ggml.tokens with their types, which older files lack: all are normal then. */
struct gguf_tokens {
    const struct gguf_value *texts;
    const struct gguf_value *types; /* NULL: none */
};

int gguf_tokens_find(struct gguf_tokens *l, const struct gguf *g, struct err *err);
static inline int gguf_token_type(const struct gguf_tokens *l, size_t i)
{
    return l->types ? (int)gguf_array_number(l->types, i) : GGUF_TOKEN_NORMAL;
}

/* The vocabulary: all but the unused ones, as they are written. */
int gguf_load_tokens(struct tokenizer *t, const struct gguf_tokens *l, struct err *err);
/* Control tokens, the unknown one and those that users defined are found in texts before anything
 * else is done to them. After the pipeline is set. */
int gguf_load_added(struct tokenizer *t, const struct gguf_tokens *l, struct err *err);
/* BOS, EOS and the ends of a turn; whether they stand around a text where the file doesn't say. */
void gguf_load_ends(struct tokenizer *t, const struct gguf *g, bool add_bos, bool add_eos);
int64_t gguf_special_id(const struct tokenizer *t, const struct gguf *g, const char *key);
int64_t gguf_unknown_id(const struct tokenizer *t, const struct gguf *g);

/* tokenizer.ggml.model "llama" and "t5": SentencePiece's BPE and Unigram. */
int gguf_load_spm(struct tokenizer *t, const struct gguf *g, struct err *err);
int gguf_load_t5(struct tokenizer *t, const struct gguf *g, struct err *err);

#endif
