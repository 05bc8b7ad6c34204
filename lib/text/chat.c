#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/chat_turns.h"

const char *const chat_train_choices[] = {"auto", "assistant", "last", "completion", "all", NULL};
const char *const chat_style_choices[] = {"auto", "chat", "plain", NULL};

/* ---- set up ---- */

/* A template that doesn't compile is an error only for documents that need it. */
static void compile(struct chat *c, const struct chat_options *o)
{
    size_t len = o->template_len, tools_len;
    const char *name = o->template_name ? o->template_name : "chat template";
    const char *text = o->template_text;
    const char *with_tools = NULL;
    if (!text) {
        name = "chat template";
        text = tokenizer_chat_template(c->tokenizer, NULL, &len);
        with_tools = tokenizer_chat_template(c->tokenizer, "tool_use", &tools_len);
    }
    if (!text)
        return;
    hash_bytes_hex(text, len, c->template_hash);
    if (template_compile(&c->plain, name, text, len, &c->broken))
        return;
    if (with_tools)
        template_compile(&c->with_tools, "chat template tool_use", with_tools, tools_len,
                         &c->broken);
}

/* bos_token and eos_token, as transformers hands them to the template. */
static void add_token(struct chat *c, const char *name, int64_t id)
{
    size_t len;
    const char *text = id < 0 ? NULL : tokenizer_token(c->tokenizer, (uint32_t)id, &len);
    if (text)
        json_object_set_new(c->variables, name, json_stringn(text, len));
}

int chat_new(struct chat **out, const struct tokenizer *t, const struct chat_options *o,
             struct err *err)
{
    struct chat *c = xcalloc(1, sizeof *c);
    c->tokenizer = t;
    c->options = *o;
    c->options.template_text = c->options.template_name = NULL;
    c->options.variables = NULL;
    c->variables = json_object();
    json_object_set_new(c->variables, "tools", json_null());
    json_object_set_new(c->variables, "documents", json_null());
    json_object_set_new(c->variables, "add_generation_prompt", json_false());
    add_token(c, "bos_token", tokenizer_bos(t));
    add_token(c, "eos_token", tokenizer_eos(t));
    if (o->variables)
        json_object_update(c->variables, (json_t *)(uintptr_t)o->variables);
    buf_init(&c->header.prompt);
    buf_init(&c->header.answer);
    buf_init(&c->tools_header.prompt);
    buf_init(&c->tools_header.answer);
    compile(c, o);
    if (o->template_text && *c->broken.msg) {
        *err = c->broken;
        chat_free(c);
        return -1;
    }
    turn_header_probe(&c->header, c->plain, c->variables);
    turn_header_probe(&c->tools_header, c->with_tools, c->variables);
    *out = c;
    return 0;
}

void chat_free(struct chat *c)
{
    if (!c)
        return;
    template_free(c->plain);
    template_free(c->with_tools);
    json_decref(c->variables);
    buf_release(&c->header.prompt);
    buf_release(&c->header.answer);
    buf_release(&c->tools_header.prompt);
    buf_release(&c->tools_header.answer);
    free(c);
}

const struct tokenizer *chat_tokenizer(const struct chat *c)
{
    return c->tokenizer;
}

bool chat_has_template(const struct chat *c)
{
    return *c->template_hash;
}

void chat_template_hash(const struct chat *c, char hex[HASH_HEX])
{
    memcpy(hex, c->template_hash, HASH_HEX);
}

void chat_result_init(struct chat_result *r, const struct chat *c)
{
    *r = (struct chat_result){.n_trained = 0};
    buf_init(&r->text);
    template_rendering_init(&r->rendering);
    (void)c;
}

void chat_result_release(struct chat_result *r)
{
    token_list_release(&r->tokens);
    free(r->trained);
    free(r->weights);
    buf_release(&r->text);
    free(r->spans);
    template_rendering_release(&r->rendering);
    tokenizer_scratch_free(r->scratch);
    free(r->plain);
    *r = (struct chat_result){.n_trained = 0};
}

static void clear(const struct chat *c, struct chat_result *r)
{
    if (!r->scratch)
        r->scratch = tokenizer_scratch_new(c->tokenizer);
    r->tokens.n = r->n_trained = r->n_spans = r->n_plain = 0;
    r->text_bytes = r->lost_calls = 0;
    r->rendered = r->weighted = false;
    buf_clear(&r->text);
}

