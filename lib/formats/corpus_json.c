#include "formats/corpus_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

struct json_document {
    uint32_t *ids;
    uint8_t *trained;
    double *weights;
    size_t cap;
    bool has_trained;
    struct buf id, source;
    struct stream_document document; /* what it points at is of the above */
};

static int get_ids(const struct corpus *c, const json_t *ids, struct json_document *d,
                   struct err *err)
{
    if (!json_is_array(ids))
        return err_set(err, "\"ids\" is no array");
    size_t n = json_array_size(ids);
    if (n > d->cap) {
        d->ids = xreallocarray(d->ids, n, sizeof *d->ids);
        d->trained = xreallocarray(d->trained, n, sizeof *d->trained);
        d->weights = xreallocarray(d->weights, n, sizeof *d->weights);
        d->cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(ids, i);
        if (!json_is_integer(v))
            return err_set(err, "ids[%zu] is no whole number", i);
        json_int_t id = json_integer_value(v);
        if (id < 0 || id >= (json_int_t)c->header.vocab_size)
            return err_set(err,
                           "ids[%zu] is %" JSON_INTEGER_FORMAT ", but the vocabulary has %" PRIu32,
                           i, id, c->header.vocab_size);
        d->ids[i] = (uint32_t)id;
    }
    return 0;
}

static int get_trained(const json_t *trained, size_t n, struct json_document *d, struct err *err)
{
    d->has_trained = trained && !json_is_null(trained);
    if (!d->has_trained)
        return 0;
    if (!json_is_array(trained))
        return err_set(err, "\"trained\" is no array");
    if (json_array_size(trained) != n)
        return err_set(err, "\"trained\" has %zu values, \"ids\" has %zu", json_array_size(trained),
                       n);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(trained, i);
        json_int_t number = json_is_boolean(v) ? json_is_true(v) : json_integer_value(v);
        if ((!json_is_boolean(v) && !json_is_integer(v)) || number < 0 || number > 1)
            return err_set(err, "trained[%zu] is neither 0 nor 1", i);
        d->trained[i] = (uint8_t)number;
    }
    return 0;
}

/* A string or a whole number as text; *out NULL where it is absent or null. */
static int get_string(const json_t *object, const char *key, struct buf *b, char **out,
                      struct err *err)
{
    const json_t *v = json_object_get(object, key);
    *out = NULL;
    buf_clear(b);
    if (!v || json_is_null(v))
        return 0;
    if (json_is_integer(v))
        buf_addf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_string(v))
        buf_add(b, json_string_value(v), json_string_length(v));
    else
        return err_set(err, "\"%s\" is neither a string nor a whole number", key);
    if (b->len > STREAM_MAX_STRING || strlen(b->p) != b->len)
        return err_set(err, "\"%s\" is over %d bytes long or holds U+0000", key, STREAM_MAX_STRING);
    *out = b->p;
    return 0;
}

static int get_weight(const json_t *object, struct stream_document *d, struct err *err)
{
    const json_t *weight = json_object_get(object, "weight");
    if (!weight || json_is_null(weight))
        return 0;
    d->weight = json_number_value(weight);
    if (!json_is_number(weight) || !isfinite(d->weight) || d->weight < 0)
        return err_set(err, "\"weight\" is no number of 0 or more");
    return 0;
}

static int get_weights(const json_t *weights, size_t n, struct json_document *d, struct err *err)
{
    d->document.weights = NULL;
    if (!weights || json_is_null(weights))
        return 0;
    if (!json_is_array(weights) || json_array_size(weights) != n)
        return err_set(err, "\"weights\" is no array as long as \"ids\"");
    for (size_t i = 0; i < n; i++) {
        const json_t *w = json_array_get(weights, i);
        d->weights[i] = json_number_value(w);
        if (!json_is_number(w) || !isfinite(d->weights[i]) || d->weights[i] < 0)
            return err_set(err, "weights[%zu] is no number of 0 or more", i);
    }
    d->document.weights = d->weights;
    return 0;
}

static int get_bytes(const json_t *object, struct stream_document *d, struct err *err)
{
    const json_t *bytes = json_object_get(object, "bytes");
    if (!bytes || json_is_null(bytes))
        return 0;
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 0 || json_integer_value(bytes) >> 48)
        return err_set(err, "\"bytes\" is no number of bytes");
    d->text_bytes = (uint64_t)json_integer_value(bytes);
    return 0;
}

