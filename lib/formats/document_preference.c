#include "formats/document_preference.h"

#include "base/mem.h"
#include "formats/document_completion.h"
#include "formats/document_messages.h"

/* What both answer, and the answers: references of their own. */
struct comparison {
    json_t *prompt; /* NULL: the document has an instruction */
    json_t *answers[2];
};

static const char *const names[] = {"chosen", "rejected"};

static void release(struct comparison *c)
{
    json_decref(c->prompt);
    json_decref(c->answers[0]);
    json_decref(c->answers[1]);
}

static json_t *slice(const json_t *list, size_t from, size_t to)
{
    json_t *out = json_array();
    for (size_t i = from; i < to; i++)
        json_array_append(out, json_array_get(list, i));
    return out;
}

static json_t *message(const char *role, json_t *content)
{
    return json_pack("[{s:s, s:O}]", "role", role, "content", content);
}

/* How many messages both begin with, and go on behind. */
static size_t common_messages(const struct comparison *c)
{
    const json_t *a = c->answers[0], *b = c->answers[1];
    size_t shorter = size_min(json_array_size(a), json_array_size(b)), n = 0;
    while (n + 1 < shorter && json_equal(json_array_get(a, n), json_array_get(b, n)))
        n++;
    return n;
}

static bool begins_with(const json_t *list, const json_t *start)
{
    if (json_array_size(list) <= json_array_size(start))
        return false;
    for (size_t i = 0; i < json_array_size(start); i++)
        if (!json_equal(json_array_get(list, i), json_array_get(start, i)))
            return false;
    return true;
}

static void drop_first(struct comparison *c, size_t n)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++) {
        json_t *rest = slice(c->answers[i], n, json_array_size(c->answers[i]));
        json_decref(c->answers[i]);
        c->answers[i] = rest;
    }
}

/* Both answers are lists: of what follows the prompt, or of whole conversations with it. */
static int split_messages(struct comparison *c, struct err *err)
{
    size_t common = common_messages(c);
    if (json_is_array(c->prompt)) {
        if (begins_with(c->answers[0], c->prompt) && begins_with(c->answers[1], c->prompt))
            drop_first(c, json_array_size(c->prompt));
        return 0;
    }
    if (!common && !json_is_string(c->prompt))
        return err_set(err, "chosen and rejected have no message at their beginning in common, "
                            "and there is no prompt");
    json_t *prompt = common ? slice(c->answers[0], 0, common) : message("user", c->prompt);
    json_decref(c->prompt);
    c->prompt = prompt;
    drop_first(c, common);
    return 0;
}

static int check_answers(const struct document *d, const struct comparison *c, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++)
        if (!json_is_string(c->answers[i]) && !json_is_array(c->answers[i]))
            return err_set(err, "%s is %s, expected a string or messages", names[i],
                           json_kind(c->answers[i]));
    if (json_is_array(c->answers[0]) != json_is_array(c->answers[1]))
        return err_set(err, "chosen is %s and rejected is %s", json_kind(c->answers[0]),
                       json_kind(c->answers[1]));
    if (!c->prompt && json_is_string(c->answers[0]) && !document_get(d, "instruction"))
        return err_set(err, "chosen and rejected are texts without a prompt: what both answer "
                            "has to stand in prompt");
    return 0;
}

/* A message alone is a list of one, and a text behind a list of messages is the assistant's. */
static void make_lists(struct comparison *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++) {
        json_t *v = c->answers[i];
        if (json_is_object(v))
            c->answers[i] = json_pack("[O]", v);
        else if (json_is_string(v) && json_is_array(c->prompt))
            c->answers[i] = message("assistant", v);
        else
            continue;
        json_decref(v);
    }
}

static int take_comparison(struct comparison *c, const struct document *d, struct err *err)
{
    static const char *const prompts[] = {"prompt", "messages", "conversations"};
    *c = (struct comparison){NULL, {NULL, NULL}};
    for (size_t i = 0; !c->prompt && i < ARRAY_SIZE(prompts); i++)
        c->prompt = json_incref(document_get(d, prompts[i]));
    for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++)
        c->answers[i] = json_incref(document_get(d, names[i]));
    for (size_t i = 0; i < ARRAY_SIZE(c->answers); i++)
        if (json_object_get(c->answers[i], "ids"))
            return err_set(err, "%s holds ids, not text: ft-pack reads such lines", names[i]);
    if (c->prompt && !json_is_string(c->prompt) && !json_is_array(c->prompt))
        return err_set(err, "prompt is %s, expected a string or messages", json_kind(c->prompt));
    make_lists(c);
    if (check_answers(d, c, err))
        return -1;
    return json_is_array(c->answers[0]) && !document_get(d, "instruction") ? split_messages(c, err)
                                                                           : 0;
}

/* The prompt with one of the answers to it, as a document of its own. */
static int add_answer(struct document *d, json_t *prompt, json_t *answer, const char *name,
                      struct err *err)
{
    struct document **a = &d->answers[d->n_answers++];
    if (!*a) {
        *a = xmalloc(sizeof **a);
        document_init(*a);
    }
    document_clear(*a);
    (*a)->shape = DOCUMENT_COMPLETION;
    (*a)->object = json_copy(d->object);
    json_object_set((*a)->object, prompt ? "completion" : "output", answer);
    if (!prompt)
        return alpaca_read(*a, name, err);
    json_object_set((*a)->object, "prompt", prompt);
    return completion_read(*a, name, err);
}

static void take_unusual_role(struct document *d)
{
    for (size_t i = 0; i < d->n_answers && !d->unusual_role; i++)
        d->unusual_role = d->answers[i]->unusual_role;
}

int preference_read(struct document *d, struct err *err)
{
    struct comparison c;
    int status = take_comparison(&c, d, err);
    for (size_t i = 0; i < ARRAY_SIZE(c.answers) && !status; i++)
        status = add_answer(d, c.prompt, c.answers[i], names[i], err);
    release(&c);
    take_unusual_role(d);
    return status;
}

int label_read(struct document *d, struct err *err)
{
    const json_t *label = document_get(d, "label");
    d->label = json_is_true(label) || json_integer_value(label) == 1;
    if (add_answer(d, document_get(d, "prompt"), document_get(d, "completion"), "completion", err))
        return -1;
    take_unusual_role(d);
    return 0;
}
