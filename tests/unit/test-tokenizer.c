/* Ids, offsets and decoding against what `tokenizers`, SentencePiece and tiktoken give. */
#include "tap.h"

#include <unistd.h>

#include "base/buf.h"
#include "formats/json.h"
#include "text/tokenizer.h"

static const char *source_dir(void)
{
    const char *dir = getenv("SRCDIR");
    return dir ? dir : ".";
}

static bool same_ids(const struct token_list *l, const json_t *want)
{
    if (l->n != json_array_size(want))
        return false;
    for (size_t i = 0; i < l->n; i++)
        if ((json_int_t)l->ids[i] != json_integer_value(json_array_get(want, i)))
            return false;
    return true;
}

static bool offsets_rise(const struct token_list *l, size_t len)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->offsets[i] > len || (i && l->offsets[i] < l->offsets[i - 1]))
            return false;
    return true;
}

struct counts {
    int lines, ids, special, decoded, offsets;
};

static void check_line(const struct tokenizer *t, struct tokenizer_scratch *s, const json_t *line,
                       struct counts *wrong)
{
    const json_t *text = json_object_get(line, "text"), *decoded = json_object_get(line, "decoded");
    const char *p = json_string_value(text);
    size_t len = json_string_length(text);
    struct token_list plain = {0}, special = {0};
    struct buf back = BUF_INIT;
    struct err err;
    wrong->lines++;
    if (tokenizer_encode(t, s, p, len, TOKENIZER_ALLOW_SPECIAL, &plain, &err) ||
        tokenizer_encode(t, s, p, len, TOKENIZER_ALLOW_SPECIAL | TOKENIZER_ADD_SPECIAL, &special,
                         &err) ||
        tokenizer_decode(t, plain.ids, plain.n, false, &back, &err))
        printf("# line %d: %s\n", wrong->lines, err.msg);
    wrong->ids += !same_ids(&plain, json_object_get(line, "ids"));
    wrong->special += !same_ids(&special, json_object_get(line, "ids_special"));
    wrong->offsets += !offsets_rise(&plain, len);
    wrong->decoded += back.len != json_string_length(decoded) ||
                      memcmp(back.p, json_string_value(decoded), back.len);
    token_list_release(&plain);
    token_list_release(&special);
    buf_release(&back);
}

/* Every line of name.ids.jsonl. Twice, so that the second time the words come from the cache. */
static void check_vectors(const char *model, const char *name, const char *vectors)
{
    struct tokenizer *t;
    struct err err;
    if (!tap_ok(!tokenizer_load(&t, model, &err), "%s: loads", name)) {
        printf("# %s\n", err.msg);
        return;
    }
    struct tokenizer_scratch *s = tokenizer_scratch_new(t);
    struct counts wrong = {0, 0, 0, 0, 0};
    for (int round = 0; round < 2; round++) {
        struct input *in;
        struct buf line = BUF_INIT;
        json_t *value;
        if (input_open(&in, vectors, &err)) {
            printf("# %s\n", err.msg);
            break;
        }
        while (json_next_line(in, &line, &value, &err) > 0) {
            check_line(t, s, value, &wrong);
            json_decref(value);
        }
        input_close(in);
        buf_release(&line);
    }
    tap_ok(wrong.lines > 20, "%s: %d lines", name, wrong.lines);
    tap_is_u64("ids that differ", (uint64_t)wrong.ids, 0);
    tap_is_u64("ids with specials that differ", (uint64_t)wrong.special, 0);
    tap_is_u64("decoded texts that differ", (uint64_t)wrong.decoded, 0);
    tap_is_u64("offsets out of order", (uint64_t)wrong.offsets, 0);
    tokenizer_scratch_free(s);
    tokenizer_free(t);
}

static struct tokenizer *load(const char *name)
{
    struct buf path = BUF_INIT;
    struct tokenizer *t = NULL;
    struct err err;
    buf_addf(&path, "%s/tests/data/tokenizer/%s", source_dir(), name);
    if (!tap_ok(!tokenizer_load(&t, path.p, &err), "%s loads", name))
        printf("# %s\n", err.msg);
    buf_release(&path);
    return t;
}

static void check_specials(void)
{
    static const char text[] = "a<|im_end|>b<|im_end|>";
    struct tokenizer *t = load("tiny_bpe");
    struct tokenizer_scratch *s = tokenizer_scratch_new(t);
    struct token_list l = {0};
    struct tokenizer_span plain = {0, 12};
    int64_t end = tokenizer_id(t, "<|im_end|>", 10);
    struct err err;
    tap_ok(end >= 0 && tokenizer_is_special(t, (uint32_t)end), "<|im_end|> is special");
    tokenizer_encode(t, s, text, sizeof text - 1, 0, &l, &err);
    bool found = false;
    for (size_t i = 0; i < l.n; i++)
        found |= l.ids[i] == (uint32_t)end;
    tap_ok(!found, "a special token in text is text");
    l.n = 0;
    tokenizer_encode(t, s, text, sizeof text - 1, TOKENIZER_ALLOW_SPECIAL, &l, &err);
    tap_ok(l.n == 4 && l.ids[1] == end && l.ids[3] == end, "unless it's allowed");
    tap_ok(l.n == 4 && l.offsets[1] == 1 && l.offsets[2] == 11 && l.offsets[3] == 12,
           "offsets are bytes of the text");
    l.n = 0;
    tokenizer_encode_around(t, s, text, sizeof text - 1, TOKENIZER_ALLOW_SPECIAL, &plain, 1, &l,
                            &err);
    tap_ok(l.n > 4 && l.ids[1] != end && l.ids[l.n - 1] == end, "a span may forbid it");
    token_list_release(&l);
    tokenizer_scratch_free(s);
    tokenizer_free(t);
}

