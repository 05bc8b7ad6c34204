/*
 * template: chat templates, a Jinja interpreter that renders byte for byte what transformers does.
 *
 * The environment is transformers': trim_blocks, lstrip_blocks, loop controls, tojson without HTML
 * escapes, raise_exception, strftime_now, {% generation %}. Rendering is bounded in steps, depth
 * and memory; a template can compute but not reach anything outside.
 */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct template;

/* Compiles. Errors name the template's line. `name` is for messages. */
int template_compile(struct template **t, const char *name, const char *source, size_t len,
                     struct err *err);
void template_free(struct template *t);

/* Bytes [start, end) of the rendering that came out of one message's content, or from inside
 * {% generation %}. */
struct template_span {
    size_t start, end;
    int message;    /* index into messages, -1 for a generation span */
    int generation; /* 1: inside {% generation %} */
};

struct template_rendering {
    struct buf text;
    struct template_span *spans; /* in order of start */
    size_t n_spans, spans_cap;
    int has_generation; /* the template has {% generation %} blocks */
};

void template_rendering_init(struct template_rendering *r);
void template_rendering_release(struct template_rendering *r);

/*
 * Renders with the variables of the object `variables` (messages, tools, add_generation_prompt,
 * bos_token, ...). Where strings of messages[i] (content, tool calls, reasoning) reach the output,
 * a span says so: taint follows the characters through filters, slices and concatenation.
 */
int template_render(const struct template *t, const json_t *variables, struct template_rendering *out,
                    struct err *err);

#endif
