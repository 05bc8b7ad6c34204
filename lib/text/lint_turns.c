#include "text/lint_turns.h"

#include <string.h>

#include "base/mem.h"
#include "formats/document_messages.h"
#include "formats/json.h"

/* A turn that has been understood. */
enum turn { TURN_NONE, TURN_SYSTEM, TURN_USER, TURN_ASSISTANT, TURN_TOOL };

static const char *const turn_names[] = {"unknown", "system", "user", "assistant", "tool"};

enum { MOST_CALLS = 64 }; /* of one turn whose ids are compared */

struct turns {
    struct lint_findings *findings;
    const json_t *tools; /* what may be called; NULL: not said */
    const char *key;     /* of the list at hand */
    size_t i;            /* in it */
    struct buf where;
    enum turn last;
    bool last_calls;     /* the last assistant's turn calls tools */
    bool called;         /* some turn did, perhaps in its text */
    size_t n_answers;    /* behind the last call */
    const json_t *calls; /* of the last call */
    char called_at[80];
};

static const char *where(struct turns *t)
{
    buf_clear(&t->where);
    buf_addf(&t->where, "%s[%zu]", t->key, t->i);
    return t->where.p;
}

static const json_t *either(const json_t *object, const char *a, const char *b)
{
    const json_t *v = json_object_get(object, a);
    return v ? v : json_object_get(object, b);
}

static enum turn turn_of(const char *role)
{
    if (!strcmp(role, "system") || !strcmp(role, "developer"))
        return TURN_SYSTEM;
    if (!strcmp(role, "user"))
        return TURN_USER;
    return !strcmp(role, "assistant") ? TURN_ASSISTANT : TURN_TOOL;
}

/* ---- calls ---- */

static const json_t *function_of(const json_t *call)
{
    const json_t *f = json_object_get(call, "function");
    return f ? f : call;
}

static bool offers(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const char *offered =
            json_string_value(json_object_get(function_of(json_array_get(tools, i)), "name"));
        if (offered && !strcmp(offered, name))
            return true;
    }
    return false;
}

static void check_call(struct turns *t, const json_t *call, size_t i)
{
    struct err err;
    const json_t *f = function_of(call), *arguments = json_object_get(f, "arguments");
    const char *name = json_string_value(json_object_get(f, "name"));
    if (!name) {
        lint_found(t->findings, LINT_TOOLS, where(t), "tool_calls[%zu] names no function", i);
        return;
    }
    if (t->tools && !offers(t->tools, name))
        lint_found(t->findings, LINT_TOOLS, where(t),
                   "calls \"%.60s\", which is not among the tools", name);
    if (!json_is_string(arguments))
        return;
    json_t *value = json_parse(json_string_value(arguments), json_string_length(arguments), &err);
    if (!value)
        lint_found(t->findings, LINT_TOOLS, where(t), "the arguments for \"%.60s\" are no JSON: %s",
                   name, err.msg);
    json_decref(value);
}

static size_t count(const char *text, const char *mark)
{
    size_t n = 0;
    for (; (text = strstr(text, mark)); text += strlen(mark))
        n++;
    return n;
}

/* Calls that are written into the text, as Hermes and Qwen do. */
static void check_written(struct turns *t, const char *text)
{
    static const char *const marks[][2] = {{"<tool_call>", "</tool_call>"},
                                           {"<tool_response>", "</tool_response>"}};
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        size_t begun = count(text, marks[i][0]), ended = count(text, marks[i][1]);
        if (begun != ended)
            lint_found(t->findings, LINT_TOOLS, where(t), "%zu %s but %zu %s", begun, marks[i][0],
                       ended, marks[i][1]);
    }
    if (strstr(text, "<tool_call") || strstr(text, "[TOOL_CALLS]") ||
        strstr(text, "<|python_tag|>") || strstr(text, "<function"))
        t->called = true;
}

/* The calls of the last turn that made some have had their answers, or it's too late. */
static void end_calls(struct turns *t)
{
    size_t n = json_array_size(t->calls);
    if (t->last_calls && n && t->n_answers != n)
        lint_found(t->findings, LINT_TOOLS, t->called_at,
                   "calls %zu tool%s, but %zu answer%s follow%s", n, n == 1 ? "" : "s",
                   t->n_answers, t->n_answers == 1 ? "" : "s", t->n_answers == 1 ? "s" : "");
    t->last_calls = false;
    t->calls = NULL;
}

static bool has_id(const json_t *calls, const char *id, bool *any)
{
    *any = false;
    for (size_t i = 0; i < json_array_size(calls) && i < MOST_CALLS; i++) {
        const char *other = json_string_value(json_object_get(json_array_get(calls, i), "id"));
        *any |= other != NULL;
        if (other && !strcmp(other, id))
            return true;
    }
    return json_array_size(calls) > MOST_CALLS;
}