/* The ids and what is trained of them in one object, into d. */
static int get_tokens(const struct corpus *c, const json_t *object, struct json_document *d,
                      struct err *err)
{
    const json_t *ids = json_object_get(object, "ids");
    if (!ids)
        return err_set(err, json_is_object(object) ? "no \"ids\"; text goes through ft-tok first"
                                                   : "no object with \"ids\"");
    d->document.text_bytes = 0;
    return get_ids(c, ids, d, err) ||
                   get_trained(json_object_get(object, "trained"), json_array_size(ids), d, err) ||
                   get_weights(json_object_get(object, "weights"), json_array_size(ids), d, err) ||
                   get_bytes(object, &d->document, err)
               ? -1
               : 0;
}

/* A prompt and its completion, of which the mask says where it begins. */
static int add_completion(struct corpus *c, const json_t *object, struct json_document *d,
                          struct err *err)
{
    size_t n = json_array_size(json_object_get(object, "ids"));
    if (get_tokens(c, object, d, err))
        return -1;
    if (d->document.weights)
        return err_set(err, "\"weights\" of tokens; a completion is compared as a whole");
    if (!d->has_trained)
        return err_set(err, "no \"trained\", which says where the completion begins");
    if (n < 2 || stream_prompt_tokens(d->trained + 1, n - 1) == n - 1)
        return err_set(err, "no id is trained, so there is no completion");
    return corpus_add(c, d->ids, d->trained, n, &d->document, err);
}

static int add_preference(struct corpus *c, const json_t *object, struct json_document *d,
                          struct err *err)
{
    static const char *const sides[] = {"chosen", "rejected"};
    for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
        if (add_completion(c, json_object_get(object, sides[i]), d, err))
            return err_prefix(err, "\"%s\"", sides[i]);
    return 0;
}

static int get_label(const json_t *label, struct stream_document *d, struct err *err)
{
    json_int_t number = json_is_boolean(label) ? json_is_true(label) : json_integer_value(label);
    if ((!json_is_boolean(label) && !json_is_integer(label)) || number < 0 || number > 1)
        return err_set(err, "\"label\" is neither true nor false");
    d->label = number;
    return 0;
}

static bool has(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return v && !json_is_null(v);
}

static int add_object(struct corpus *c, const json_t *object, struct json_document *d,
                      struct err *err)
{
    bool pair = has(object, "chosen") || has(object, "rejected"), labelled = has(object, "label");
    enum stream_kind kind = pair ? STREAM_PREFERENCE : labelled ? STREAM_LABEL : STREAM_TOKENS;
    stream_document_init(&d->document);
    if (corpus_take_kind(c, kind, err))
        return err_prefix(err, "this");
    if (get_string(object, "id", &d->id, &d->document.id, err) ||
        get_string(object, "source", &d->source, &d->document.source, err) ||
        get_weight(object, &d->document, err))
        return -1;
    if (pair)
        return add_preference(c, object, d, err);
    if (labelled)
        return get_label(json_object_get(object, "label"), &d->document, err) ||
                       add_completion(c, object, d, err)
                   ? -1
                   : 0;
    if (get_tokens(c, object, d, err))
        return -1;
    return corpus_add(c, d->ids, d->has_trained ? d->trained : NULL,
                      json_array_size(json_object_get(object, "ids")), &d->document, err);
}

int corpus_read_json(struct corpus *c, struct input *in, struct err *err)
{
    struct json_document d = {.id = BUF_INIT, .source = BUF_INIT};
    struct buf line = BUF_INIT;
    json_t *object;
    int status;
    if (!c->expected)
        return err_set(err, "%s: JSON Lines of ids need -m MODEL, for the size of its vocabulary",
                       input_name(in));
    while ((status = json_next_line(in, &line, &object, err)) > 0) {
        status = add_object(c, object, &d, err);
        json_decref(object);
        if (status) {
            err_prefix(err, "%s:%zu", input_name(in), input_line_number(in));
            break;
        }
    }
    free(d.ids);
    free(d.trained);
    free(d.weights);
    buf_release(&d.id);
    buf_release(&d.source);
    buf_release(&line);
    return status;
}
