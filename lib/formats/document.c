#include "formats/document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/document_completion.h"
#include "formats/document_messages.h"
#include "formats/document_preference.h"

const char *const document_shape_names[] = {
    "text", "messages", "prompt and completion", "prompt", "ids", "preference", "label"};

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
    d->n_prompt = d->n_ids = d->n_answers = 0;
    for (size_t i = 0; i < ARRAY_SIZE(d->answers); i++)
        if (d->answers[i])
            document_clear(d->answers[i]);
    free(d->trained);
    free(d->weights);
    d->trained = NULL;
    d->weights = NULL;
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
    free(d->message_weights);
    free(d->ids);
    for (size_t i = 0; i < ARRAY_SIZE(d->answers); i++)
        if (d->answers[i]) {
            document_release(d->answers[i]);
            free(d->answers[i]);
        }
    document_init(d);
}

/* ---- ids ---- */

/* Of each token besides the document's own. */
static int read_weights(struct document *d, struct err *err)
{
    const json_t *weights = document_get(d, "weights");
    if (!weights)
        return 0;
    if (!json_is_array(weights) || json_array_size(weights) != d->n_ids)
        return err_set(err, "weights must be an array as long as ids");
    d->weights = xcalloc(d->n_ids + 1, sizeof *d->weights);
    for (size_t i = 0; i < d->n_ids; i++) {
        const json_t *w = json_array_get(weights, i);
        d->weights[i] = json_is_number(w) ? json_number_value(w) : -1;
        if (!(d->weights[i] >= 0 && isfinite(d->weights[i])))
            return err_set(err, "weights[%zu] is %s, expected a number that is not negative", i,
                           json_is_number(w) ? "negative" : json_kind(w));
    }
    return 0;
}

static int read_ids(struct document *d, struct err *err)
{
    const json_t *ids = document_get(d, "ids"), *trained = document_get(d, "trained");
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
    return read_weights(d, err);
}

/* ---- the object ---- */

/* A shape is recognised by keys that must all be there; the first that fits counts. */
static const struct {
    const char *keys[3];
    enum document_shape shape;
} shapes[] = {
    {{"ids"}, DOCUMENT_IDS},
    {{"chosen", "rejected"}, DOCUMENT_PREFERENCE},
    {{"messages"}, DOCUMENT_MESSAGES},
    {{"conversations"}, DOCUMENT_MESSAGES},
    {{"prompt", "completion", "label"}, DOCUMENT_LABEL},
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
            "completion, instruction and output, chosen and rejected, or ids",
            keys.len ? keys.p : "no keys");
    buf_release(&keys);
    return -1;
}

/* Other labels, those of a classification for instance, say nothing of the completion. */
static bool is_label(const json_t *v)
{
    return json_is_boolean(v) || (json_is_integer(v) && (json_integer_value(v) | 1) == 1);
}

static bool is_named(const struct document_fields *fields, const char *key)
{
    for (size_t i = 0; fields && i < fields->n; i++)
        if (!strcmp(fields->items[i].field, key))
            return true;
    return false;
}

/* Whether all keys of shape i are there, and, if so asked, one of them was named by the user. */
static bool fits(const struct document *d, size_t i, const struct document_fields *named)
{
    bool any = !named;
    for (size_t k = 0; k < ARRAY_SIZE(shapes[i].keys) && shapes[i].keys[k]; k++) {
        const char *key = shapes[i].keys[k];
        const json_t *v = document_get(d, key);
        if (!v || (!strcmp(key, "label") && !is_label(v)))
            return false;
        any = any || is_named(named, key);
    }
    return any;
}

/* What the user named goes before what happens to be there. */
static int find_shape(struct document *d, const struct document_fields *fields, struct err *err)
{
    for (int named = fields && fields->n ? 1 : 0; named >= 0; named--)
        for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
            if (fits(d, i, named ? fields : NULL)) {
                d->shape = shapes[i].shape;
                return 0;
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
    const json_t *source = document_get(d, "source"), *weight = document_get(d, "weight");
    d->id = document_get(d, "id");
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
    if (!d->object || find_shape(d, fields, err) || read_labels(d, err))
        return -1;
    switch (d->shape) {
    case DOCUMENT_TEXT:
        return document_get_text(d, "text", "text", &d->text, err);
    case DOCUMENT_MESSAGES: {
        const char *key = document_get(d, "messages") ? "messages" : "conversations";
        return messages_read(d, key, document_get(d, key), err);
    }
    case DOCUMENT_COMPLETION:
        return document_get(d, "prompt") && document_get(d, "completion")
                   ? completion_read(d, "completion", err)
                   : alpaca_read(d, "output", err);
    case DOCUMENT_PROMPT:
        return question_read(d, err);
    case DOCUMENT_IDS:
        return read_ids(d, err);
    case DOCUMENT_PREFERENCE:
        return preference_read(d, err);
    case DOCUMENT_LABEL:
        return label_read(d, err);
    }
    return 0;
}

void document_from_text(struct document *d, const char *p, size_t len)
{
    document_clear(d);
    d->shape = DOCUMENT_TEXT;
    buf_add(&d->text, p, len);
}