static void check_answer(struct turns *t, const json_t *message)
{
    const char *id = json_string_value(json_object_get(message, "tool_call_id"));
    bool any;
    if (!t->last_calls && !t->called) {
        lint_found(t->findings, LINT_TOOLS, where(t), "a tool's answer, but nothing calls a tool");
        return;
    }
    t->n_answers++;
    if (t->last_calls && id && !has_id(t->calls, id, &any) && any)
        lint_found(t->findings, LINT_TOOLS, where(t),
                   "answers the call \"%.60s\", which was not made", id);
}

static void check_calls(struct turns *t, const json_t *message, enum turn turn)
{
    const json_t *calls = json_object_get(message, "tool_calls");
    const json_t *content = either(message, "content", "value");
    const char *from = json_string_value(either(message, "role", "from"));
    if (json_is_string(content) && turn == TURN_ASSISTANT)
        check_written(t, json_string_value(content));
    if (!strcmp(from, "function_call") || !strcmp(from, "tool_call") ||
        json_is_object(json_object_get(message, "function_call")))
        t->called = true;
    if (!json_array_size(calls))
        return;
    if (turn != TURN_ASSISTANT) {
        lint_found(t->findings, LINT_TOOLS, where(t), "the %s calls tools", turn_names[turn]);
        return;
    }
    for (size_t i = 0; i < json_array_size(calls); i++)
        check_call(t, json_array_get(calls, i), i);
    t->last_calls = t->called = true;
    t->calls = calls;
    t->n_answers = 0;
    snprintf(t->called_at, sizeof t->called_at, "%s", where(t));
}

/* ---- order ---- */

static void check_order(struct turns *t, enum turn turn)
{
    const char *what = NULL;
    if (turn == TURN_SYSTEM && t->last != TURN_NONE && t->last != TURN_SYSTEM)
        what = "a system message behind others: it belongs first";
    else if (turn == TURN_USER && t->last == TURN_USER)
        what = "the user again: nothing answers the turn before";
    else if (turn == TURN_USER && t->last == TURN_TOOL)
        what = "the user, but the assistant hasn't said anything to the tool's answer";
    else if (turn == TURN_ASSISTANT && t->last == TURN_ASSISTANT && !t->called)
        what = "the assistant again: join the two turns";
    else if (turn == TURN_ASSISTANT && (t->last == TURN_NONE || t->last == TURN_SYSTEM))
        what = "the assistant, but no user has asked";
    if (what)
        lint_found(t->findings, LINT_ROLES, where(t), "%s", what);
}

/* A blank answer is lint_document's to find: it may be reached by other shapes too. */
static void check_message(struct turns *t, const json_t *message)
{
    const json_t *role = either(message, "role", "from");
    const char *usual = message_role(message);
    if (!usual) {
        if (json_is_string(role))
            lint_found(t->findings, LINT_ROLES, where(t), "\"%.60s\" is no role that is known",
                       json_string_value(role));
        t->last = TURN_NONE;
        return;
    }
    enum turn turn = turn_of(usual);
    if (turn != TURN_TOOL)
        end_calls(t);
    check_order(t, turn);
    if (turn == TURN_TOOL)
        check_answer(t, message);
    else
        check_calls(t, message, turn);
    t->last = turn;
}

static void check_list(struct turns *t, const char *key, const json_t *list)
{
    t->key = key;
    for (t->i = 0; t->i < json_array_size(list); t->i++)
        check_message(t, json_array_get(list, t->i));
}

/* What the last turn is: a call at the end is an answer too. */
static void check_end(struct turns *t)
{
    t->i -= t->i > 0;
    if (t->last == TURN_ASSISTANT || t->last == TURN_NONE)
        return;
    end_calls(t);
    lint_found(t->findings, LINT_UNANSWERED, where(t),
               "the last turn is the %s's: nothing answers it", turn_names[t->last]);
}

void lint_turns(struct lint_findings *f, const json_t *object)
{
    const json_t *tools = json_object_get(object, "tools");
    struct turns t = {.findings = f, .tools = json_is_array(tools) ? tools : NULL};
    const json_t *messages = json_object_get(object, "messages");
    const json_t *conversations = json_object_get(object, "conversations");
    buf_init(&t.where);
    if (json_is_array(messages)) {
        check_list(&t, "messages", messages);
    } else if (json_is_array(conversations)) {
        check_list(&t, "conversations", conversations);
    } else {
        check_list(&t, "prompt", json_object_get(object, "prompt"));
        check_list(&t, "completion", json_object_get(object, "completion"));
    }
    check_end(&t);
    buf_release(&t.where);
}
