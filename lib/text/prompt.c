#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/archive.h"
#include "formats/document.h"
#include "formats/json.h"

enum { LINE_LIMIT = 1 << 30 };

struct prompt_reader {
    struct prompt_reader_options options;
    size_t file;      /* the one that is open, or the next */
    struct input *in; /* NULL: none is open */
    bool taken;       /* what is open has been read as one prompt */
    struct buf line;
    struct document document;
    struct chat_result result;
    json_int_t count;
};

void prompt_init(struct prompt *p)
{
    *p = (struct prompt){0};
    buf_init(&p->text);
    buf_init(&p->reference);
}

void prompt_release(struct prompt *p)
{
    json_decref(p->id);
    buf_release(&p->text);
    buf_release(&p->reference);
    free(p->ids);
    free(p->place);
    prompt_init(p);
}

struct prompt_reader *prompt_reader_new(const struct prompt_reader_options *options)
{
    struct prompt_reader *r = xcalloc(1, sizeof *r);
    r->options = *options;
    buf_init(&r->line);
    document_init(&r->document);
    if (options->chat)
        chat_result_init(&r->result, options->chat);
    return r;
}

void prompt_reader_free(struct prompt_reader *r)
{
    if (!r)
        return;
    input_close(r->in);
    buf_release(&r->line);
    document_release(&r->document);
    if (r->options.chat)
        chat_result_release(&r->result);
    free(r);
}

/* ---- one document ---- */

static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && !strcmp(role, "assistant");
}

static void set_reference(struct prompt *p, const char *text, size_t len)
{
    buf_add(&p->reference, text, len);
    p->has_reference = true;
}

/* The answer that stands in the document: messages behind the prompt, or the last one. */
static void take_answer(struct prompt *p, struct document *d)
{
    if (d->shape == DOCUMENT_COMPLETION)
        set_reference(p, d->completion.p, d->completion.len);
    if (d->shape != DOCUMENT_MESSAGES)
        return;
    size_t n = json_array_size(d->messages), answer = d->n_prompt ? d->n_prompt : n - 1;
    const json_t *message = json_array_get(d->messages, answer);
    if (!n || !is_assistant(message))
        return;
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content))
        set_reference(p, json_string_value(content), json_string_length(content));
    if (!d->n_prompt)
        json_array_remove(d->messages, answer);
}

static int take_ids(struct prompt *p, const struct prompt_reader *r, struct err *err)
{
    const struct document *d = &r->document;
    p->n = d->n_ids;
    p->ids = xreallocarray(NULL, p->n, sizeof *p->ids);
    if (p->n)
        memcpy(p->ids, d->ids, p->n * sizeof *p->ids);
    if (!r->options.tokenizer)
        return 0;
    p->has_text = true;
    return tokenizer_decode(r->options.tokenizer, p->ids, p->n, false, &p->text, err);
}

static int encode(struct prompt *p, struct prompt_reader *r, struct err *err)
{
    struct document *d = &r->document;
    struct chat_result *result = &r->result;
    if (d->shape == DOCUMENT_IDS)
        return take_ids(p, r, err);
    if (!r->options.chat)
        return err_set(err, "the model has no tokenizer: prompts must be given as ids");
    take_answer(p, d);
    if (d->shape == DOCUMENT_COMPLETION || d->shape == DOCUMENT_PROMPT)
        buf_add(&p->text, d->question.p, d->question.len);
    if (d->shape == DOCUMENT_TEXT)
        buf_add(&p->text, d->text.p, d->text.len);
    bool whole = d->shape == DOCUMENT_MESSAGES;
    if (chat_encode_prompt(r->options.chat, d, result, err))
        return -1;
    if (whole)
        buf_add(&p->text, result->text.p, result->text.len);
    p->has_text = true;
    p->n = result->tokens.n;
    p->ids = xreallocarray(NULL, p->n, sizeof *p->ids);
    if (p->n)
        memcpy(p->ids, result->tokens.ids, p->n * sizeof *p->ids);
    return 0;
}

static int from_json(struct prompt *p, struct prompt_reader *r, json_t *value, struct err *err)
{
    document_clear(&r->document);
    if (document_from_json(&r->document, value, &r->options.fields, err) || encode(p, r, err))
        return -1;
    p->id = r->document.id ? json_incref(r->document.id) : json_integer(r->count);
    return 0;
}

