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

static void read_messages(struct lint_pieces *p, const struct document *d)
{
    const char *key = json_object_get(d->object, "messages")        ? "messages"
                      : json_object_get(d->object, "conversations") ? "conversations"
                                                                    : "prompt";
    for (size_t i = 0; i < json_array_size(d->messages); i++) {
        const json_t *m = json_array_get(d->messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        bool answer = !strcmp(role, "assistant") && i >= d->n_prompt;
        bool in_completion = d->n_prompt && i >= d->n_prompt;
        struct lint_piece like = {.key = in_completion ? "completion" : key,
                                  .message = in_completion ? i - d->n_prompt : i,
                                  .learnt = d->train[i] == TRAIN_DEFAULT ? answer
                                                                         : d->train[i] == TRAIN_YES,
                                  .system = !strcmp(role, "system") || !strcmp(role, "developer")};
        add_message(p, like, m);
    }
}

static void read_text(struct lint_pieces *p, const char *key, const struct buf *b, bool learnt)
{
    add(p, key, b->p, b->len)->learnt = learnt;
}

/* Of a preference, which is not read any further. */
static void read_preference(struct lint_pieces *p, const json_t *object)
{
    static const struct {
        const char *key;
        bool learnt;
    } keys[] = {{"prompt", false}, {"completion", true}, {"chosen", true}, {"rejected", false}};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const json_t *v = json_object_get(object, keys[i].key);
        struct lint_piece like = {
            .key = keys[i].key, .message = SIZE_MAX, .learnt = keys[i].learnt};
        add_string(p, like, NULL, v);
        for (like.message = 0; like.message < json_array_size(v); like.message++)
            add_message(p, like, json_array_get(v, like.message));
    }
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
        read_messages(p, d);
        break;
    case DOCUMENT_COMPLETION:
        read_text(p, d->is_alpaca ? "instruction" : "prompt", &d->question, false);
        read_text(p, d->is_alpaca ? "output" : "completion", &d->completion, true);
        break;
    case DOCUMENT_PROMPT:
        read_text(p, d->is_alpaca ? "instruction" : "prompt", &d->question, false);
        break;
    case DOCUMENT_IDS:
        break;
    case DOCUMENT_PREFERENCE:
        read_preference(p, d->object);
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
