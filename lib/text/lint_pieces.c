#include "text/lint_pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"

void lint_pieces_init(struct lint_pieces *p)
{
    *p = (struct lint_pieces){.n = 0};
    buf_init(&p->text);
}

void lint_pieces_release(struct lint_pieces *p)
{
    free(p->items);
    buf_release(&p->text);
    lint_pieces_init(p);
}

static struct lint_piece *add(struct lint_pieces *p, const char *key, const char *text, size_t len)
{
    ARRAY_GROW(p->items, p->n, p->cap);
    struct lint_piece *piece = &p->items[p->n++];
    *piece = (struct lint_piece){p->text.len, len, key, SIZE_MAX, NULL, false, false, false};
    buf_add(&p->text, text, len);
    return piece;
}

static void add_string(struct lint_pieces *p, struct lint_piece like, const char *part,
                       const json_t *v)
{
    if (!json_is_string(v))
        return;
    struct lint_piece *piece = add(p, like.key, json_string_value(v), json_string_length(v));
    piece->message = like.message;
    piece->part = part;
    piece->learnt = like.learnt;
    piece->system = like.system;
}

static void add_calls(struct lint_pieces *p, struct lint_piece like, const json_t *calls)
{
    if (!json_array_size(calls))
        return;
    struct lint_piece *piece = add(p, like.key, "", 0);
    json_add(&p->text, calls);
    piece->len = p->text.len - piece->start;
    piece->message = like.message;
    piece->part = "tool_calls";
    piece->learnt = like.learnt;
    piece->is_call = true;
}

static void add_message(struct lint_pieces *p, struct lint_piece like, const json_t *message)
{
    static const char *const thoughts[] = {"reasoning_content", "reasoning", "thinking"};
    for (size_t i = 0; i < ARRAY_SIZE(thoughts); i++)
        add_string(p, like, thoughts[i], json_object_get(message, thoughts[i]));
    add_string(p, like, "content", json_object_get(message, "content"));
    add_calls(p, like, json_object_get(message, "tool_calls"));
}

/* The key under which the messages of a document stand that aren't those of a completion. */
static const char *key_of_messages(const struct document *d)
{
    return json_object_get(d->object, "prompt")          ? "prompt"
           : json_object_get(d->object, "conversations") ? "conversations"
                                                         : "messages";
}

/* Messages from `first` on. What is to be learnt of them stands under `answer` where the prompt
 * stands elsewhere. */
static void read_messages(struct lint_pieces *p, const struct document *d, size_t first,
                          const char *answer)
{
    for (size_t i = first; i < json_array_size(d->messages); i++) {
        const json_t *m = json_array_get(d->messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        bool learnt = !strcmp(role, "assistant") && i >= d->n_prompt;
        bool in_answer = d->n_prompt && i >= d->n_prompt;
        struct lint_piece like = {.key = in_answer ? answer : key_of_messages(d),
                                  .message = in_answer ? i - d->n_prompt : i,
                                  .learnt = d->train[i] == TRAIN_DEFAULT ? learnt
                                                                         : d->train[i] == TRAIN_YES,
                                  .system = !strcmp(role, "system") || !strcmp(role, "developer")};
        add_message(p, like, m);
    }
}

static void read_text(struct lint_pieces *p, const char *key, const struct buf *b, bool learnt)
{
    add(p, key, b->p, b->len)->learnt = learnt;
}

/* The answer of a prompt, before which the prompt is read on request. */
static void read_answer(struct lint_pieces *p, const struct document *d, bool with_prompt,
                        const char *name)
{
    if (d->shape == DOCUMENT_MESSAGES) {
        read_messages(p, d, with_prompt ? 0 : d->n_prompt, name);
        return;
    }
    if (with_prompt)
        read_text(p, d->is_alpaca ? "instruction" : "prompt", &d->question, false);
    read_text(p, name, &d->completion, true);
}

/* The chosen answer stands last, as what is to be learnt does elsewhere; of the rejected one
 * nothing is. */
static void read_preference(struct lint_pieces *p, const struct document *d)
{
    read_answer(p, d->answers[1], true, "rejected");
    for (size_t i = 0; i < p->n; i++)
        p->items[i].learnt = false;
    read_answer(p, d->answers[0], false, "chosen");
}

void lint_pieces_read(struct lint_pieces *p, const struct document *d)
{
    p->n = 0;
    buf_clear(&p->text);
    switch (d->shape) {
    case DOCUMENT_TEXT:
        read_text(p, "text", &d->text, true);
        break;
    case DOCUMENT_MESSAGES:
        read_messages(p, d, 0, "completion");
        break;
    case DOCUMENT_COMPLETION:
        read_answer(p, d, true, d->is_alpaca ? "output" : "completion");
        break;
    case DOCUMENT_PROMPT:
        read_text(p, d->is_alpaca ? "instruction" : "prompt", &d->question, false);
        break;
    case DOCUMENT_IDS:
        break;
    case DOCUMENT_PREFERENCE:
        read_preference(p, d);
        break;
    case DOCUMENT_LABEL:
        read_answer(p, d->answers[0], true, "completion");
        break;
    }
}

void lint_piece_where(const struct lint_piece *piece, struct buf *out)
{
    buf_clear(out);
    buf_addstr(out, piece->key);
    if (piece->message != SIZE_MAX)
        buf_addf(out, "[%zu]", piece->message);
    if (piece->part)
        buf_addf(out, ".%s", piece->part);
}
