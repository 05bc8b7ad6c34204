/*
 * template: chat templates, a Jinja interpreter that renders byte for byte what transformers does.
 *
 * The environment is transformers': trim_blocks, lstrip_blocks, loop controls, tojson without HTML
 * escapes, raise_exception, strftime_now, {% generation %}, the immutable sandbox. Rendering is
 * bounded in steps, depth and memory; a template can compute but not reach anything outside.
 *
 * While it renders it keeps, for every character, where it came from: taint follows the characters
 * through variables, filters, slices, macros and concatenation.
 */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct template;

/* Compiles. Errors name the template's line. `name` is for messages. The result is immutable: any
 * number of threads may render it. */
int template_compile(struct template **t, const char *name, const char *source, size_t len,
                     struct err *err);
void template_free(struct template *t);

/* From here on what is undefined is an error where it would be written, as in Jinja's
 * StrictUndefined; chat templates count on its being empty. */
void template_set_strict(struct template *t);

/* Whether the template mentions the variable anywhere. */
bool template_mentions(const struct template *t, const char *variable);

enum template_origin {
    TEMPLATE_LITERAL,   /* the template's own text, and a message's role */
    TEMPLATE_CONTENT,   /* messages[i].content */
    TEMPLATE_REASONING, /* messages[i].reasoning_content, .reasoning, .thinking */
    TEMPLATE_CALL,      /* anything inside messages[i].tool_calls */
    TEMPLATE_FIELD,     /* any other key of messages[i]: name, tool_call_id ... */
    TEMPLATE_DATA,      /* tools, documents and other variables that are no message */
};

/* Bytes [start, end) of the rendering. */
struct template_span {
    size_t start, end;
    int message; /* index into messages. Of literal text: the message that the template's loop was
                    at when it wrote it, -1 outside such a loop. -1 for TEMPLATE_DATA */
    enum template_origin origin;
};

struct template_rendering {
    struct buf text;
    /* They cover the text without gaps, in order. An empty one marks the place where an empty
     * string of a message stands. */
    struct template_span *spans;
    size_t n_spans, spans_cap;
    /* The blocks {% generation %}, in order; origin and message are those of their first byte. */
    struct template_span *generations;
    size_t n_generations, generations_cap;
    bool has_generation; /* the template has such blocks, whether or not they were reached */
    bool raised;         /* it failed because the template called raise_exception */
};

void template_rendering_init(struct template_rendering *r);
void template_rendering_release(struct template_rendering *r);
void template_rendering_clear(struct template_rendering *r);

/*
 * Renders with the variables of the object `variables` (messages, tools, add_generation_prompt,
 * bos_token, ...) into `out`, which it clears first. On failure `out->raised` says whether the
 * template itself refused the messages.
 */
int template_render(const struct template *t, const json_t *variables,
                    struct template_rendering *out, struct err *err);

#endif