/* ---- the mask ---- */

static void reserve_trained(struct chat_result *r)
{
    if (r->tokens.n > r->trained_cap) {
        r->trained_cap = r->tokens.n + r->tokens.n / 2;
        r->trained = xreallocarray(r->trained, r->trained_cap, 1);
        r->weights = xreallocarray(r->weights, r->trained_cap, sizeof *r->weights);
    }
    if (r->tokens.n)
        memset(r->trained, 0, r->tokens.n);
}

static size_t token_end(const struct chat_result *r, size_t i)
{
    size_t end = i + 1 < r->tokens.n ? r->tokens.offsets[i + 1] : r->text.len;
    return end > r->tokens.offsets[i] ? end : r->tokens.offsets[i];
}

/* Whether token i, which begins before the span, is spaces and then text of it. */
static bool reaches_into(const struct chat_result *r, size_t i, const struct chat_span *s)
{
    if (!s->reach_back || token_end(r, i) <= s->start)
        return false;
    for (size_t k = r->tokens.offsets[i]; k < s->start; k++)
        if (r->text.p[k] != ' ')
            return false;
    return true;
}

/* Trains tokens [first, end). Most documents have no weights but 1, and none are written for them.
 */
static void train(struct chat_result *r, size_t first, size_t end, double weight)
{
    memset(r->trained + first, 1, end - first);
    r->n_trained += end - first;
    if (weight == 1)
        return;
    for (size_t i = 0; !r->weighted && i < r->tokens.n; i++)
        r->weights[i] = 1;
    r->weighted = true;
    for (size_t i = first; i < end; i++)
        r->weights[i] = weight;
}

/* Both lists are in order, so what follows a span's first token is of the span up to its end. */
static void mark(const struct chat *c, struct chat_result *r)
{
    const struct tokenizer_specials specials = tokenizer_specials(c->tokenizer);
    size_t s = 0, i = 1;
    reserve_trained(r);
    while (i < r->tokens.n) {
        size_t first = i, start = r->tokens.offsets[i];
        while (s < r->n_spans && r->spans[s].end <= start)
            s++;
        if (s == r->n_spans)
            break;
        if (start < r->spans[s].start && !reaches_into(r, i, &r->spans[s])) {
            i++;
            continue;
        }
        for (; i < r->tokens.n && r->tokens.offsets[i] < r->spans[s].end; i++)
            r->text_bytes += tokenizer_specials_has(&specials, r->tokens.ids[i])
                                 ? 0
                                 : token_end(r, i) - r->tokens.offsets[i];
        train(r, first, i, r->spans[s].weight);
    }
}

void chat_span_add(struct chat_result *r, size_t start, size_t end, bool reach_back, double weight)
{
    ARRAY_GROW(r->spans, r->n_spans, r->spans_cap);
    r->spans[r->n_spans++] = (struct chat_span){start, end, reach_back, weight};
}

/* ---- rendered documents ---- */

static int render(const struct chat *c, const struct document *d, bool generation_prompt,
                  struct chat_result *out, struct err *err)
{
    const struct template *t =
        c->with_tools && json_object_get(d->variables, "tools") ? c->with_tools : c->plain;
    if (*c->broken.msg)
        return err_set(err, "%s", c->broken.msg);
    if (!t)
        return err_set(err, "the document is a chat, but the model has no chat template: give one "
                            "with --template");
    json_t *variables = json_copy(c->variables);
    json_object_update(variables, d->variables);
    json_t *messages = turn_messages(d);
    json_object_set_new(variables, "messages", messages);
    if (generation_prompt)
        json_object_set_new(variables, "add_generation_prompt", json_true());
    int rc = template_render(t, variables, &out->rendering, err);
    json_decref(variables);
    if (rc < 0 && out->rendering.raised)
        err_prefix(err, "the chat template refuses the messages");
    return rc;
}

/* What people wrote: there, special tokens are text. */
static void collect_plain(struct chat_result *r)
{
    for (size_t i = 0; i < r->rendering.n_spans; i++) {
        const struct template_span *s = &r->rendering.spans[i];
        struct tokenizer_span *last = r->n_plain ? &r->plain[r->n_plain - 1] : NULL;
        if (s->origin == TEMPLATE_LITERAL || s->start == s->end)
            continue;
        if (last && last->end == s->start) {
            last->end = s->end;
            continue;
        }
        ARRAY_GROW(r->plain, r->n_plain, r->plain_cap);
        r->plain[r->n_plain++] = (struct tokenizer_span){s->start, s->end};
    }
}

