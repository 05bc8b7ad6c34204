/*
 * document: one training document of any shape, from a JSON object.
 *
 * Which keys are there says which shape it is; ft-tok(1) lists them. Names of roles are made the
 * usual ones, texts in parts are joined, and what can't be trained on as it stands (a tool's answer
 * without a call, an image, an unknown role) is an error that says where.
 */
#ifndef FORMATS_DOCUMENT_H
#define FORMATS_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum document_shape {
    DOCUMENT_TEXT,       /* text */
    DOCUMENT_MESSAGES,   /* messages, conversations; prompt and completion that are messages */
    DOCUMENT_COMPLETION, /* prompt, completion; instruction, input, output */
    DOCUMENT_PROMPT,     /* prompt or instruction alone: for generation, not for training */
    DOCUMENT_IDS,        /* ids, trained */
    DOCUMENT_PREFERENCE, /* chosen and rejected answers to a prompt */
    DOCUMENT_LABEL,      /* prompt, completion, and a label which says if it is a good one */
};

extern const char *const document_shape_names[];

enum { TRAIN_DEFAULT = -1, TRAIN_NO = 0, TRAIN_YES = 1 };

/* The document owns everything in it; document_clear keeps memory for the next one. */
struct document {
    enum document_shape shape;
    json_t *id;         /* a string or an integer; NULL: none */
    const char *source; /* of `object`; NULL: none */
    double weight;      /* 1 unless given */

    struct buf text;       /* TEXT: the text. COMPLETION, PROMPT: the prompt */
    struct buf completion; /* COMPLETION */
    /* COMPLETION and PROMPT: the prompt as the user of a chat would put it. As `text`, but for
     * instruction and input, where `text` has Alpaca's frame around them. */
    struct buf question;
    bool is_alpaca;

    json_t *messages;        /* MESSAGES: array of {role, content, ...} */
    signed char *train;      /* [messages]: TRAIN_DEFAULT, or what the message's "train" says */
    double *message_weights; /* [messages]: 1 unless given */
    size_t train_cap;
    const char *unusual_role; /* of `object`: the first role that isn't one of the usual; or NULL */
    size_t n_prompt;   /* the first so many messages are the prompt; 0 if they came as one list */
    json_t *variables; /* what else the template may see: tools, documents, chat_template_kwargs */

    /* PREFERENCE: the prompt with the chosen answer, and with the rejected one; LABEL: with the one
     * that there is. Documents of the shapes COMPLETION or MESSAGES, without the labels above. */
    struct document *answers[2];
    size_t n_answers;
    bool label; /* LABEL: it is as it should be */

    uint32_t *ids;    /* IDS */
    uint8_t *trained; /* [n_ids]; NULL: not given */
    double *weights;  /* [n_ids]; NULL: not given */
    size_t n_ids, ids_cap;

    json_t *object; /* what it was read from */
};

/* --field text=body: `field` is taken from the key `column`. */
struct document_field {
    const char *field, *column;
};

struct document_fields {
    const struct document_field *items;
    size_t n;
};

void document_init(struct document *d);
void document_clear(struct document *d);
void document_release(struct document *d);

/* Reads a JSON object. fields may be NULL. The error begins with the key that is wrong. */
int document_from_json(struct document *d, json_t *value, const struct document_fields *fields,
                       struct err *err);
/* A document of plain text. */
void document_from_text(struct document *d, const char *p, size_t len);

/* A prompt and its completion, as two messages of a chat. Changes the shape to MESSAGES. */
void document_make_chat(struct document *d);

#endif
