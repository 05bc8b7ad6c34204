/*
 * prompt: what a model is to go on from, read from JSON Lines or lines of text.
 *
 * Documents are those of training (formats/document.h), encoded by the functions that encode them
 * there, so that a prompt looks to the model as it did when it learnt. An answer that a document
 * has is left out of the prompt and kept as the reference.
 */
#ifndef TEXT_PROMPT_H
#define TEXT_PROMPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "formats/document.h"
#include "text/chat.h"

struct prompt {
    json_t *id;      /* the document's, else its number in the input, from 0 */
    struct buf text; /* as it was given if it was one text, else as the template rendered it */
    uint32_t *ids;   /* [n], text and ids allocated by prompt_read */
    size_t n;
    struct buf reference;
    bool has_text; /* false: ids were given and there is no tokenizer */
    bool has_reference;
    char *place; /* "prompts.jsonl:17" */
};

void prompt_init(struct prompt *p);
void prompt_release(struct prompt *p);

enum prompt_form {
    PROMPT_JSON,  /* JSON Lines of documents */
    PROMPT_LINES, /* each line that isn't empty is a prompt, as {"prompt": line} */
    PROMPT_FILES, /* each file is one, without the newline at its end */
};

struct prompt_reader;

struct prompt_reader_options {
    char *const *files; /* [n_files]; none: stdin */
    size_t n_files;
    enum prompt_form form;
    struct document_fields fields;     /* for JSON Lines */
    const struct chat *chat;           /* NULL: the model has no tokenizer, so prompts are ids */
    const struct tokenizer *tokenizer; /* the chat's; NULL as well */
};

struct prompt_reader *prompt_reader_new(const struct prompt_reader_options *options);
void prompt_reader_free(struct prompt_reader *r); /* NULL is allowed */
/* 1 and a prompt, which the caller releases; 0 at the end; -1 with "file:line: what". */
int prompt_read(struct prompt_reader *r, struct prompt *p, struct err *err);

/* A single prompt that is one text, as {"prompt": text}. */
int prompt_from_text(struct prompt *p, struct prompt_reader *r, const char *text, size_t len,
                     struct err *err);

/* A conversation, a list of messages of which the last isn't the assistant's, up to where the next
 * answer begins. */
int prompt_from_messages(struct prompt *p, struct prompt_reader *r, const json_t *messages,
                         struct err *err);

#endif
