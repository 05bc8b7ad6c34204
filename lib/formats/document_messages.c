#include "formats/document_messages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

const char *json_kind(const json_t *v)
{
    if (!v)
        return "missing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

/* Where an error is: a message under its key. */
struct place {
    const char *key;
    size_t i;
};

/* ShareGPT's names, and what templates call them. */
static const struct {
    const char *from, *role;
} names[] = {
    {"system", "system"},           {"human", "user"},
    {"prompter", "user"},           {"user", "user"},
    {"gpt", "assistant"},           {"assistant", "assistant"},
    {"chatgpt", "assistant"},       {"ai", "assistant"},
    {"bing", "assistant"},          {"bard", "assistant"},
    {"model", "assistant"},         {"bot", "assistant"},
    {"function_call", "assistant"}, {"tool_call", "assistant"},
    {"observation", "tool"},        {"tool", "tool"},
    {"tool_response", "tool"},      {"function_response", "tool"},
    {"function", "tool"},
};

static const char *role_named(const char *from)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i].from, from))
            return names[i].role;
    return NULL;
}

static bool is_usual(const char *role)
{
    static const char *const usual[] = {"system", "developer", "user",    "assistant",
                                        "tool",   "function",  "ipython", "tool_results"};
    for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
        if (!strcmp(usual[i], role))
            return true;
    return false;
}

static const json_t *either(const json_t *object, const char *a, const char *b)
{
    const json_t *v = json_object_get(object, a);
    return v ? v : json_object_get(object, b);
}

const char *message_role(const json_t *message)
{
    const json_t *role = json_object_get(message, "role"), *from = json_object_get(message, "from");
    if (!role && json_is_string(from))
        return role_named(json_string_value(from));
    if (!json_is_string(role) || !is_usual(json_string_value(role)))
        return NULL;
    return json_string_value(role);
}

/* Text in parts, [{"type": "text", "text": ...}, ...], as one string; anything but text is refused.
 */
static json_t *join_parts(const json_t *parts, struct place at, struct err *err)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *s = json_is_string(part) ? part : json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_string(s) || (type && strcmp(type, "text"))) {
            err_set(err, "%s[%zu].content[%zu] is of type \"%.40s\": only text can be trained on",
                    at.key, at.i, i, type ? type : json_kind(part));
            buf_release(&text);
            return NULL;
        }
        buf_add(&text, json_string_value(s), json_string_length(s));
    }
    json_t *joined = json_stringn(text.p, text.len);
    buf_release(&text);
    return joined;
}

static bool calls_tool(const json_t *message)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    return json_array_size(calls) || json_is_object(json_object_get(message, "function_call"));
}

/* Calls that some data sets write into the text itself. */
static bool writes_call(const json_t *message)
{
    static const char *const signs[] = {"<tool_call", "[TOOL_CALLS]", "<|python_tag|>",
                                        "<function",  "```tool_call", "<|tool_call"};
    const char *text = json_string_value(json_object_get(message, "content"));
    for (size_t i = 0; text && i < ARRAY_SIZE(signs); i++)
        if (strstr(text, signs[i]))
            return true;
    return false;
}

static int check_calls(const json_t *message, const char *role, struct place at, struct err *err)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    if (!calls || json_is_null(calls))
        return 0;
    if (!json_is_array(calls))
        return err_set(err, "%s[%zu].tool_calls is %s, expected an array", at.key, at.i,
                       json_kind(calls));
    if (json_array_size(calls) && strcmp(role, "assistant"))
        return err_set(err, "%s[%zu].role is \"%s\", only an assistant calls tools", at.key, at.i,
                       role);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *f = json_object_get(call, "function");
        if (!json_is_string(json_object_get(f ? f : call, "name")))
            return err_set(err, "%s[%zu].tool_calls[%zu] names no function", at.key, at.i, i);
    }
    return 0;
}

/* ShareGPT's function_call: the value is {"name":, "arguments":} as text. */
static void take_call(json_t *message, const json_t *content)
{
    struct err ignored;
    json_t *call = json_parse(json_string_value(content), json_string_length(content), &ignored);
    if (json_is_string(json_object_get(call, "name"))) {
        json_t *calls = json_pack("[{s:s, s:o}]", "type", "function", "function", call);
        json_object_set_new(message, "tool_calls", calls);
        json_object_set_new(message, "content", json_string(""));
    } else {
        json_decref(call);
    }
}

