#include "formats/document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/document_messages.h"

const char *const document_shape_names[] = {"text",   "messages", "prompt and completion",
                                            "prompt", "ids",      "preference"};

enum { MAX_STRING = 65536 }; /* of an id or a source, as ft-stream(5) */

void document_init(struct document *d)
{
    *d = (struct document){.weight = 1};
    buf_init(&d->text);
    buf_init(&d->completion);
    buf_init(&d->question);
}

void document_clear(struct document *d)
{
    json_decref(d->object);
    json_decref(d->messages);
    json_decref(d->variables);
    d->object = d->messages = d->variables = d->id = NULL;
    d->source = d->unusual_role = NULL;
    d->weight = 1;
    d->is_alpaca = false;
    d->n_prompt = d->n_ids = 0;
    free(d->trained);
    d->trained = NULL;
    buf_clear(&d->text);
    buf_clear(&d->completion);
    buf_clear(&d->question);
}

void document_release(struct document *d)
{
    document_clear(d);
    buf_release(&d->text);
    buf_release(&d->completion);
    buf_release(&d->question);
    free(d->train);
    free(d->ids);
    document_init(d);
}

/* A key that is there and not null. */
static json_t *get(const struct document *d, const char *key)
{
    json_t *v = json_object_get(d->object, key);
    return json_is_null(v) ? NULL : v;
}

static int get_text(const struct document *d, const char *key, struct buf *out, struct err *err)
{
    const json_t *v = get(d, key);
    if (!json_is_string(v))
        return err_set(err, "%s is %s, expected a string", key, json_kind(v));
    buf_add(out, json_string_value(v), json_string_length(v));
    return 0;
}

/* ---- ids ---- */

static int read_ids(struct document *d, struct err *err)
{
    const json_t *ids = get(d, "ids"), *trained = get(d, "trained");
    if (!json_is_array(ids))
        return err_set(err, "ids is %s, expected an array of token ids", json_kind(ids));
    size_t n = json_array_size(ids);
    if (trained && (!json_is_array(trained) || json_array_size(trained) != n))
        return err_set(err, "trained must be an array as long as ids");
    if (n > d->ids_cap) {
        d->ids = xreallocarray(d->ids, n, sizeof *d->ids);
        d->ids_cap = n;
    }
    d->trained = trained ? xcalloc(n + 1, 1) : NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(ids, i), *t = json_array_get(trained, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > UINT32_MAX)
            return err_set(err, "ids[%zu] is no token id", i);
        d->ids[i] = (uint32_t)json_integer_value(id);
        if (!trained)
            continue;
        bool number = json_is_integer(t) && (json_integer_value(t) | 1) == 1;
        if (!json_is_boolean(t) && !number)
            return err_set(err, "trained[%zu] is %s, expected 0 or 1", i, json_kind(t));
        d->trained[i] = json_is_true(t) || (number && json_integer_value(t));
    }
    d->n_ids = n;
    return 0;
}

/* ---- instruction, input, output ---- */

/* The frame of Stanford's Alpaca, without which its descendants don't recognise an instruction. */
static void add_alpaca(struct buf *out, const char *instruction, const char *input)
{
    if (*input)
        buf_addf(
            out,
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:\n",
            instruction, input);
    else
        buf_addf(out,
                 "Below is an instruction that describes a task. Write a response that "
                 "appropriately completes the request.\n\n"
                 "### Instruction:\n%s\n\n### Response:\n",
                 instruction);
}

static int read_alpaca(struct document *d, struct err *err)
{
    struct buf instruction = BUF_INIT, input = BUF_INIT;
    int rc = get_text(d, "instruction", &instruction, err);
    if (!rc && get(d, "input"))
        rc = get_text(d, "input", &input, err);
    if (!rc && (strlen(instruction.p) != instruction.len || strlen(input.p) != input.len))
        rc = err_set(err, "instruction or input holds U+0000");
    if (!rc && get(d, "output"))
        rc = get_text(d, "output", &d->completion, err);
    if (!rc) {
        add_alpaca(&d->text, instruction.p, input.p);
        buf_add(&d->question, instruction.p, instruction.len);
        if (input.len)
            buf_addf(&d->question, "\n\n%s", input.p);
        d->is_alpaca = true;
    }
    buf_release(&instruction);
    buf_release(&input);
    return rc;
}

/* ---- prompt and completion ---- */

static int read_completion(struct document *d, struct err *err)
{
    const json_t *prompt = get(d, "prompt"), *completion = get(d, "completion");
    if (json_is_array(prompt) || json_is_array(completion)) {
        if (!json_is_array(prompt) || !json_is_array(completion))
            return err_set(err,
                           "prompt is %s and completion is %s: both must be strings or both "
                           "lists of messages",
                           json_kind(prompt), json_kind(completion));
        d->shape = DOCUMENT_MESSAGES;
        d->n_prompt = json_array_size(prompt);
        if (!d->n_prompt || !json_array_size(completion))
            return err_set(err, "%s is empty", d->n_prompt ? "completion" : "prompt");
        return messages_read(d, "prompt", prompt, err) ||
                       messages_read(d, "completion", completion, err)
                   ? -1
                   : 0;
    }
    if (get_text(d, "prompt", &d->text, err) || get_text(d, "completion", &d->completion, err))
        return -1;
    buf_add(&d->question, d->text.p, d->text.len);
    return 0;
}

static int read_prompt(struct document *d, struct err *err)
{
    const json_t *prompt = get(d, "prompt");
    if (!prompt)
        return read_alpaca(d, err);
    if (json_is_array(prompt)) {
        d->shape = DOCUMENT_MESSAGES;
        return messages_read(d, "prompt", prompt, err);
    }
    if (get_text(d, "prompt", &d->text, err))
        return -1;
    buf_add(&d->question, d->text.p, d->text.len);
    return 0;
}

