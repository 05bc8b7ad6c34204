/*
 * What is learnt of random conversations, by every chat template of the fixtures: exactly what the
 * assistant says and the end of each turn, whatever the user repeats or pretends.
 *
 * How a template ends a turn is taken from its first line in tests/data/chat/turns.jsonl.
 */
#include "tap.h"

#include <jansson.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/document.h"
#include "text/chat.h"

enum { CONVERSATIONS = 60, MAX_TURNS = 5, MAX_WORDS = 7 };

static const struct tokenizer *tokenizer;

/* Words that templates write themselves, that break in two tokens, or are none. */
static const char *const words[] = {
    "Hello",      "the",           "Two",           "<|im_end|>",    "</s>",
    "<s>",        "[/INST]",       "[INST]",        "<end_of_turn>", "<|eot_id|>",
    "assistant",  "user",          "### Response:", "ASSISTANT:",    "USER:",
    "\n",         "\n\n",          "<|end|>",       "ünï",           "\u4f60\u597d",
    "\U0001F600", "{{ content }}", "{% if %}",      "</tool_call>",  "model",
    "a  b",       "\"\\n\"",       "<｜User｜>",    "<|assistant|>", "System",
};

static void add_words(struct buf *b, struct rng *r)
{
    size_t n = 1 + (size_t)rng_below(r, MAX_WORDS);
    /* No blanks outside, which templates strip differently. And a word that is one token with the
     * blank that some write before it, which is learnt with it then. */
    buf_addstr(b, "Hello");
    for (size_t i = 0; i < n; i++)
        buf_addf(b, "%s%s", rng_below(r, 3) ? " " : "", words[rng_below(r, ARRAY_SIZE(words))]);
    buf_addstr(b, "y");
}

static json_t *message(const char *role, const struct buf *content)
{
    return json_pack("{s:s, s:s%}", "role", role, "content", content->p, content->len);
}

/* A conversation, and what is to be learnt of it. A user may say what the answer will be. */
static json_t *converse(struct rng *r, const char *lead, const char *end, const char *last_end,
                        struct buf *want)
{
    struct buf question = BUF_INIT, answer = BUF_INIT;
    json_t *messages = json_array();
    size_t turns = 1 + (size_t)rng_below(r, MAX_TURNS);
    for (size_t i = 0; i < turns; i++) {
        buf_clear(&question);
        buf_clear(&answer);
        add_words(&answer, r);
        if (rng_below(r, 2))
            buf_addf(&question, "%s%s", answer.p, rng_below(r, 2) ? end : "");
        add_words(&question, r);
        json_t *reply = message("assistant", &answer);
        bool learnt = rng_below(r, 4) > 0;
        if (!learnt)
            json_object_set_new(reply, "train", json_false());
        else
            buf_addf(want, "%s%s%s", lead, answer.p, i + 1 < turns ? end : last_end);
        json_array_append_new(messages, message("user", &question));
        json_array_append_new(messages, reply);
    }
    buf_release(&question);
    buf_release(&answer);
    json_t *document = json_pack("{s:o}", "messages", messages);
    return document;
}

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

/* Returns how many conversations went wrong, and shows the first. */
static size_t check(const struct chat *chat, const char *lead, const char *end,
                    const char *last_end)
{
    struct chat_result result;
    struct document d;
    struct rng r;
    size_t wrong = 0;
    rng_init(&r, 17, 4);
    chat_result_init(&result, chat);
    document_init(&d);
    for (size_t i = 0; i < CONVERSATIONS; i++) {
        struct buf want = BUF_INIT, got = BUF_INIT;
        struct err err = {""};
        json_t *document = converse(&r, lead, end, last_end, &want);
        if (!document_from_json(&d, document, NULL, &err) && !chat_encode(chat, &d, &result, &err))
            decode_trained(&result, &got);
        if ((got.len != want.len || memcmp(got.p, want.p, got.len)) && !wrong++) {
            char *shown = json_dumps(document, JSON_COMPACT);
            printf("# %s\n# %s\n", shown, err.msg);
            json_t *both = json_pack("[s%, s%]", want.p, want.len, got.p, got.len);
            free(shown);
            shown = json_dumps(both, JSON_COMPACT);
            printf("# want, got %s\n", shown);
            free(shown);
            json_decref(both);
        }
        json_decref(document);
        buf_release(&want);
        buf_release(&got);
    }
    document_release(&d);
    chat_result_release(&result);
    return wrong;
}

/* The line of a template that has this answer says what stands around it. */
static void run(const json_t *line)
{
    static const char answer[] = "Hello! How can I help?";
    const char *name = json_string_value(json_object_get(line, "template"));
    const char *learnt = json_string_value(json_object_get(line, "learnt"));
    const char *at = strstr(learnt, answer);
    char path[1024];
    struct err err;
    struct chat *chat;
    size_t len;
    snprintf(path, sizeof path, "%s/tests/data/template/templates/%s",
             getenv("SRCDIR") ? getenv("SRCDIR") : ".", name);
    char *source = file_read(path, 1 << 20, &len, &err);
    struct chat_options o = {.template_text = source,
                             .template_len = len,
                             .variables = json_object_get(line, "variables")};
    if (!source || !at || chat_new(&chat, tokenizer, &o, &err)) {
        tap_ok(false, "%s: %s", name, err.msg);
    } else {
        char *lead = xmemdup0(learnt, (size_t)(at - learnt));
        const char *last = at + strlen(answer), *end = last;
        if (!strcmp(name, "tags_generation.jinja"))
            end = "</a>"; /* written by the template behind all turns but the last */
        tap_ok(!check(chat, lead, end, last), "%s: answers, each ended by \"%s\"", name, end);
        free(lead);
        chat_free(chat);
    }
    free(source);
}

int main(void)
{
    char path[1024];
    struct err err;
    struct tokenizer *t;
    const char *srcdir = getenv("SRCDIR") ? getenv("SRCDIR") : ".";
    char last[64] = "";
    snprintf(path, sizeof path, "%s/tests/data/chat", srcdir);
    if (tokenizer_load(&t, path, &err)) {
        tap_ok(false, "tokenizer: %s", err.msg);
        return tap_done();
    }
    tokenizer = t;
    snprintf(path, sizeof path, "%s/tests/data/chat/turns.jsonl", srcdir);
    FILE *fp = fopen(path, "r");
    char *text = NULL;
    size_t cap = 0, n = 0;
    ssize_t len;
    while (fp && (len = getline(&text, &cap, fp)) > 0) {
        json_t *line = json_loadb(text, (size_t)len, JSON_ALLOW_NUL, NULL);
        const char *name = json_string_value(json_object_get(line, "template"));
        if (name && strcmp(name, last) != 0 && strstr(text, "Hello! How can I help?")) {
            snprintf(last, sizeof last, "%s", name);
            run(line);
            n++;
        }
        json_decref(line);
    }
    tap_ok(n >= 15, "%zu templates", n);
    free(text);
    if (fp)
        fclose(fp);
    tokenizer_free(t);
    return tap_done();
}
