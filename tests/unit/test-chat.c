/*
 * Documents to tokens: what is learnt of conversations, by the chat templates of the fixtures.
 *
 * tests/data/chat/turns.jsonl has a line {"template", "document", "learnt", and where they matter
 * "variables", "train_on", "style", "allow_special", "prompt", "error"}: what the learnt tokens
 * say, or with "prompt" what the prompt for a generation is. Whatever goes wrong becomes a line
 * there.
 */
#include "tap.h"

#include <jansson.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/document.h"
#include "text/chat.h"

static const struct tokenizer *tokenizer;

static int choice(const json_t *v, const char *const *choices)
{
    for (int i = 0; json_is_string(v) && choices[i]; i++)
        if (!strcmp(choices[i], json_string_value(v)))
            return i;
    return 0;
}

static char *read_template(const json_t *name, size_t *len)
{
    char path[1024];
    struct err err;
    if (!json_is_string(name))
        return NULL;
    snprintf(path, sizeof path, "%s/tests/data/template/templates/%s",
             getenv("SRCDIR") ? getenv("SRCDIR") : ".", json_string_value(name));
    return file_read(path, 1 << 20, len, &err);
}

/* Text of the tokens that are learnt. */
static void decode_trained(const struct chat_result *r, struct buf *out)
{
    struct err err;
    uint32_t *ids = xcalloc(r->tokens.n + 1, sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < r->tokens.n; i++)
        if (r->trained[i])
            ids[n++] = r->tokens.ids[i];
    tokenizer_decode(tokenizer, ids, n, false, out, &err);
    free(ids);
}

/* A learnt turn is text that the message has, or the template's; never another message's. */
static bool learns_own_only(const struct document *d, const struct chat_result *r, bool all)
{
    if (all || !r->rendered || d->shape != DOCUMENT_MESSAGES)
        return true;
    for (size_t i = 0; i < r->tokens.n; i++) {
        if (!r->trained[i])
            continue;
        for (size_t k = 0; k < r->rendering.n_spans; k++) {
            const struct template_span *s = &r->rendering.spans[k];
            if (s->origin == TEMPLATE_LITERAL || s->start > r->tokens.offsets[i] ||
                s->end <= r->tokens.offsets[i])
                continue;
            const json_t *m = json_array_get(d->messages, (size_t)s->message);
            const char *role = json_string_value(json_object_get(m, "role"));
            if (s->message < 0 || (strcmp(role, "assistant") && d->train[s->message] != TRAIN_YES))
                return false;
        }
    }
    return true;
}

static void run_case(const char *place, json_t *c)
{
    struct err err = {""};
    struct chat *chat;
    struct chat_result r;
    struct document d;
    struct buf got = BUF_INIT;
    size_t len = 0;
    json_t *name = json_object_get(c, "template");
    char *source = read_template(name, &len);
    struct chat_options o = {
        .train_on = (enum chat_train)choice(json_object_get(c, "train_on"), chat_train_choices),
        .style = (enum chat_style)choice(json_object_get(c, "style"), chat_style_choices),
        .allow_special = json_is_true(json_object_get(c, "allow_special")),
        .no_specials = json_is_true(json_object_get(c, "no_specials")),
        .template_text = source,
        .template_len = len,
        .variables = json_object_get(c, "variables")};
    const char *want = json_string_value(json_object_get(c, "learnt"));
    const char *prompt = json_string_value(json_object_get(c, "prompt"));
    const char *error = json_string_value(json_object_get(c, "error"));
    if (!tap_ok(!chat_new(&chat, tokenizer, &o, &err), "%s: template", place)) {
        printf("# %s\n", err.msg);
        return;
    }
    chat_result_init(&r, chat);
    document_init(&d);
    int rc = document_from_json(&d, json_object_get(c, "document"), NULL, &err);
    if (!rc)
        rc = prompt ? chat_encode_prompt(chat, &d, &r, &err) : chat_encode(chat, &d, &r, &err);
    if (error) {
        if (!tap_ok(rc && strstr(err.msg, error), "%s: fails", place))
            printf("# want %s\n# got  %s\n", error, rc ? err.msg : "no failure");
    } else if (tap_ok(!rc, "%s: %s", place, name ? json_string_value(name) : "plain")) {
        if (prompt)
            tokenizer_decode(tokenizer, r.tokens.ids, r.tokens.n, false, &got, &err);
        else
            decode_trained(&r, &got);
        tap_is_str("  what is learnt", got.p, prompt ? prompt : want ? want : "");
        if (!learns_own_only(&d, &r, o.train_on == CHAT_TRAIN_ALL))
            tap_ok(false, "  only the message's own text is learnt");
        if (r.tokens.n && r.trained[0])
            tap_ok(false, "  the first token is not learnt");
    } else {
        printf("# %s\n", err.msg);
    }
    document_release(&d);
    chat_result_release(&r);
    chat_free(chat);
    buf_release(&got);
    free(source);
}

int main(void)
{
    char path[1024], place[64];
    struct err err;
    struct tokenizer *t;
    const char *srcdir = getenv("SRCDIR") ? getenv("SRCDIR") : ".";
    snprintf(path, sizeof path, "%s/tests/data/chat", srcdir);
    if (!tap_ok(!tokenizer_load(&t, path, &err), "tokenizer")) {
        printf("# %s\n", err.msg);
        return tap_done();
    }
    tokenizer = t;
    snprintf(path, sizeof path, "%s/tests/data/chat/turns.jsonl", srcdir);
    FILE *fp = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0, number = 0;
    ssize_t len;
    while (fp && (len = getline(&line, &cap, fp)) > 0) {
        json_t *c = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, NULL);
        snprintf(place, sizeof place, "line %zu", ++number);
        if (c)
            run_case(place, c);
        else
            tap_ok(false, "%s is JSON", place);
        json_decref(c);
    }
    tap_ok(number > 0, "there are cases");
    free(line);
    if (fp)
        fclose(fp);
    tokenizer_free(t);
    return tap_done();
}