void document_make_chat(struct document *d)
{
    json_t *user =
        json_pack("{s:s, s:s%}", "role", "user", "content", d->question.p, d->question.len);
    json_t *messages = json_array();
    json_array_append_new(messages, user);
    if (d->shape == DOCUMENT_COMPLETION)
        json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                                  d->completion.p, d->completion.len));
    json_decref(d->messages);
    d->messages = messages;
    if (d->train_cap < 2) {
        d->train = xrealloc(d->train, 2);
        d->train_cap = 2;
    }
    d->train[0] = d->train[1] = TRAIN_DEFAULT;
    d->n_prompt = 1;
    d->shape = DOCUMENT_MESSAGES;
}

/* ---- the object ---- */

/* A shape is recognised by keys that must all be there; the first that fits counts. */
static const struct {
    const char *keys[3];
    enum document_shape shape;
} shapes[] = {
    {{"ids"}, DOCUMENT_IDS},
    {{"messages"}, DOCUMENT_MESSAGES},
    {{"conversations"}, DOCUMENT_MESSAGES},
    {{"chosen", "rejected"}, DOCUMENT_PREFERENCE},
    {{"prompt", "completion", "label"}, DOCUMENT_PREFERENCE},
    {{"prompt", "completion"}, DOCUMENT_COMPLETION},
    {{"instruction", "output"}, DOCUMENT_COMPLETION},
    {{"text"}, DOCUMENT_TEXT},
    {{"prompt"}, DOCUMENT_PROMPT},
    {{"instruction"}, DOCUMENT_PROMPT},
};

static int fail_unknown(const struct document *d, struct err *err)
{
    struct buf keys = BUF_INIT;
    const char *key;
    json_t *v;
    json_object_foreach(d->object, key, v)
    {
        if (keys.len > 200) {
            buf_addstr(&keys, ", ...");
            break;
        }
        buf_addf(&keys, "%s\"%.60s\"%s", keys.len ? ", " : "", key,
                 json_is_null(v) ? " (null)" : "");
    }
    err_set(err,
            "no known shape: found %s, expected text, messages, conversations, prompt and "
            "completion, instruction and output, or ids",
            keys.len ? keys.p : "no keys");
    buf_release(&keys);
    return -1;
}

static int find_shape(struct document *d, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        bool all = true;
        for (size_t k = 0; k < ARRAY_SIZE(shapes[i].keys) && shapes[i].keys[k]; k++)
            all &= get(d, shapes[i].keys[k]) != NULL;
        if (all) {
            d->shape = shapes[i].shape;
            return 0;
        }
    }
    return fail_unknown(d, err);
}

static bool is_name(const json_t *v)
{
    return json_is_string(v) && json_string_length(v) <= MAX_STRING &&
           strlen(json_string_value(v)) == json_string_length(v);
}

/* id, source, weight */
static int read_labels(struct document *d, struct err *err)
{
    const json_t *source = get(d, "source"), *weight = get(d, "weight");
    d->id = get(d, "id");
    if (d->id && !is_name(d->id) && !json_is_integer(d->id))
        return err_set(err, "id is %s, expected a string of at most %d bytes or a whole number",
                       json_kind(d->id), MAX_STRING);
    if (source && !is_name(source))
        return err_set(err, "source is %s, expected a string of at most %d bytes",
                       json_kind(source), MAX_STRING);
    d->source = json_string_value(source);
    if (!weight)
        return 0;
    d->weight = json_is_number(weight) ? json_number_value(weight) : -1;
    if (!(d->weight >= 0 && isfinite(d->weight)))
        return err_set(err, "weight is %s, expected a number that is not negative",
                       json_is_number(weight) ? "negative" : json_kind(weight));
    return 0;
}

/* The same object with each field taken from its column. */
static json_t *rename_fields(json_t *value, const struct document_fields *fields, struct err *err)
{
    if (!fields || !fields->n)
        return json_incref(value);
    json_t *out = json_copy(value);
    for (size_t i = 0; i < fields->n; i++) {
        json_t *v = json_object_get(value, fields->items[i].column);
        if (!v) {
            err_set(err, "there is no \"%s\" to take as %s", fields->items[i].column,
                    fields->items[i].field);
            json_decref(out);
            return NULL;
        }
        json_object_set(out, fields->items[i].field, v);
    }
    return out;
}

int document_from_json(struct document *d, json_t *value, const struct document_fields *fields,
                       struct err *err)
{
    document_clear(d);
    if (!json_is_object(value))
        return err_set(err, "found %s, expected an object", json_kind(value));
    d->object = rename_fields(value, fields, err);
    if (!d->object || find_shape(d, err) || read_labels(d, err))
        return -1;
    switch (d->shape) {
    case DOCUMENT_TEXT:
        return get_text(d, "text", &d->text, err);
    case DOCUMENT_MESSAGES: {
        const char *key = get(d, "messages") ? "messages" : "conversations";
        return messages_read(d, key, get(d, key), err);
    }
    case DOCUMENT_COMPLETION:
        return get(d, "prompt") && get(d, "completion") ? read_completion(d, err)
                                                        : read_alpaca(d, err);
    case DOCUMENT_PROMPT:
        return read_prompt(d, err);
    case DOCUMENT_IDS:
        return read_ids(d, err);
    case DOCUMENT_PREFERENCE:
        return 0;
    }
    return 0;
}

void document_from_text(struct document *d, const char *p, size_t len)
{
    document_clear(d);
    d->shape = DOCUMENT_TEXT;
    buf_add(&d->text, p, len);
}
