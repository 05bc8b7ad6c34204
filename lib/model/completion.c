#include "model/completion.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Enough of the prompt for any decoder to know that the completion begins no text. */
enum { CONTEXT_TOKENS = 4 };

void completion_init(struct completion *c, const struct completion_options *options,
                     const uint32_t *prompt, size_t n)
{
    *c = (struct completion){.options = options};
    buf_init(&c->text);
    c->n_context = n < CONTEXT_TOKENS ? n : CONTEXT_TOKENS;
    c->window_cap = c->n_context + 64;
    c->window = xreallocarray(NULL, c->window_cap, sizeof *c->window);
    if (c->n_context)
        memcpy(c->window, prompt + (n - c->n_context), c->n_context * sizeof *prompt);
    c->n_window = c->to = c->n_context;
}

void completion_release(struct completion *c)
{
    free(c->window);
    free(c->logprobs);
    free(c->top);
    buf_release(&c->text);
    *c = (struct completion){0};
}

const struct token_chance *completion_top(const struct completion *c, size_t i)
{
    return c->top + i * c->options->n_top;
}

size_t completion_count(const struct completion *c)
{
    return c->n_window - c->n_context;
}

const uint32_t *completion_ids(const struct completion *c)
{
    return c->window + c->n_context;
}

static bool ends_unfinished(const struct buf *text)
{
    return text->len >= 3 && !memcmp(text->p + text->len - 3, "\xef\xbf\xbd", 3);
}

/*
 * Appends the text of window[to..], which is what it adds to the text of window[from..to). Unless
 * `all`, waits while the last character is unfinished (it decodes to U+FFFD).
 */
static int decode_window(struct completion *c, bool all, struct err *err)
{
    const struct tokenizer *t = c->options->tokenizer;
    bool skip = !c->options->keep_special;
    struct buf before = BUF_INIT, after = BUF_INIT;
    int status = -1;
    if (tokenizer_decode(t, c->window + c->from, c->to - c->from, skip, &before, err) ||
        tokenizer_decode(t, c->window + c->from, c->n_window - c->from, skip, &after, err))
        goto out;
    status = 0;
    if (!all && ends_unfinished(&after))
        goto out;
    if (after.len > before.len)
        buf_add(&c->text, after.p + before.len, after.len - before.len);
    c->from = c->to;
    c->to = c->n_window;
out:
    buf_release(&before);
    buf_release(&after);
    return status;
}

/* Looks for the first stop string in the text that came after `old` bytes. */
static bool cut_at_stop(struct completion *c, size_t old)
{
    size_t cut = c->text.len;
    for (size_t i = 0; i < c->options->n_stops; i++) {
        const char *stop = c->options->stops[i];
        size_t len = strlen(stop), start = old >= len ? old - len + 1 : 0;
        const char *found = len ? memmem(c->text.p + start, c->text.len - start, stop, len) : NULL;
        if (found && (size_t)(found - c->text.p) < cut)
            cut = (size_t)(found - c->text.p);
    }
    if (cut == c->text.len)
        return false;
    c->text.len = cut;
    c->text.p[cut] = 0;
    return c->stopped = true;
}

static void keep_top(struct completion *c, const struct token_chance *top, size_t n)
{
    size_t each = c->options->n_top;
    if (n == c->top_cap) {
        c->top_cap = n ? 2 * n : 16;
        c->top = xreallocarray(c->top, c->top_cap, each * sizeof *c->top);
    }
    memcpy(c->top + n * each, top, each * sizeof *top);
}

int completion_add(struct completion *c, uint32_t id, double logprob,
                   const struct token_chance *top, struct err *err)
{
    size_t old = c->text.len, n = completion_count(c);
    ARRAY_GROW(c->logprobs, n, c->logprobs_cap);
    c->logprobs[n] = logprob;
    if (c->options->n_top)
        keep_top(c, top, n);
    ARRAY_GROW(c->window, c->n_window, c->window_cap);
    c->window[c->n_window++] = id;
    if (!c->options->tokenizer)
        return 0;
    if (decode_window(c, false, err))
        return -1;
    return cut_at_stop(c, old);
}

int completion_end(struct completion *c, struct err *err)
{
    size_t old = c->text.len;
    if (!c->options->tokenizer || c->stopped || c->to == c->n_window)
        return 0;
    if (decode_window(c, true, err))
        return -1;
    cut_at_stop(c, old);
    return 0;
}

size_t completion_settled(const struct completion *c)
{
    size_t settled = c->text.len;
    for (size_t i = 0; !c->stopped && i < c->options->n_stops; i++) {
        const char *stop = c->options->stops[i];
        size_t len = strlen(stop), most = len < c->text.len ? len : c->text.len;
        for (size_t n = most; n > c->text.len - settled; n--)
            if (!memcmp(c->text.p + c->text.len - n, stop, n))
                settled = c->text.len - n;
    }
    return settled;
}