/* What a message says of being learnt. */
struct learning {
    signed char train;
    double weight;
};

/* "train": true or false; and "weight", which OpenAI has as 0 or 1, of which 0 is not to train. */
static int read_train(const json_t *message, struct place at, struct learning *learning,
                      struct err *err)
{
    const json_t *v = json_object_get(message, "train"), *w = json_object_get(message, "weight");
    *learning = (struct learning){TRAIN_DEFAULT, 1};
    if (v && !json_is_null(v)) {
        if (!json_is_boolean(v))
            return err_set(err, "%s[%zu].train is %s, expected true or false", at.key, at.i,
                           json_kind(v));
        learning->train = json_is_true(v) ? TRAIN_YES : TRAIN_NO;
    }
    if (w && !json_is_null(w)) {
        double x = json_is_number(w) ? json_number_value(w) : -1;
        if (!(x >= 0 && isfinite(x)))
            return err_set(err, "%s[%zu].weight is %s, expected a number that is not negative",
                           at.key, at.i, json_is_number(w) ? "negative" : json_kind(w));
        if (x == 0)
            learning->train = TRAIN_NO;
        else
            learning->weight = x;
    }
    return 0;
}

/* A role of another name is the template's affair; who meant "assistant" is told. */
static const char *read_role(struct document *d, const json_t *in, struct place at, struct err *err)
{
    const json_t *v = json_object_get(in, "role"), *from = json_object_get(in, "from");
    if (!v && json_is_string(from)) {
        const char *role = role_named(json_string_value(from));
        if (!role)
            err_set(err,
                    "%s[%zu].from is \"%.60s\", expected system, human, gpt, function_call or "
                    "observation",
                    at.key, at.i, json_string_value(from));
        return role;
    }
    if (!json_is_string(v) || !json_string_length(v)) {
        err_set(err, "%s[%zu].role is %s, expected a string", at.key, at.i,
                json_is_string(v) ? "empty" : json_kind(v));
        return NULL;
    }
    if (!is_usual(json_string_value(v)) && !d->unusual_role)
        d->unusual_role = json_string_value(v);
    return json_string_value(v);
}

/* The content: a string; null only where tools are called. */
static json_t *read_content(const json_t *in, struct place at, struct err *err)
{
    const json_t *v = either(in, "content", "value");
    if (json_is_array(v))
        return join_parts(v, at, err);
    if (json_is_string(v))
        return json_incref((json_t *)(uintptr_t)v);
    if ((!v || json_is_null(v)) && calls_tool(in))
        return json_null();
    err_set(err, "%s[%zu].content is %s, expected a string", at.key, at.i, json_kind(v));
    return NULL;
}

/* The message in the usual form: role and content first, then what else it has. */
static json_t *read_message(struct document *d, const json_t *in, struct place at,
                            struct learning *learning, struct err *err)
{
    static const char *const taken[] = {"role", "from", "content", "value", "train", "weight"};
    const char *key;
    json_t *v;
    if (!json_is_object(in)) {
        err_set(err, "%s[%zu] is %s, expected an object", at.key, at.i, json_kind(in));
        return NULL;
    }
    const char *role = read_role(d, in, at, err);
    json_t *content = role ? read_content(in, at, err) : NULL;
    if (!content || check_calls(in, role, at, err) || read_train(in, at, learning, err)) {
        json_decref(content);
        return NULL;
    }
    json_t *out = json_object();
    json_object_set_new(out, "role", json_string(role));
    json_object_set_new(out, "content", content);
    json_object_foreach((json_t *)(uintptr_t)in, key, v)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
            known |= !strcmp(key, taken[i]);
        if (!known)
            json_object_set(out, key, v);
    }
    const char *from = json_string_value(either(in, "role", "from"));
    if (json_is_string(content) && (!strcmp(from, "function_call") || !strcmp(from, "tool_call")))
        take_call(out, content);
    return out;
}