/* The template has written BOS itself, or the model's makers wanted none. */
static int encode_rendered(const struct chat *c, const struct document *d, bool generation_prompt,
                           struct chat_result *out, struct err *err)
{
    if (render(c, d, generation_prompt, out, err))
        return -1;
    out->rendered = true;
    buf_add(&out->text, out->rendering.text.p, out->rendering.text.len);
    if (!c->options.allow_special)
        collect_plain(out);
    return tokenizer_encode_around(c->tokenizer, out->scratch, out->text.p, out->text.len,
                                   TOKENIZER_ALLOW_SPECIAL, out->plain, out->n_plain, &out->tokens,
                                   err);
}

static int encode_messages(const struct chat *c, const struct document *d, struct chat_result *out,
                           struct err *err)
{
    if (encode_rendered(c, d, false, out, err))
        return -1;
    if (c->options.train_on == CHAT_TRAIN_ALL)
        chat_span_add(out, 0, SIZE_MAX, false, 1);
    else
        turn_spans(c, d, out);
    mark(c, out);
    return 0;
}

/* ---- plain documents ---- */

static void append_token(struct chat_result *r, uint32_t id)
{
    size_t n = r->tokens.n;
    if (n == r->tokens.cap) {
        r->tokens.cap = n + 16;
        r->tokens.ids = xreallocarray(r->tokens.ids, r->tokens.cap, sizeof *r->tokens.ids);
        r->tokens.offsets =
            xreallocarray(r->tokens.offsets, r->tokens.cap, sizeof *r->tokens.offsets);
    }
    r->tokens.ids[n] = id;
    r->tokens.offsets[n] = (uint32_t)r->text.len;
    r->tokens.n++;
}

/* BOS twice would teach the model that texts begin so; a text may hold one of its own. */
static void drop_double_bos(const struct chat *c, struct chat_result *r)
{
    int64_t bos = tokenizer_bos(c->tokenizer);
    if (bos < 0 || r->tokens.n < 2 || r->tokens.ids[0] != bos || r->tokens.ids[1] != bos)
        return;
    r->tokens.n--;
    memmove(r->tokens.ids, r->tokens.ids + 1, r->tokens.n * sizeof *r->tokens.ids);
    memmove(r->tokens.offsets, r->tokens.offsets + 1, r->tokens.n * sizeof *r->tokens.offsets);
}

static int encode_as_is(const struct chat *c, struct chat_result *out, struct err *err)
{
    unsigned flags = c->options.allow_special ? TOKENIZER_ALLOW_SPECIAL : 0;
    if (!c->options.no_specials)
        flags |= TOKENIZER_ADD_SPECIAL;
    return tokenizer_encode(c->tokenizer, out->scratch, out->text.p, out->text.len, flags,
                            &out->tokens, err);
}

static int encode_plain(const struct chat *c, bool with_end, struct chat_result *out,
                        struct err *err)
{
    int64_t eos = tokenizer_eos(c->tokenizer);
    if (encode_as_is(c, out, err))
        return -1;
    if (c->options.no_specials)
        return 0;
    drop_double_bos(c, out);
    bool ended = out->tokens.n && eos >= 0 && out->tokens.ids[out->tokens.n - 1] == eos;
    if (with_end && eos >= 0 && !ended)
        append_token(out, (uint32_t)eos);
    if (!with_end && ended && out->tokens.offsets[out->tokens.n - 1] >= out->text.len)
        out->tokens.n--; /* the model goes on from here */
    return 0;
}

/* An ended text has its end's offset at text.len, so spans reach past it. */
static int encode_text(const struct chat *c, const struct document *d, struct chat_result *out,
                       struct err *err)
{
    enum chat_train on = c->options.train_on;
    buf_add(&out->text, d->text.p, d->text.len);
    /* "all" asks for the tokenizer's own tokens, as any tool for the model would give them. */
    if (on == CHAT_TRAIN_ALL ? encode_as_is(c, out, err) : encode_plain(c, true, out, err))
        return -1;
    if (on == CHAT_TRAIN_AUTO || on == CHAT_TRAIN_ALL)
        chat_span_add(out, 0, SIZE_MAX, false, 1);
    mark(c, out);
    return 0;
}

