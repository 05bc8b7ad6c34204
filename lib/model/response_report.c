#include "model/response_report.h"

#include "formats/json.h"

static void add_key(struct buf *b, const char *prefix, const char *name)
{
    buf_addf(b, ",\"%s%s\":", prefix, name);
}

static void add_ids(struct buf *b, const uint32_t *ids, size_t n)
{
    buf_addch(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addch(b, ',');
        buf_addu(b, ids[i]);
    }
    buf_addch(b, ']');
}

static void add_text(struct buf *b, bool known, const struct buf *text)
{
    if (known)
        json_add_string(b, text->p, text->len);
    else
        buf_addstr(b, "null");
}

static void add_logprobs(const struct completion *c, struct buf *b)
{
    for (size_t i = 0; i < completion_count(c); i++) {
        buf_addch(b, i ? ',' : '[');
        json_add_real(b, c->logprobs[i]);
    }
    buf_addstr(b, completion_count(c) ? "]" : "[]");
}

/* A token by itself: its id, the vocabulary's string for it, log p. */
static void add_chance(const struct response_report *how, const struct token_chance *t,
                       struct buf *b)
{
    size_t len;
    const char *token = how->tokenizer ? tokenizer_token(how->tokenizer, t->id, &len) : NULL;
    buf_addf(b, "{\"id\":%u,", t->id);
    if (token) {
        buf_addstr(b, "\"token\":");
        json_add_string(b, token, len);
        buf_addch(b, ',');
    }
    buf_addstr(b, "\"logprob\":");
    json_add_real(b, t->logprob);
    buf_addch(b, '}');
}

static void add_top(const struct response_report *how, const struct completion *c, struct buf *b)
{
    buf_addch(b, '[');
    for (size_t i = 0; i < completion_count(c); i++) {
        buf_addstr(b, i ? ",[" : "[");
        for (size_t k = 0; k < c->options->n_top; k++) {
            if (k)
                buf_addch(b, ',');
            add_chance(how, completion_top(c, i) + k, b);
        }
        buf_addch(b, ']');
    }
    buf_addch(b, ']');
}

static const char *const verdict_names[] = {"pass", "fail", "timeout"};

/* prefix "": the only side. */
static void add_details(const struct response_report *how, const struct response_side *side,
                        const char *prefix, enum verdict verdict, struct buf *b)
{
    const struct completion *c = &side->completion;
    add_key(b, prefix, "finish");
    buf_addstr(b, side->finish == FINISH_STOP ? "\"stop\"" : "\"length\"");
    if (how->checked) {
        add_key(b, prefix, "format");
        buf_addf(b, "\"%s\"", verdict_names[verdict]);
    }
    if (how->ids || !how->tokenizer) {
        add_key(b, *prefix ? prefix : "completion_", "ids");
        add_ids(b, completion_ids(c), completion_count(c));
    }
    if (how->logprobs) {
        add_key(b, prefix, "logprobs");
        add_logprobs(c, b);
    }
    if (c->options->n_top) {
        add_key(b, prefix, "top_logprobs");
        add_top(how, c, b);
    }
}

void response_report(const struct response_report *how, const struct response *r,
                     const enum verdict *verdicts, struct buf *b)
{
    static const char *const names[] = {"base", "tuned"}, *const prefixes[] = {"base_", "tuned_"};
    const struct prompt *p = r->prompt;
    bool with_text = how->tokenizer != NULL;
    buf_addstr(b, "{\"id\":");
    json_add(b, p->id);
    if (how->sampled)
        buf_addf(b, ",\"sample\":%zu", r->sample);
    add_key(b, "", "prompt");
    add_text(b, p->has_text, &p->text);
    if (how->ids || !with_text) {
        add_key(b, "", "prompt_ids");
        add_ids(b, p->ids, p->n);
    }
    size_t n_sides = 1u + how->compare;
    for (size_t i = 0; i < n_sides; i++) {
        add_key(b, "", how->compare ? names[i] : "completion");
        add_text(b, with_text, &r->sides[i].completion.text);
    }
    for (size_t i = 0; i < n_sides; i++)
        add_details(how, &r->sides[i], how->compare ? prefixes[i] : "", verdicts[i], b);
    if (p->has_reference) {
        add_key(b, "", "reference");
        add_text(b, true, &p->reference);
    }
    buf_addstr(b, "}\n");
}
