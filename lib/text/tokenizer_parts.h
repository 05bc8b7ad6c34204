/*
 * tokenizer_parts: what a tokenizer is made of; for the files that load and run one.
 */
#ifndef TEXT_TOKENIZER_PARTS_H
#define TEXT_TOKENIZER_PARTS_H

#include <jansson.h>

#include "base/image.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/detokenize.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/sp_units.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/unigram.h"
#include "text/vocab.h"
#include "text/wordpiece.h"
#include "text/words.h"

struct id_list {
    uint32_t *v;
    size_t n, cap;
};

struct chat_template {
    char *name; /* "default" for the one */
    char *text;
    size_t len;
};

struct tokenizer {
    struct unicode unicode;
    struct vocab vocab; /* the model's; added tokens may lie outside it */
    struct added added;
    struct normalizer *normalizer;
    struct pretokenizer *pretokenizer;
    struct bpe *bpe; /* one of these is there */
    struct unigram *unigram;
    struct wordpiece *wordpiece;
    struct sp_units *sp_units;
    struct word_model model; /* of that one */
    struct detokenizer *detokenizer;
    struct id_list before, after; /* what the post-processor puts around a text */
    struct id_list end_ids;
    int64_t bos, eos;
    size_t size;      /* highest id + 1 */
    uint8_t *special; /* [size / 8 + 1] a bit for each id */
    struct chat_template *templates;
    size_t n_templates, templates_cap;
    struct image *image; /* the cache that tables are in; NULL for none */
};

/* A tokenizer without anything, for a loader to fill; empty again; and its last step. */
struct tokenizer *tokenizer_new(void);
void tokenizer_clear(struct tokenizer *t);
int tokenizer_finish(struct tokenizer *t, struct err *err);

void id_list_add(struct id_list *l, uint32_t id); /* unless it's there */

/* normalizer, pre_tokenizer and decoder, as in tokenizer.json. byte_model: see pretokenizer_new. */
int tokenizer_set_pipeline(struct tokenizer *t, const json_t *spec, bool byte_model,
                           struct err *err);
/* The post_processor of tokenizer.json. */
int tokenizer_set_postprocessor(struct tokenizer *t, const json_t *spec, struct err *err);
/* Adds a token as `tokenizers` would: the id that the vocabulary has, else the one given. */
int tokenizer_add_token(struct tokenizer *t, struct added_token token, struct err *err);
void tokenizer_add_template(struct tokenizer *t, const char *name, const char *p, size_t len);
/* Ends of turn that published models use, where the vocabulary has them as special tokens. */
void tokenizer_find_end_ids(struct tokenizer *t);

int tokenizer_load_json(struct tokenizer *t, const char *path, struct err *err);
int tokenizer_load_gguf(struct tokenizer *t, const char *path, struct err *err);
int tokenizer_load_tiktoken(struct tokenizer *t, const char *path, struct err *err);
int tokenizer_load_sp(struct tokenizer *t, const char *path, struct err *err);
/* tokenizer_config.json and its neighbours: bos, eos, ends, chat templates. */
int tokenizer_load_config(struct tokenizer *t, const char *folder, struct err *err);
/* What of it completes a file that isn't tokenizer.json: added tokens, and whether BOS and EOS are
 * put around texts. Before tokenizer_load_config. */
int tokenizer_load_added(struct tokenizer *t, const char *folder, struct err *err);

enum tokenizer_kind {
    TOKENIZER_NONE,
    TOKENIZER_JSON,
    TOKENIZER_TIKTOKEN,
    TOKENIZER_SP,
    TOKENIZER_GGUF
};
/* Where a model's tokenizer is, and of which kind. */
struct tokenizer_source {
    enum tokenizer_kind kind;
    bool folder;     /* the model is one */
    struct buf path; /* the file */
};
/* The caller releases s->path. TOKENIZER_NONE: a folder without any. A file of no known kind counts
 * as GGUF, whose reader says what's wrong with it. Fails where there is no such path, and on a
 * folder with several. */
int tokenizer_find(struct tokenizer_source *s, const char *path, struct err *err);

#endif
