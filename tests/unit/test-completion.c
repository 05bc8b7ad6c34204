/* completion: text comes out token by token as the whole decodes, and ends at stop strings. */
#include "model/completion.h"

#include "base/mem.h"
#include "formats/json.h"
#include "tap.h"
#include "text/tokenizer.h"

static struct tokenizer *tokenizer;

static bool ends_unfinished(const struct buf *text)
{
    return text->len >= 3 && !memcmp(text->p + text->len - 3, "\xef\xbf\xbd", 3);
}

/* Everything behind the first n_prompt ids; false where that is no whole text. */
static bool decode_rest(const uint32_t *ids, size_t n_prompt, size_t n, bool skip, struct buf *rest)
{
    struct buf prompt = BUF_INIT, all = BUF_INIT;
    struct err err;
    tokenizer_decode(tokenizer, ids, n_prompt, skip, &prompt, &err);
    tokenizer_decode(tokenizer, ids, n, skip, &all, &err);
    bool whole = !ends_unfinished(&prompt);
    if (whole)
        buf_add(rest, all.p + prompt.len, all.len - prompt.len);
    buf_release(&prompt);
    buf_release(&all);
    return whole;
}

struct counts {
    size_t texts, wrong, taken_back;
};

static void check_split(const uint32_t *ids, size_t n_prompt, size_t n, bool keep_special,
                        struct counts *counts)
{
    struct completion_options o = {tokenizer, keep_special, NULL, 0, 0};
    struct completion c;
    struct buf want = BUF_INIT, seen = BUF_INIT;
    struct err err;
    if (!decode_rest(ids, n_prompt, n, !keep_special, &want))
        return;
    completion_init(&c, &o, ids, n_prompt);
    for (size_t i = n_prompt; i < n; i++) {
        completion_add(&c, ids[i], 0, NULL, &err);
        size_t settled = completion_settled(&c);
        counts->taken_back += settled < seen.len || memcmp(c.text.p, seen.p, seen.len) != 0;
        buf_clear(&seen);
        buf_add(&seen, c.text.p, settled);
    }
    completion_end(&c, &err);
    counts->texts++;
    bool good = c.text.len == want.len && !memcmp(c.text.p, want.p, want.len) &&
                completion_count(&c) == n - n_prompt &&
                !memcmp(completion_ids(&c), ids + n_prompt, (n - n_prompt) * sizeof *ids);
    if (!good && !counts->wrong)
        printf("# got  \"%s\"\n# want \"%s\"\n", c.text.p, want.p);
    counts->wrong += !good;
    completion_release(&c);
    buf_release(&want);
    buf_release(&seen);
}

static void test_texts(const char *dir)
{
    char path[4096];
    struct err err;
    struct input *in;
    struct buf line = BUF_INIT;
    struct counts counts = {0, 0, 0};
    json_t *value;
    snprintf(path, sizeof path, "%s/tests/data/tokenizer/tiny_bpe.ids.jsonl", dir);
    if (input_open(&in, path, &err)) {
        tap_ok(false, "%s", err.msg);
        return;
    }
    while (json_next_line(in, &line, &value, &err) > 0) {
        const json_t *list = json_object_get(value, "ids");
        size_t n = json_array_size(list);
        uint32_t *ids = xcalloc(n + 1, sizeof *ids);
        for (size_t i = 0; i < n; i++)
            ids[i] = (uint32_t)json_integer_value(json_array_get(list, i));
        for (size_t at = 0; at <= n && at < 40; at++)
            check_split(ids, at, n < at + 40 ? n : at + 40, at % 2, &counts);
        free(ids);
        json_decref(value);
    }
    input_close(in);
    buf_release(&line);
    tap_ok(counts.texts > 300, "%zu prompts and completions", counts.texts);
    tap_is_u64("the text is the decoding of all tokens behind the prompt", counts.wrong, 0);
    tap_is_u64("what has settled stays", counts.taken_back, 0);
}

/* Adds the tokens of a text one by one until a stop; returns how many bytes had settled before. */
static size_t feed(struct completion *c, const char *text, bool *stopped)
{
    struct token_list l = {0};
    struct err err;
    struct tokenizer_scratch *s = tokenizer_scratch_new(tokenizer);
    size_t settled = 0;
    *stopped = false;
    tokenizer_encode(tokenizer, s, text, strlen(text), 0, &l, &err);
    for (size_t i = 0; i < l.n && !*stopped; i++) {
        settled = completion_settled(c);
        *stopped = completion_add(c, l.ids[i], 0, NULL, &err) == 1;
    }
    token_list_release(&l);
    tokenizer_scratch_free(s);
    return settled;
}

static void test_stops(void)
{
    static const char *const stops[] = {"\n\n", "xyz", ""};
    struct completion_options o = {tokenizer, false, stops, ARRAY_SIZE(stops), 0};
    struct completion c;
    struct err err;
    bool stopped;
    completion_init(&c, &o, NULL, 0);
    feed(&c, "one xy zx\ntwo xxyz three\n\n", &stopped);
    tap_ok(stopped, "a stop string over several tokens");
    completion_end(&c, &err);
    tap_is_str("is cut off, and what is behind it", c.text.p, "one xy zx\ntwo x");
    completion_release(&c);
    completion_init(&c, &o, NULL, 0);
    feed(&c, "a line\n", &stopped);
    tap_ok(!stopped && completion_settled(&c) == 6, "what may begin a stop string has not settled");
    feed(&c, "b", &stopped);
    tap_ok(!stopped && completion_settled(&c) == 8, "until it doesn't");
    completion_end(&c, &err);
    tap_is_str("and it all stays", c.text.p, "a line\nb");
    completion_release(&c);
    completion_init(&c, &o, NULL, 0);
    completion_end(&c, &err);
    tap_ok(!c.text.len && !completion_count(&c), "an empty completion");
    completion_release(&c);
}

static void test_no_tokenizer(void)
{
    struct completion_options o = {NULL, false, NULL, 0, 0};
    struct completion c;
    struct err err;
    completion_init(&c, &o, (uint32_t[]){1, 2, 3}, 3);
    for (uint32_t i = 0; i < 200; i++)
        completion_add(&c, i, i, NULL, &err);
    completion_end(&c, &err);
    tap_ok(completion_count(&c) == 200 && completion_ids(&c)[199] == 199 && c.logprobs[199] == 199,
           "ids alone");
    completion_release(&c);
}

int main(void)
{
    const char *source = getenv("SRCDIR");
    struct err err;
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/tokenizer/tiny_bpe", source ? source : ".");
    if (tokenizer_load(&tokenizer, path, &err)) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    test_texts(source ? source : ".");
    test_stops();
    test_no_tokenizer();
    tokenizer_free(tokenizer);
    return tap_done();
}
