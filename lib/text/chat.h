/*
 * chat: documents to token ids and the mask of what is learnt.
 *
 * Messages are rendered by the chat template, and what is learnt comes from the rendering: the
 * template interpreter says which characters are a message's own. Nothing is searched for in what
 * people wrote, so a user who repeats the assistant's words, or writes a special token, changes
 * nothing.
 *
 * What is learnt of an assistant's turn: what the message holds (reasoning, content, calls) with
 * the template's text between these, and behind it the token that ends the turn. More exactly, from
 * the first to the last byte of the message, and
 * - before it, template text that the generation prompt doesn't end with and that doesn't stand
 *   before a plain answer too: "[TOOL_CALLS] [", or "<think>\n" before a reasoning;
 * - behind it, up to and including the first token that ends generation; if there is none in the
 *   turn, the last special token; if there is none, the text that the template writes there.
 * A template with {% generation %} decides itself. A token is learnt if it begins in such a span,
 * or if it begins in spaces of the template right before it that the generation prompt doesn't
 * have. The first token of a document is never learnt: nothing predicts it.
 */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "formats/document.h"
#include "text/template.h"
#include "text/tokenizer.h"

enum chat_train {
    CHAT_TRAIN_AUTO,      /* assistant for messages, completion for a prompt and its completion, all
                             for text; ids say it themselves */
    CHAT_TRAIN_ASSISTANT, /* every assistant's turn; a completion; nothing of a text */
    CHAT_TRAIN_LAST,      /* the last assistant's turn; a completion; nothing of a text */
    CHAT_TRAIN_COMPLETION, /* what answers the prompt; of one list of messages its last turn */
    CHAT_TRAIN_ALL, /* every token; a text's are just those that the tokenizer gives, without an
                       EOS of ours behind them */
};
extern const char *const chat_train_choices[];

enum chat_style {
    CHAT_STYLE_AUTO,  /* prompt and completion as a chat where the model has a template; Alpaca's
                         instructions in their own frame */
    CHAT_STYLE_CHAT,  /* both as a chat */
    CHAT_STYLE_PLAIN, /* both as plain text, one after the other */
};
extern const char *const chat_style_choices[];

struct chat_options {
    enum chat_train train_on;
    enum chat_style style;
    bool allow_special;        /* special tokens in what people wrote are special tokens */
    bool no_specials;          /* no BOS and EOS around plain text */
    const char *template_text; /* instead of the model's; NULL: the model's */
    size_t template_len;
    const char *template_name; /* for messages */
    const json_t *variables;   /* further variables of the template; NULL for none */
};

struct chat; /* immutable: any number of threads may use one */

/* Keeps the tokenizer, not its options. */
int chat_new(struct chat **c, const struct tokenizer *t, const struct chat_options *o,
             struct err *err);
void chat_free(struct chat *c);
const struct tokenizer *chat_tokenizer(const struct chat *c);
bool chat_has_template(const struct chat *c);
/* Hash of the template's text; "" if there is none. */
void chat_template_hash(const struct chat *c, char hex[HASH_HEX]);

/* Bytes [start, end) of the text. */
struct chat_span {
    size_t start, end;
    bool reach_back; /* a token that begins in spaces before it belongs to it too */
    double weight;   /* of its tokens */
};

/* What came of a document, and the work memory of one thread; reused from document to document. */
struct chat_result {
    struct token_list tokens;
    uint8_t *trained; /* [tokens.n] */
    bool weighted;    /* some trained tokens have a weight but 1 besides the document's */
    double *weights;  /* [tokens.n], if so: what the loss of each is multiplied by; 1 of others */
    size_t trained_cap, n_trained;
    uint64_t text_bytes; /* of text behind the trained tokens, special tokens aside */
    bool rendered;       /* by the template */
    size_t lost_calls;   /* messages that call tools where the template doesn't write it: turns that
                            aren't learnt, since what is there is not what was meant */
    struct buf text;     /* what was tokenised; empty for ids */
    struct chat_span *spans; /* of the text that is learnt */
    size_t n_spans, spans_cap;

    struct template_rendering rendering;
    struct tokenizer_scratch *scratch; /* made when it is needed, unless the caller lends one */
    struct tokenizer_span *plain;
    size_t n_plain, plain_cap;
};

void chat_result_init(struct chat_result *r, const struct chat *c);
void chat_result_release(struct chat_result *r);

/* May change the document's shape from COMPLETION to MESSAGES. */
int chat_encode(const struct chat *c, struct document *d, struct chat_result *out, struct err *err);

/* A PREFERENCE or a LABEL: its answers [n_answers], each with the prompt before it. Only the answer
 * is trained; where nothing of it is, out[i]->n_trained is 0. */
int chat_encode_answers(const struct chat *c, struct document *d, struct chat_result *const out[2],
                        struct err *err);

/* The prompt that a model goes on from: messages rendered with the generation prompt, a PROMPT or
 * the prompt of a COMPLETION in the same style that chat_encode gives it, a text with its BOS.
 * Nothing is trained. */
int chat_encode_prompt(const struct chat *c, struct document *d, struct chat_result *out,
                       struct err *err);

#endif
