#include "text/wordpiece.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/unicode.h"

struct wordpiece {
    const struct vocab *vocab;
    struct wordpiece_options options;
    char *prefix;
    size_t prefix_len;
    uint32_t *lengths; /* without the prefix */
};

struct wordpiece_scratch {
    struct buf text; /* the prefix and what is left of the word */
};

struct wordpiece *wordpiece_new(const struct vocab *v, const struct wordpiece_options *o,
                                struct err *err)
{
    struct wordpiece *w = xcalloc(1, sizeof *w);
    w->vocab = v;
    w->options = *o;
    w->prefix = xstrdup(o->prefix ? o->prefix : "");
    w->prefix_len = strlen(w->prefix);
    w->lengths = mem_array(v->n + 1, sizeof *w->lengths, "token lengths", err);
    if (!w->lengths) {
        wordpiece_free(w);
        return NULL;
    }
    for (uint32_t id = 0; id < v->n; id++) {
        size_t len = 0;
        const char *p = vocab_string(v, id, &len);
        bool goes_on =
            p && !o->whole && len >= w->prefix_len && !memcmp(p, w->prefix, w->prefix_len);
        w->lengths[id] = (uint32_t)(goes_on ? len - w->prefix_len : len);
    }
    if (o->unk >= 0)
        w->lengths[o->unk] = 0;
    return w;
}

void wordpiece_free(struct wordpiece *w)
{
    if (!w)
        return;
    free(w->prefix);
    free(w->lengths);
    free(w);
}

struct wordpiece_scratch *wordpiece_scratch_new(void)
{
    struct wordpiece_scratch *s = xcalloc(1, sizeof *s);
    buf_init(&s->text);
    return s;
}

void wordpiece_scratch_free(struct wordpiece_scratch *s)
{
    if (!s)
        return;
    buf_release(&s->text);
    free(s);
}

/* The longest token that p[len] begins with, to be found behind the `skip` bytes of the prefix. */
static int64_t longest(const struct wordpiece *w, const char *p, size_t len, size_t skip,
                       size_t *end)
{
    for (*end = len; *end > skip;) {
        int64_t id = vocab_find(w->vocab, p, *end);
        if (id >= 0)
            return id;
        do
            --*end;
        while (((unsigned char)p[*end] & 0xc0) == 0x80);
    }
    return -1;
}

static int unknown(const struct wordpiece *w, const char *word, size_t len, struct word_tokens *out,
                   struct err *err)
{
    if (w->options.unk < 0)
        return err_set(err, "an unknown word, \"%.*s\", and no unk_token",
                       (int)(len < 100 ? len : 100), word);
    out->n = 0;
    word_tokens_put(out, (uint32_t)w->options.unk, len);
    return 0;
}

static int encode(const void *model, void *scratch, const char *word, size_t len,
                  struct word_tokens *out, struct err *err)
{
    const struct wordpiece *w = model;
    struct buf *rest = &((struct wordpiece_scratch *)scratch)->text;
    size_t end;
    word_tokens_reserve(out, len);
    out->n = 0;
    if (w->options.whole) {
        int64_t id = vocab_find(w->vocab, word, len);
        if (id < 0)
            return unknown(w, word, len, out, err);
        word_tokens_put(out, (uint32_t)id, len);
        return 0;
    }
    if (utf8_count(word, len) > w->options.most)
        return unknown(w, word, len, out, err);
    for (size_t start = 0; start < len; start += end) {
        size_t skip = start ? w->prefix_len : 0;
        buf_clear(rest);
        buf_add(rest, w->prefix, skip);
        buf_add(rest, word + start, len - start);
        int64_t id = longest(w, rest->p, rest->len, skip, &end);
        if (id < 0)
            return unknown(w, word, len, out, err);
        end -= skip;
        word_tokens_put(out, (uint32_t)id, end);
    }
    return 0;
}

struct word_model wordpiece_model(const struct wordpiece *w)
{
    return (struct word_model){encode, w, w->lengths};
}
