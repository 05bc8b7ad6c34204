/* gguf_pre: every name that llama.cpp knows for a byte-level vocabulary, and that its pattern is
 * one. */
#include "tap.h"

#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/gguf_pre.h"
#include "text/pretokenize.h"

static const char *const names[] = {
    "default",
    "minicpm5",
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "deepseek-llm",
    "deepseek-coder",
    "deepseek-v3",
    "spark2_5",
    "youtu",
    "falcon",
    "mpt",
    "starcoder",
    "gpt-2",
    "phi-2",
    "jina-es",
    "jina-de",
    "gigachat",
    "jina-v2-es",
    "jina-v2-de",
    "a.x-4.0",
    "mellum",
    "modern-bert",
    "jais-2",
    "jina-v1-en",
    "jina-v2-code",
    "roberta-bpe",
    "refact",
    "command-r",
    "qwen2",
    "deepseek-r1-qwen",
    "kormo",
    "f2llmv2",
    "qwen35",
    "stablelm2",
    "olmo",
    "dbrx",
    "smaug-bpe",
    "poro-chat",
    "glm4",
    "chatglm-bpe",
    "viking",
    "jais",
    "tekken",
    "smollm",
    "codeshell",
    "bloom",
    "gpt3-finnish",
    "exaone",
    "exaone4",
    "exaone-moe",
    "chameleon",
    "minerva-7b",
    "megrez",
    "gpt-4o",
    "llama4",
    "kanana2",
    "talkie",
    "granite-embed-multi-97m",
    "tiny_aya",
    "cohere2moe",
    "superbpe",
    "trillion",
    "granite-docling",
    "bailingmoe",
    "bailingmoe2",
    "llada-moe",
    "seed-coder",
    "hunyuan",
    "hunyuan-dense",
    "hy_v4",
    "joyai-llm",
    "kimi-k2",
    "ufakzeka",
    "grok-2",
    "laguna",
    "minimax-m2",
    "solar-open",
    "mellum2",
    "glm5",
    "afmoe",
};

/* Those whose tokens are text. */
static const char *const plain_names[] = {"gemma4", "granite-embed-multi-311m", "sarvam-moe",
                                          "whitespace"};

/* Cuts "a1234'LL  bc" as it says, and no text is lost. */
static bool cuts(const struct pretokenizer *p)
{
    static const char text[] = "a1234'LL  b\n\n \xe4\xb8\xad.c";
    struct pretokenizer_scratch *s = pretokenizer_scratch_new(p);
    struct text t = {text, sizeof text - 1, NULL, 0}, cut;
    const struct piece *pieces;
    size_t n, sum = 0;
    struct err err;
    pretokenize_start(s, &t);
    while (pretokenize_next(p, s, &cut, &pieces, &n, &err) > 0)
        for (size_t i = 0; i < n; i++)
            sum += pieces[i].end - pieces[i].start;
    pretokenizer_scratch_free(s);
    return sum == sizeof text - 1;
}

static void check(const char *name, const struct unicode *u)
{
    struct err err = {.msg = ""};
    struct pretokenizer *p = NULL;
    const struct gguf_pre *pre = gguf_pre_find(name, strlen(name));
    json_t *spec = pre ? json_parse(pre->pre_tokenizer, strlen(pre->pre_tokenizer), &err) : NULL;
    bool made = spec && !pretokenizer_new(&p, spec, true, u, &err);
    tap_ok(made && cuts(p), "%s %s", name, err.msg);
    json_t *whole = json_pack("{s:O?, s:{s:b}}", "pre_tokenizer", spec, "model", "ignore_merges",
                              pre && pre->ignore_merges);
    tap_ok(gguf_pre_of(whole) != NULL, "%s: found by what it does", name);
    json_decref(whole);
    json_decref(spec);
    pretokenizer_free(p);
}

int main(void)
{
    struct unicode u;
    unicode_init(&u);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        check(names[i], &u);
    for (size_t i = 0; i < ARRAY_SIZE(plain_names); i++) {
        const struct gguf_pre *pre = gguf_pre_find(plain_names[i], strlen(plain_names[i]));
        tap_ok(pre && pre->plain, "%s", plain_names[i]);
    }
    json_t *none = json_pack("{s:n}", "pre_tokenizer");
    tap_ok(!gguf_pre_of(none), "and none of them is a byte-level one's name");
    json_decref(none);
    tap_ok(!gguf_pre_find("llama-bpe2", 10), "no other name");
    tap_ok(!gguf_pre_find("llama-bpe", 5), "nor a part of one");
    unicode_release(&u);
    return tap_done();
}