static void check_bad_utf8(void)
{
    static const char bad[] = "a\xff\xe2\x82z\xed\xa0\x80", good[] = "a\xef\xbf\xbd\xef\xbf\xbdz"
                                                                     "\xef\xbf\xbd\xef\xbf\xbd"
                                                                     "\xef\xbf\xbd";
    struct tokenizer *t = load("tiny_bpe");
    struct tokenizer_scratch *s = tokenizer_scratch_new(t);
    struct token_list l = {0}, m = {0};
    struct err err;
    tokenizer_encode(t, s, bad, sizeof bad - 1, 0, &l, &err);
    tokenizer_encode(t, s, good, sizeof good - 1, 0, &m, &err);
    tap_ok(l.n == m.n && !memcmp(l.ids, m.ids, l.n * sizeof *l.ids),
           "bytes that are no UTF-8 count as U+FFFD");
    tap_ok(offsets_rise(&l, sizeof bad - 1) && l.offsets[l.n - 1] == 7, "and offsets are theirs");
    token_list_release(&l);
    token_list_release(&m);
    tokenizer_scratch_free(s);
    tokenizer_free(t);
}

static void check_shared(void)
{
    static const char *const names[] = {"smollm2", "qwen3", "gpt4o", "deepseek_v3", "llama2"};
    struct buf shared = BUF_INIT, command = BUF_INIT, model = BUF_INIT, vectors = BUF_INIT;
    char folder[] = "/tmp/test-tokenizer-XXXXXX";
    const char *given = getenv("SHARED");
    if (given)
        buf_addstr(&shared, given);
    else
        buf_addf(&shared, "%s/../shared", source_dir());
    buf_addf(&command, "%s/tokenizers", shared.p);
    if (access(command.p, R_OK) || !mkdtemp(folder)) {
        printf("# no %s: the real tokenizers are left out\n", command.p);
    } else {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            buf_clear(&command);
            buf_clear(&model);
            buf_clear(&vectors);
            buf_addf(&command, "tar -xJf '%s/tokenizers/%s.tar.xz' -C %s", shared.p, names[i],
                     folder);
            buf_addf(&model, "%s/%s", folder, names[i]);
            buf_addf(&vectors, "%s/fixtures/tokenizers/%s.ids.jsonl", shared.p, names[i]);
            if (!system(command.p))
                check_vectors(model.p, names[i], vectors.p);
        }
        buf_clear(&command);
        buf_addf(&command, "rm -rf %s", folder);
        tap_ok(!system(command.p), "cleaned up");
    }
    buf_release(&shared);
    buf_release(&command);
    buf_release(&model);
    buf_release(&vectors);
}

int main(void)
{
    static const struct {
        const char *name, *model;
    } sets[] = {
        {"tiny_bpe", "tiny_bpe"},
        {"tiny_unigram", "tiny_unigram"},
        {"sp_bpe", "sp_bpe.model"},
        {"sp_unigram", "sp_unigram.model"},
        {"cl100k_tiny", "cl100k_tiny.tiktoken"},
        {"bert", "bert.gguf"},
        {"gemma4", "gemma4.gguf"},
        {"whitespace", "whitespace.gguf"},
        {"afmoe", "afmoe.gguf"},
        {"t5", "t5.gguf"},
        {"sp_word", "sp_word.model"},
        {"sp_suffix", "sp_suffix.model"},
        {"sp_char", "sp_char.model"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct buf model = BUF_INIT, vectors = BUF_INIT;
        buf_addf(&model, "%s/tests/data/tokenizer/%s", source_dir(), sets[i].model);
        buf_addf(&vectors, "%s/tests/data/tokenizer/%s.ids.jsonl", source_dir(), sets[i].name);
        check_vectors(model.p, sets[i].name, vectors.p);
        if (i == 0) { /* words so long that they are encoded window by window */
            buf_clear(&vectors);
            buf_addf(&vectors, "%s.long.jsonl", model.p);
            check_vectors(model.p, "long words", vectors.p);
        }
        buf_release(&model);
        buf_release(&vectors);
    }
    check_specials();
    check_bad_utf8();
    check_shared();
    return tap_done();
}
