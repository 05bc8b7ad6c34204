#include "text/chat_turns.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- the header before an answer ---- */

static bool is_own(const struct template_span *s)
{
    return s->origin == TEMPLATE_CONTENT || s->origin == TEMPLATE_REASONING ||
           s->origin == TEMPLATE_CALL;
}

/* What the rendering has of a message: spans [first, last], with others between them perhaps. */
struct turn {
    size_t first, last;
    bool found, calls; /* anything of it; its calls of tools */
};

/* turns [n], of which those of messages beyond n are left out. */
static void find_turns(const struct template_rendering *r, struct turn *turns, size_t n)
{
    for (size_t k = 0; k < r->n_spans; k++) {
        const struct template_span *s = &r->spans[k];
        if (s->message < 0 || (size_t)s->message >= n || !is_own(s))
            continue;
        struct turn *t = &turns[s->message];
        if (!t->found)
            t->first = k;
        t->last = k;
        t->found = true;
        t->calls |= s->origin == TEMPLATE_CALL;
    }
}

/* Where the template's own text right before span k begins: as far as it belongs to message i's
 * turn, or is of no turn. */
static size_t literal_before(const struct template_rendering *r, size_t k, int i)
{
    size_t start = r->spans[k].start;
    for (; k > 0; k--) {
        const struct template_span *s = &r->spans[k - 1];
        if (s->origin != TEMPLATE_LITERAL || (s->message != i && s->message != -1))
            break;
        start = s->start;
    }
    return start;
}

static bool render_probe(const struct template *t, const json_t *variables, bool answered,
                         bool generation_prompt, struct template_rendering *out)
{
    struct err ignored;
    json_t *v = json_copy((json_t *)(uintptr_t)variables);
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "Question");
    if (answered)
        json_array_append_new(messages,
                              json_pack("{s:s, s:s}", "role", "assistant", "content", "Answer"));
    json_object_set_new(v, "messages", messages);
    json_object_set_new(v, "add_generation_prompt", json_boolean(generation_prompt));
    int rc = template_render(t, v, out, &ignored);
    json_decref(v);
    return rc == 0;
}

void turn_header_probe(struct turn_header *h, const struct template *t, const json_t *variables)
{
    struct template_rendering with, without;
    struct turn turns[2] = {{0}};
    if (!t)
        return;
    template_rendering_init(&with);
    template_rendering_init(&without);
    if (render_probe(t, variables, false, true, &with) &&
        render_probe(t, variables, false, false, &without)) {
        size_t same = 0;
        while (same < with.text.len && same < without.text.len &&
               with.text.p[same] == without.text.p[same])
            same++;
        buf_add(&h->prompt, with.text.p + same, with.text.len - same);
    }
    if (render_probe(t, variables, true, false, &with)) {
        find_turns(&with, turns, 2);
        size_t first = turns[1].first;
        size_t from = turns[1].found ? literal_before(&with, first, 1) : 0;
        if (turns[1].found)
            buf_add(&h->answer, with.text.p + from, with.spans[first].start - from);
    }
    template_rendering_release(&with);
    template_rendering_release(&without);
}

/* ---- messages ---- */

json_t *turn_messages(const struct document *d)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(d->messages); i++) {
        json_t *message = json_array_get(d->messages, i), *reasoning = NULL;
        for (size_t k = 0; !reasoning && k < ARRAY_SIZE(names); k++)
            if (!json_is_null(json_object_get(message, names[k])))
                reasoning = json_object_get(message, names[k]);
        if (!reasoning) {
            json_array_append(out, message);
            continue;
        }
        json_t *copy = json_copy(message);
        if (!json_object_get(copy, "thinking"))
            json_object_set(copy, "thinking", reasoning);
        json_object_set(copy, "reasoning_content", reasoning);
        json_array_append_new(out, copy);
    }
    return out;
}

static bool is_assistant(const struct document *d, size_t i)
{
    const json_t *role = json_object_get(json_array_get(d->messages, i), "role");
    return json_is_string(role) && !strcmp(json_string_value(role), "assistant");
}

static size_t last_assistant(const struct document *d)
{
    for (size_t i = json_array_size(d->messages); i-- > 0;)
        if (is_assistant(d, i))
            return i;
    return SIZE_MAX;
}

/* Whether message i is learnt; `last` is the last assistant's. */
static bool is_learnt(const struct chat *c, const struct document *d, size_t i, size_t last)
{
    if (d->train[i] != TRAIN_DEFAULT)
        return d->train[i] == TRAIN_YES;
    switch (c->options.train_on) {
    case CHAT_TRAIN_LAST:
        return i == last;
    case CHAT_TRAIN_COMPLETION:
        return d->n_prompt ? i >= d->n_prompt && is_assistant(d, i) : i == last;
    case CHAT_TRAIN_AUTO:
        return is_assistant(d, i) && i >= d->n_prompt;
    default:
        return is_assistant(d, i);
    }
}

/* ---- where a turn begins ---- */

static bool ends_with(const char *p, size_t len, const struct buf *b)
{
    return len >= b->len && !memcmp(p + len - b->len, b->p, b->len);
}

/* Behind the last place of b in p[0, len); SIZE_MAX if there is none. */
static size_t behind_last(const char *p, size_t len, const struct buf *b)
{
    for (size_t end = len; end >= b->len && b->len; end--)
        if (!memcmp(p + end - b->len, b->p, b->len))
            return end;
    return SIZE_MAX;
}

/* The text [from, own) is the template's, own is where the message itself begins; `calls`: with a
 * call of a tool. Such a turn may have a lead of its own, "[TOOL_CALLS] [", even in a template
 * without a generation prompt. */
