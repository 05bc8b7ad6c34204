/* Where an assistant's turn begins and ends in a rendering: chat.c's other half. */
#ifndef TEXT_CHAT_TURNS_H
#define TEXT_CHAT_TURNS_H

#include "text/chat.h"

/* What the template writes before an answer. */
struct turn_header {
    struct buf prompt; /* with add_generation_prompt, behind a user's message; may be empty */
    struct buf answer; /* before the text of a plain answer, in its turn */
};

struct chat {
    const struct tokenizer *tokenizer;
    struct chat_options options; /* its pointers are NULL */
    json_t *variables;
    struct template *plain, *with_tools; /* NULL: none */
    struct err broken; /* why the template can't be used; "" if it can, or there is none */
    struct turn_header header, tools_header;
    char template_hash[HASH_HEX];
};

/* Finds the header by rendering a user's question and an answer; leaves it empty for a template
 * that refuses them, and for NULL. */
void turn_header_probe(struct turn_header *h, const struct template *t, const json_t *variables);

/* The messages as transformers hands them to a template: reasoning under each of its names. */
json_t *turn_messages(const struct document *d);

/* Adds the spans to learn of a rendered document whose tokens are known. */
void turn_spans(const struct chat *c, const struct document *d, struct chat_result *r);

void chat_span_add(struct chat_result *r, size_t start, size_t end, bool reach_back, double weight);

#endif
