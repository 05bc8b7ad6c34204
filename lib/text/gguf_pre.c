#include "text/gguf_pre.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define BYTE_LEVEL                                                                                 \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":"
#define SPLIT(pattern)                                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern                                        \
    "\"},\"behavior\":\"Isolated\",\"invert\":false},"
#define SEQUENCE(steps, regex)                                                                     \
    "{\"type\":\"Sequence\",\"pretokenizers\":[" steps BYTE_LEVEL regex "}]}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true},"
#define LLAMA3(digits)                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                 \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define O200K_UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define O200K_LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define O200K                                                                                      \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "*" O200K_LOWER "+" CONTRACTION                   \
    "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "+" O200K_LOWER "*" CONTRACTION                  \
    "|\\\\p{N}{1,3}| "                                                                             \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

#define TEKKEN                                                                                     \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "*" O200K_LOWER "+"                               \
    "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "+" O200K_LOWER "*"                              \
    "|\\\\p{N}| "                                                                                  \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN35                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{L}\\\\p{M}]+|\\\\p{N}"      \
    "| ?[^\\\\s\\\\p{L}\\\\p{M}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define DEEPSEEK_V3                                                                                \
    SPLIT("\\\\p{N}{1,3}")                                                                         \
    SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+")        \
    SPLIT("[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+"                      \
          "|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*"  \
          "|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+")
#define DEEPSEEK_CODER                                                                             \
    SPLIT("[\\r\\n]")                                                                              \
    SPLIT("\\\\s?\\\\p{L}+")                                                                       \
    SPLIT("\\\\s?\\\\p{P}+")                                                                       \
    SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+")        \
    DIGITS
#define GPT2                                                                                       \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+"                  \
    "|\\\\s+(?!\\\\S)|\\\\s+"
#define FALCON SPLIT("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|`]+") SPLIT(GPT2) SPLIT("[0-9][0-9][0-9]")
#define DEFAULT                                                                                    \
    SPLIT("[\\\\p{P}\\\\$\\\\+<=>\\\\^~\\\\|]+")                                                   \
    SPLIT(GPT2) SPLIT("\\\\p{N}+") SPLIT("[0-9][0-9][0-9]")
#define BLOOM                                                                                      \
    SPLIT(" ?[^(\\\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94"    \
          "\xd8\x8c)]+")
#define BAILINGMOE                                                                                 \
    "'(?i:[sdmt]|ll|ve|re)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}"                       \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s+"
#define SEED_CODER                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}"                \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}\\\\r\\\\n]+|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

/*
 * The names are those of llama.cpp (llama-vocab.cpp), several of which may mean the same.
 * gguf_pre_find takes the first entry of a name, gguf_pre_of the first that does the same. "smollm"
 * is there twice: llama.cpp isolates digits, as SmolLM's own tokenizer.json does, but transformers
 * reads such a GGUF file without that, and its ids are the ones to agree with.
 */
#define AS_GPT2(name)                                                                              \
    {                                                                                              \
        name, BYTE_LEVEL "true}", NULL, false, false                                               \
    }
#define AS_STARCODER(name)                                                                         \
    {                                                                                              \
        name, SEQUENCE(DIGITS, "true"), NULL, false, false                                         \
    }
#define AS_LLAMA3(name)                                                                            \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, true, true                  \
    }
#define AS_DBRX(name)                                                                              \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, false, false                \
    }
#define AS_QWEN2(name)                                                                             \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), "NFC", false, false                    \
    }
#define AS_STABLELM2(name)                                                                         \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), NULL, false, false                     \
    }
#define AS_GPT4O(name)                                                                             \
    {                                                                                              \
        name, SEQUENCE(SPLIT(O200K), "false"), NULL, false, false                                  \
    }
#define AS_SPLITS(name, splits)                                                                    \
    {                                                                                              \
        name, SEQUENCE(splits, "false"), NULL, false, false                                        \
    }