/* A tool answers a call: behind an assistant that calls, or behind another answer. */
static int check_answer(const json_t *messages, size_t i, struct place at, struct err *err)
{
    const char *role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    if (strcmp(role, "tool") && strcmp(role, "tool_results") && strcmp(role, "ipython"))
        return 0;
    for (size_t k = i; k-- > 0;) {
        const json_t *before = json_array_get(messages, k);
        const char *other = json_string_value(json_object_get(before, "role"));
        if (!strcmp(other, role))
            continue;
        if (!strcmp(other, "assistant") && (calls_tool(before) || writes_call(before)))
            return 0;
        bool same_list = i - k <= at.i;
        return err_set(err, "%s[%zu].role is \"%s\" but %s[%zu] calls no tool", at.key, at.i, role,
                       same_list ? at.key : "prompt", same_list ? at.i - (i - k) : k);
    }
    return err_set(err, "%s[%zu].role is \"%s\" but nothing before it calls a tool", at.key, at.i,
                   role);
}

/* tools as a list, or as the JSON text of one. */
static int read_tools(struct document *d, struct err *err)
{
    json_t *tools = json_object_get(d->object, "tools");
    if (!tools || json_is_null(tools))
        return 0;
    json_incref(tools);
    if (json_is_string(tools)) {
        json_t *parsed = json_parse(json_string_value(tools), json_string_length(tools), err);
        json_decref(tools);
        if (!parsed)
            return err_prefix(err, "tools");
        tools = parsed;
    }
    if (!json_is_array(tools)) {
        err_set(err, "tools is %s, expected an array", json_kind(tools));
        json_decref(tools);
        return -1;
    }
    if (json_array_size(tools))
        json_object_set(d->variables, "tools", tools);
    json_decref(tools);
    return 0;
}

static int read_variables(struct document *d, struct err *err)
{
    json_t *documents = json_object_get(d->object, "documents");
    json_t *others = json_object_get(d->object, "chat_template_kwargs");
    d->variables = json_object();
    if (others && !json_is_null(others) && !json_is_object(others))
        return err_set(err, "chat_template_kwargs is %s, expected an object", json_kind(others));
    json_object_update(d->variables, others);
    if (documents && !json_is_null(documents)) {
        if (!json_is_array(documents))
            return err_set(err, "documents is %s, expected an array", json_kind(documents));
        json_object_set(d->variables, "documents", documents);
    }
    return read_tools(d, err);
}

static bool says(const json_t *list, const char *mark)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *text = json_string_value(either(m, "content", "value"));
        if (text && strstr(text, mark))
            return true;
    }
    return false;
}

/* Pictures beside the messages, with a mark in the text where they belong: LLaVA's "image", other
 * tools' "images". The text without them would teach to make things up. */
static int check_media(const struct document *d, const json_t *list, struct err *err)
{
    static const char *const media[][3] = {{"image", "images", "<image>"},
                                           {"video", "videos", "<video>"},
                                           {"audio", "audios", "<audio>"}};
    static const char *const what[] = {"an image", "a video", "a sound"};
    for (size_t i = 0; i < ARRAY_SIZE(media); i++) {
        const json_t *one = json_object_get(d->object, media[i][0]);
        const json_t *many = json_object_get(d->object, media[i][1]);
        bool there = one && !json_is_null(one) && says(list, media[i][2]);
        if (there || json_array_size(many))
            return err_set(err, "%s: the messages go with %s, and only text can be trained on",
                           json_array_size(many) ? media[i][1] : media[i][0], what[i]);
    }
    return 0;
}

int messages_read(struct document *d, const char *key, const json_t *list, struct err *err)
{
    if (!json_is_array(list))
        return err_set(err, "%s is %s, expected an array of messages", key, json_kind(list));
    if (!d->messages) {
        d->messages = json_array();
        if (read_variables(d, err) || check_media(d, list, err))
            return -1;
    }
    size_t before = json_array_size(d->messages), n = json_array_size(list);
    if (before + n == 0)
        return err_set(err, "%s is empty", key);
    if (before + n > d->train_cap) {
        d->train_cap = before + n;
        d->train = xrealloc(d->train, d->train_cap);
        d->message_weights =
            xreallocarray(d->message_weights, d->train_cap, sizeof *d->message_weights);
    }
    for (size_t i = 0; i < n; i++) {
        struct place at = {key, i};
        struct learning learning;
        json_t *m = read_message(d, json_array_get(list, i), at, &learning, err);
        if (!m)
            return -1;
        d->train[before + i] = learning.train;
        d->message_weights[before + i] = learning.weight;
        json_array_append_new(d->messages, m);
        if (check_answer(d->messages, before + i, at, err))
            return -1;
    }
    return 0;
}