/* A document that is made here: the user's names of fields aren't its. Takes value. */
static int from_made(struct prompt *p, struct prompt_reader *r, json_t *value, struct err *err)
{
    struct document_fields fields = r->options.fields, none = {NULL, 0};
    if (!value)
        return err_set(err, "the text is no UTF-8");
    r->options.fields = none;
    int status = from_json(p, r, value, err);
    r->options.fields = fields;
    json_decref(value);
    return status;
}

int prompt_from_text(struct prompt *p, struct prompt_reader *r, const char *text, size_t len,
                     struct err *err)
{
    return from_made(p, r, json_pack("{s:s%}", "prompt", text, len), err);
}

int prompt_from_messages(struct prompt *p, struct prompt_reader *r, const json_t *messages,
                         struct err *err)
{
    return from_made(p, r, json_pack("{s:O}", "messages", messages), err);
}

/* ---- lines ---- */

static int next_json(struct prompt *p, struct prompt_reader *r, struct err *err)
{
    json_t *value;
    int status = json_next_line(r->in, &r->line, &value, err);
    if (status <= 0)
        return status;
    status = from_json(p, r, value, err);
    json_decref(value);
    return status ? err_prefix(err, "%s:%zu", input_name(r->in), input_line_number(r->in)) : 1;
}

/* Blank lines are no prompts. */
static int next_text(struct prompt *p, struct prompt_reader *r, struct err *err)
{
    int status;
    do {
        status = input_line(r->in, &r->line, LINE_LIMIT, err);
        if (status <= 0)
            return status;
        if (r->line.len && r->line.p[r->line.len - 1] == '\r')
            r->line.p[--r->line.len] = 0;
    } while (!r->line.len);
    if (prompt_from_text(p, r, r->line.p, r->line.len, err))
        return err_prefix(err, "%s:%zu", input_name(r->in), input_line_number(r->in));
    return 1;
}

/* A whole file, once; r->line holds what has been read of it. */
static int next_file(struct prompt *p, struct prompt_reader *r, struct err *err)
{
    ssize_t got;
    if (r->taken)
        return 0;
    buf_clear(&r->line);
    do {
        buf_reserve(&r->line, 1 << 16);
        got = input_read(r->in, r->line.p + r->line.len, 1 << 16, err);
        if (got < 0)
            return -1;
        r->line.len += (size_t)got;
        if (r->line.len > LINE_LIMIT)
            return err_set(err, "%s: over %d bytes in one prompt", input_name(r->in), LINE_LIMIT);
    } while (got);
    r->taken = true;
    if (r->line.len && r->line.p[r->line.len - 1] == '\n')
        r->line.len--;
    if (!r->line.len)
        return err_set(err, "%s: is empty", input_name(r->in));
    if (prompt_from_text(p, r, r->line.p, r->line.len, err))
        return err_prefix(err, "%s", input_name(r->in));
    return 1;
}

static int next_of_input(struct prompt *p, struct prompt_reader *r, struct err *err)
{
    switch (r->options.form) {
    case PROMPT_LINES:
        return next_text(p, r, err);
    case PROMPT_FILES:
        return next_file(p, r, err);
    default:
        return next_json(p, r, err);
    }
}

static int open_next(struct prompt_reader *r, struct err *err)
{
    const struct prompt_reader_options *o = &r->options;
    return input_open(&r->in, o->n_files ? o->files[r->file] : NULL, err);
}

static char *place_of(const struct prompt_reader *r)
{
    struct buf b = BUF_INIT;
    buf_addstr(&b, input_name(r->in));
    if (r->options.form != PROMPT_FILES)
        buf_addf(&b, ":%zu", input_line_number(r->in));
    return buf_detach(&b, NULL);
}

int prompt_read(struct prompt_reader *r, struct prompt *p, struct err *err)
{
    size_t n = r->options.n_files ? r->options.n_files : 1;
    int status = 0;
    prompt_init(p);
    while (!status && r->file < n) {
        if (!r->in && open_next(r, err))
            return -1;
        status = next_of_input(p, r, err);
        if (status)
            break;
        input_close(r->in);
        r->in = NULL;
        r->file++;
        r->taken = false;
    }
    if (status > 0) {
        p->place = place_of(r);
        r->count++;
    }
    if (status < 0)
        prompt_release(p);
    return status;
}