static const struct gguf_pre table[] = {
    AS_GPT2("gpt-2"),
    AS_GPT2("olmo"),
    AS_GPT2("smollm"),
    AS_STARCODER("smollm"),
    AS_STARCODER("starcoder"),
    AS_STARCODER("refact"),
    AS_STARCODER("command-r"),
    AS_LLAMA3("llama-bpe"),
    AS_DBRX("dbrx"),
    AS_DBRX("smaug-bpe"),
    AS_QWEN2("qwen2"),
    AS_STABLELM2("stablelm2"),
    AS_GPT4O("gpt-4o"),
    AS_SPLITS("deepseek-v3", DEEPSEEK_V3),
    AS_SPLITS("deepseek-coder", DEEPSEEK_CODER),
    AS_SPLITS("qwen35", SPLIT(QWEN35)),
    {"tekken", SEQUENCE(SPLIT(TEKKEN), "false"), NULL, true, true},
    AS_SPLITS("falcon", FALCON),
    AS_SPLITS("bloom", BLOOM),
    AS_SPLITS("bailingmoe", SPLIT(BAILINGMOE)),
    AS_SPLITS("seed-coder", SPLIT(SEED_CODER)),
    AS_SPLITS("default", DEFAULT),
    AS_GPT2("mpt"),
    AS_GPT2("phi-2"),
    AS_GPT2("jais"),
    AS_GPT2("mellum"),
    AS_GPT2("gigachat"),
    AS_GPT2("a.x-4.0"),
    AS_GPT2("exaone4"),
    AS_GPT2("trillion"),
    AS_GPT2("granite-docling"),
    AS_GPT2("modern-bert"),
    AS_STARCODER("codeshell"),
    AS_STARCODER("exaone"),
    AS_STARCODER("minerva-7b"),
    AS_STARCODER("mellum2"),
    AS_LLAMA3("llama3"),
    AS_LLAMA3("llama-v3"),
    AS_LLAMA3("falcon3"),
    AS_LLAMA3("falcon-h1"),
    AS_LLAMA3("pixtral"),
    AS_LLAMA3("midm-2.0"),
    AS_LLAMA3("lfm2"),
    AS_DBRX("chatglm-bpe"),
    AS_DBRX("glm4"),
    AS_STABLELM2("deepseek-r1-qwen"),
    AS_STABLELM2("kormo"),
    AS_STABLELM2("megrez"),
    AS_STABLELM2("hunyuan"),
    AS_STABLELM2("solar-open"),
    AS_STABLELM2("grok-2"),
    AS_GPT4O("llama4"),
    AS_GPT4O("kanana2"),
    AS_GPT4O("minimax-m2"),
    AS_SPLITS("hunyuan-dense", DEEPSEEK_V3),
    AS_SPLITS("joyai-llm", DEEPSEEK_V3),
    AS_SPLITS("hy_v4", DEEPSEEK_V3),
    AS_SPLITS("poro-chat", BLOOM),
    AS_SPLITS("gpt3-finnish", BLOOM),
    AS_SPLITS("viking", BLOOM DIGITS),
    AS_SPLITS("bailingmoe2", SPLIT(BAILINGMOE)),
    AS_SPLITS("llada-moe", SPLIT(BAILINGMOE)),
};

const struct gguf_pre *gguf_pre_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (strlen(table[i].name) == len && !memcmp(table[i].name, name, len))
            return &table[i];
    return NULL;
}

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

/* Appends what one step does, in a spelling of its own. Defaults are those of `tokenizers`. */
static void add_step(struct buf *b, const json_t *step)
{
    const char *type = text(step, "type");
    bool invert = json_is_true(json_object_get(step, "invert"));
    size_t i;
    json_t *inner;
    if (!strcmp(type, "Sequence")) {
        json_array_foreach(json_object_get(step, "pretokenizers"), i, inner) add_step(b, inner);
    } else if (!strcmp(type, "ByteLevel")) {
        buf_addf(b, "bytes%s%s\n",
                 json_is_false(json_object_get(step, "use_regex")) ? "" : " regex",
                 json_is_false(json_object_get(step, "add_prefix_space")) ? "" : " prefix");
    } else if (!strcmp(type, "Digits")) {
        buf_addf(b, "digits%s\n",
                 json_is_true(json_object_get(step, "individual_digits")) ? " individual" : "");
    } else if (!strcmp(type, "Split") && (!strcmp(text(step, "behavior"), "Isolated") ||
                                          (invert && !strcmp(text(step, "behavior"), "Removed")))) {
        /* These patterns match everything, so that isolating the matches and removing what is
         * between them do the same. */
        buf_addf(b, "split %s\n", text(json_object_get(step, "pattern"), "Regex"));
    } else {
        buf_addf(b, "? %s\n", type);
    }
}

const struct gguf_pre *gguf_pre_of(const json_t *tokenizer)
{
    const json_t *model = json_object_get(tokenizer, "model");
    bool ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
    const struct gguf_pre *found = NULL;
    struct buf wanted = BUF_INIT, entry = BUF_INIT;
    add_step(&wanted, json_object_get(tokenizer, "pre_tokenizer"));
    for (size_t i = 0; i < ARRAY_SIZE(table) && !found; i++) {
        json_t *step = json_loads(table[i].pre_tokenizer, 0, NULL);
        buf_clear(&entry);
        add_step(&entry, step);
        json_decref(step);
        if (table[i].ignore_merges == ignore_merges && !strcmp(entry.p, wanted.p))
            found = &table[i];
    }
    buf_release(&wanted);
    buf_release(&entry);
    return found;
}