static size_t turn_start(const struct turn_header *h, const char *text, size_t from, size_t own,
                         bool calls)
{
    const char *p = text + from;
    size_t len = own - from;
    if (ends_with(p, len, &h->answer))
        return own;
    size_t behind = behind_last(p, len, &h->prompt);
    if (behind != SIZE_MAX)
        return from + behind;
    if (!calls)
        return own;
    bool headed = len >= h->answer.len && !memcmp(p, h->answer.p, h->answer.len);
    return headed ? from + h->answer.len : from;
}

/* ---- where it ends ---- */

static bool is_end_id(const struct tokenizer *t, uint32_t id)
{
    const uint32_t *ids;
    size_t n = tokenizer_end_ids(t, &ids);
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* First token that begins at or after `at`. */
static size_t token_at(const struct token_list *l, size_t at)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->offsets[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t end_of_token(const struct chat_result *r, size_t i)
{
    return i + 1 < r->tokens.n ? r->tokens.offsets[i + 1] : r->text.len;
}

/* Behind the token that ends the turn, in the template's text [from, to); SIZE_MAX if none does. */
static size_t ending_token(const struct tokenizer *t, const struct chat_result *r, size_t from,
                           size_t to, bool only_first)
{
    size_t end = SIZE_MAX;
    for (size_t i = token_at(&r->tokens, from); i < r->tokens.n && r->tokens.offsets[i] < to; i++) {
        if (is_end_id(t, r->tokens.ids[i]))
            return end_of_token(r, i);
        if (tokenizer_is_special(t, r->tokens.ids[i]))
            end = end_of_token(r, i);
        else if (only_first && end != SIZE_MAX)
            return end;
    }
    return end;
}

/* Span `last` is the last one of message i. */
static size_t turn_end(const struct chat *c, const struct chat_result *r, size_t last, int i)
{
    const struct template_rendering *g = &r->rendering;
    size_t from = g->spans[last].end, to = from, k = last + 1;
    for (; k < g->n_spans && g->spans[k].origin == TEMPLATE_LITERAL && g->spans[k].message == i;
         k++)
        to = g->spans[k].end;
    size_t end = ending_token(c->tokenizer, r, from, to, false);
    if (end != SIZE_MAX)
        return end;
    /* The template ends the turn outside its loop's round, or has no loop over the messages. */
    size_t outside = to;
    for (; k < g->n_spans && g->spans[k].origin == TEMPLATE_LITERAL && g->spans[k].message == -1;
         k++)
        outside = g->spans[k].end;
    end = ending_token(c->tokenizer, r, to, outside, true);
    return end != SIZE_MAX ? end : to;
}

/* ---- spans ---- */

/* Whether the message calls tools and the rendering has nothing of that. */
static bool loses_calls(const struct document *d, size_t i, const struct turn *t)
{
    return !t->calls &&
           json_array_size(json_object_get(json_array_get(d->messages, i), "tool_calls")) > 0;
}

static int compare_spans(const void *a, const void *b)
{
    const struct chat_span *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* Blocks of {% generation %}: those of an assistant's message that isn't learnt are left out. */
static void add_generations(const struct chat *c, const struct document *d, size_t last,
                            struct chat_result *r)
{
    for (size_t k = 0; k < r->rendering.n_generations; k++) {
        const struct template_span *g = &r->rendering.generations[k];
        size_t i = (size_t)g->message, start = g->start;
        bool of_message = g->message >= 0 && i < json_array_size(d->messages);
        if (of_message && !is_learnt(c, d, i, last))
            continue;
        /* As transformers: a token that reaches into the block belongs to it. */
        size_t token = token_at(&r->tokens, start);
        if (g->end > start && token && (token == r->tokens.n || r->tokens.offsets[token] > start))
            start = r->tokens.offsets[token - 1];
        if (g->end > g->start)
            chat_span_add(r, start, g->end, false, of_message ? d->message_weights[i] : 1);
    }
}

static void add_turn(const struct chat *c, const struct turn_header *h, const struct turn *t, int i,
                     double weight, struct chat_result *r)
{
    const struct template_span *first = &r->rendering.spans[t->first];
    size_t from = literal_before(&r->rendering, t->first, i);
    size_t start = turn_start(h, r->text.p, from, first->start, first->origin == TEMPLATE_CALL);
    bool prompted = h->prompt.len && ends_with(r->text.p + from, start - from, &h->prompt);
    size_t end = turn_end(c, r, t->last, i);
    if (end > start)
        chat_span_add(r, start, end, !prompted, weight);
}

void turn_spans(const struct chat *c, const struct document *d, struct chat_result *r)
{
    bool with_tools = c->with_tools && json_object_get(d->variables, "tools");
    size_t last = last_assistant(d), n = json_array_size(d->messages);
    struct turn *turns = xcalloc(n + 1, sizeof *turns);
    find_turns(&r->rendering, turns, n);
    if (r->rendering.has_generation)
        add_generations(c, d, last, r);
    for (size_t i = 0; i < n; i++) {
        bool lost = loses_calls(d, i, &turns[i]);
        r->lost_calls += lost;
        if (!r->rendering.has_generation && turns[i].found && !lost && is_learnt(c, d, i, last))
            add_turn(c, with_tools ? &c->tools_header : &c->header, &turns[i], (int)i,
                     d->message_weights[i], r);
    }
    free(turns);
    if (r->n_spans)
        qsort(r->spans, r->n_spans, sizeof *r->spans, compare_spans);
}
