/*
 * tokenizer: text to token ids and back, id for id as the `tokenizers` library.
 *
 * Loaded from a folder's tokenizer.json (with tokenizer_config.json and special_tokens_map.json
 * beside it where they matter), from a GGUF file's metadata, from a rank file of tiktoken or from a
 * model of SentencePiece, and then id for id as these have it. Immutable once loaded: any number of
 * threads may use one tokenizer, each with its own tokenizer_scratch.
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

struct tokenizer;
struct tokenizer_scratch; /* word cache and work memory of one thread */

/* path: a model folder (only tokenizer files are needed), or a .gguf, .tiktoken or .model file. */
int tokenizer_load(struct tokenizer **t, const char *path, struct err *err);
/* 1 if path holds a tokenizer, 0 if not (a model of ids only), -1 on an unreadable path. */
int tokenizer_exists(const char *path, struct err *err);
/* Whether path is a file that has a tokenizer and nothing else of a model. */
bool tokenizer_is_file(const char *path);
void tokenizer_free(struct tokenizer *t);

struct tokenizer_scratch *tokenizer_scratch_new(const struct tokenizer *t);
void tokenizer_scratch_free(struct tokenizer_scratch *s);

/* Token ids that grow, and where each token's text begins: byte offset into the text encoded. */
struct token_list {
    uint32_t *ids;
    uint32_t
        *offsets; /* [n]: tokenizer_encode's start of each token in the original text, in bytes */
    size_t n, cap;
};
void token_list_release(struct token_list *l);

enum tokenizer_flags {
    TOKENIZER_ALLOW_SPECIAL = 1, /* special tokens written in the text become their ids; otherwise
                                    they are text like any other */
    TOKENIZER_ADD_SPECIAL = 2,   /* what the post-processor adds (BOS, EOS, [CLS] ...) */
};

/*
 * Appends the ids of text[len] (UTF-8, may hold NULs; invalid bytes count as U+FFFD) to out.
 * Added tokens that are not special are matched always; special ones with ALLOW_SPECIAL only.
 */
int tokenizer_encode(const struct tokenizer *t, struct tokenizer_scratch *s, const char *text,
                     size_t len, unsigned flags, struct token_list *out, struct err *err);

/* Bytes [start, end) of a text. */
struct tokenizer_span {
    size_t start, end;
};

/*
 * The same, but a special token is text where it touches one of the plain spans, which are in
 * order of start and don't overlap: what a user wrote inside a template's rendering.
 */
int tokenizer_encode_around(const struct tokenizer *t, struct tokenizer_scratch *s,
                            const char *text, size_t len, unsigned flags,
                            const struct tokenizer_span *plain, size_t n_plain,
                            struct token_list *out, struct err *err);

/* Appends the text of ids, special tokens kept unless skip_special. As `tokenizers`' decode. */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_special,
                     struct buf *out, struct err *err);

size_t tokenizer_vocab_size(const struct tokenizer *t); /* highest id + 1 */
/* The token's string as it stands in the vocabulary; NULL for an id without one. */
const char *tokenizer_token(const struct tokenizer *t, uint32_t id, size_t *len);
int64_t tokenizer_id(const struct tokenizer *t, const char *token, size_t len); /* -1: none */
bool tokenizer_is_special(const struct tokenizer *t, uint32_t id);
/* The same for who asks of every token: a bit for each id below size. */
struct tokenizer_specials {
    const uint8_t *bits;
    size_t size;
};
struct tokenizer_specials tokenizer_specials(const struct tokenizer *t);
static inline bool tokenizer_specials_has(const struct tokenizer_specials *s, uint32_t id)
{
    return id < s->size && s->bits[id / 8] >> id % 8 & 1;
}
int64_t tokenizer_bos(const struct tokenizer *t); /* -1: none */
int64_t tokenizer_eos(const struct tokenizer *t);
/* Every id that ends generation (eos and the template's end of turn); returns their number. */
size_t tokenizer_end_ids(const struct tokenizer *t, const uint32_t **ids);

/* The chat template that came with the model (chat_template.jinja, tokenizer_config.json, GGUF);
 * name NULL is the default one. NULL if there is none. */
const char *tokenizer_chat_template(const struct tokenizer *t, const char *name, size_t *len);

/* Hash of (id, string) of the whole vocabulary without unused padding: the same for a folder and
 * the GGUF file made from it. */
void tokenizer_hash(const struct tokenizer *t, char hex[HASH_HEX]);

#endif