static int encode_completion(const struct chat *c, const struct document *d,
                             struct chat_result *out, struct err *err)
{
    buf_add(&out->text, d->text.p, d->text.len);
    buf_add(&out->text, d->completion.p, d->completion.len);
    if (encode_plain(c, true, out, err))
        return -1;
    /* "Say " and "Hello" may be the tokens "Say" and " Hello": better learnt with the space than
     * not. */
    chat_span_add(out, c->options.train_on == CHAT_TRAIN_ALL ? 0 : d->text.len, SIZE_MAX, true, 1);
    mark(c, out);
    return 0;
}

static int encode_ids(const struct chat *c, const struct document *d, struct chat_result *out,
                      struct err *err)
{
    size_t vocab = tokenizer_vocab_size(c->tokenizer);
    for (size_t i = 0; i < d->n_ids; i++) {
        if (d->ids[i] >= vocab)
            return err_set(err, "ids[%zu] is %u, the vocabulary has %zu tokens", i, d->ids[i],
                           vocab);
        append_token(out, d->ids[i]);
    }
    reserve_trained(out);
    for (size_t i = 1; i < d->n_ids; i++)
        if (!d->trained || d->trained[i])
            train(out, i, i + 1, d->weights ? d->weights[i] : 1);
    return 0;
}

/* ---- documents ---- */

static bool is_chat(const struct chat *c, const struct document *d)
{
    if (c->options.style != CHAT_STYLE_AUTO)
        return c->options.style == CHAT_STYLE_CHAT;
    return chat_has_template(c) && !d->is_alpaca;
}

int chat_encode(const struct chat *c, struct document *d, struct chat_result *out, struct err *err)
{
    clear(c, out);
    if (d->shape == DOCUMENT_COMPLETION && is_chat(c, d))
        document_make_chat(d);
    switch (d->shape) {
    case DOCUMENT_TEXT:
        return encode_text(c, d, out, err);
    case DOCUMENT_MESSAGES:
        return encode_messages(c, d, out, err);
    case DOCUMENT_COMPLETION:
        return encode_completion(c, d, out, err);
    case DOCUMENT_IDS:
        return encode_ids(c, d, out, err);
    case DOCUMENT_PROMPT:
        return err_set(err, "a prompt without a completion has nothing to learn");
    case DOCUMENT_PREFERENCE:
    case DOCUMENT_LABEL:
        return err_set(err, "a %s has answers to be tokenised", document_shape_names[d->shape]);
    }
    return 0;
}

int chat_encode_answers(const struct chat *c, struct document *d, struct chat_result *const out[2],
                        struct err *err)
{
    enum chat_train on = c->options.train_on;
    if (on == CHAT_TRAIN_ASSISTANT || on == CHAT_TRAIN_ALL)
        return err_set(err,
                       "--train-on %s is not for a %s: only what answers the prompt is "
                       "compared",
                       chat_train_choices[on], document_shape_names[d->shape]);
    for (size_t i = 0; i < d->n_answers; i++) {
        int rc = chat_encode(c, d->answers[i], out[i], err);
        if (!rc && out[i]->weighted)
            rc = err_set(err, "a message has a weight, but an answer is compared as a whole");
        if (rc)
            return d->n_answers == 1 ? -1 : err_prefix(err, i ? "rejected" : "chosen");
    }
    return 0;
}

int chat_encode_prompt(const struct chat *c, struct document *d, struct chat_result *out,
                       struct err *err)
{
    clear(c, out);
    if (d->shape == DOCUMENT_PREFERENCE || d->shape == DOCUMENT_LABEL || d->shape == DOCUMENT_IDS)
        return err_set(err, "%s can't be a prompt", document_shape_names[d->shape]);
    if (d->shape == DOCUMENT_COMPLETION) {
        d->shape = DOCUMENT_PROMPT;
        buf_clear(&d->completion);
    }
    if (d->shape == DOCUMENT_PROMPT && is_chat(c, d))
        document_make_chat(d);
    if (d->shape == DOCUMENT_MESSAGES) {
        while (d->n_prompt && json_array_size(d->messages) > d->n_prompt)
            json_array_remove(d->messages, json_array_size(d->messages) - 1);
        if (encode_rendered(c, d, true, out, err))
            return -1;
    } else {
        buf_add(&out->text, d->text.p, d->text.len);
        if (encode_plain(c, false, out, err))
            return -1;
    }
    reserve_trained(out);
    return 0;
}
