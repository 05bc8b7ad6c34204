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
#define NFC "{\"type\":\"NFC\"}"
#define VISIBLE_SPACES                                                                             \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}"
#define DIGITS "{\"type\":\"Digits\",\"individual_digits\":true},"
#define LLAMA3(digits)                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|" digits                 \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define O200K_UPPER "[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define O200K_LOWER "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]"
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define O200K_WITH(digits, newlines)                                                               \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "*" O200K_LOWER "+" CONTRACTION                   \
    "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "+" O200K_LOWER "*" CONTRACTION "|" digits       \
    "| ?[^\\\\s\\\\p{L}\\\\p{N}]+" newlines "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define O200K O200K_WITH("\\\\p{N}{1,3}", "[\\\\r\\\\n/]*")

#define TEKKEN                                                                                     \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "*" O200K_LOWER "+"                               \
    "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" O200K_UPPER "+" O200K_LOWER "*"                              \
    "|\\\\p{N}| "                                                                                  \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN35                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{L}\\\\p{M}]+|\\\\p{N}"      \
    "| ?[^\\\\s\\\\p{L}\\\\p{M}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define DEEPSEEK_V3_WORDS                                                                          \
    "[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+"                            \
    "|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*"        \
    "|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define DEEPSEEK_V3                                                                                \
    SPLIT("\\\\p{N}{1,3}")                                                                         \
    SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+")        \
    SPLIT(DEEPSEEK_V3_WORDS)
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

/* Letters with case, as Unicode 11 or so knew them. */
#define DEEPSEEK_LETTERS                                                                           \
    "A-Za-z\\u00b5\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u01ba\\u01bc-\\u01bf"                    \
    "\\u01c4-\\u0293\\u0295-\\u02af\\u0370-\\u0373\\u0376\\u0377\\u037b-\\u037d"                   \
    "\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-\\u03a1\\u03a3-\\u03f5"                           \
    "\\u03f7-\\u0481\\u048a-\\u052f\\u0531-\\u0556\\u10a0-\\u10c5"                                 \
    "\\u13a0-\\u13f5\\u13f8-\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf"                                 \
    "\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a\\u1e00-\\u1f15"                                 \
    "\\u1f18-\\u1f1d\\u1f20-\\u1f45\\u1f48-\\u1f4d\\u1f50-\\u1f57\\u1f59\\u1f5b"                   \
    "\\u1f5d\\u1f5f-\\u1f7d\\u1f80-\\u1fb4\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4"                   \
    "\\u1fc6-\\u1fcc\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-\\u1fec"                                 \
    "\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc\\u2102\\u2107\\u210a-\\u2113\\u2115"                           \
    "\\u2119-\\u211d\\u2124\\u2126\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139"                    \
    "\\u213c-\\u213f\\u2145-\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b"                           \
    "\\u2c7e-\\u2ce4\\u2ceb-\\u2cee\\u2cf2\\u2cf3\\ua640-\\ua66d\\ua680-\\ua69b"                   \
    "\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf"                                 \
    "\\ufb00-\\ufb06\\ufb13-\\ufb17\\uff21-\\uff3a\\uff41-\\uff5a"                                 \
    "\\ud801\\udc00-\\ud801\\udc4f\\ud801\\udcb0-\\ud801\\udcd3"                                   \
    "\\ud801\\udcd8-\\ud801\\udcfb\\ud803\\udc80-\\ud803\\udcb2"                                   \
    "\\ud803\\udcc0-\\ud803\\udcf2\\ud806\\udca0-\\ud806\\udcdf"                                   \
    "\\ud83a\\udd00-\\ud83a\\udd43"
#define DEEPSEEK_PUNCTUATION "!-/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002"
#define DEEPSEEK_LLM                                                                               \
    SPLIT("[\\r\\n]")                                                                              \
    SPLIT("\\\\s?[" DEEPSEEK_LETTERS "]+")                                                         \
    SPLIT("\\\\s?[" DEEPSEEK_PUNCTUATION "]+")                                                     \
    SPLIT("\\\\s+$")                                                                               \
    SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+")        \
    SPLIT("\\\\p{N}+")
#define SPARK                                                                                      \
    SPLIT("\\\\p{N}{1,3}")                                                                         \
    SPLIT("[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+")        \
    SPLIT("[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+"                      \
          "|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+|[\\r\\n]"  \
          "|\\\\s+(?!\\\\S)|\\\\s+")                                                               \
    SPLIT("\\\\p{N}")
#define YOUTU_SCRIPTS                                                                              \
    "[\\uac00-\\ud7a3\\u3131-\\u318e]+|[\\uff01\\u2026\\u201c\\u201d\\u2018"                       \
    "\\u2019\\u2014\\uff1a\\uff1b\\uff0c\\u3001-\\u303f\\ufe30-\\ufe4f]+|[\\u3105"                 \
    "-\\u312f]+|[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+"
#define YOUTU SPLIT(YOUTU_SCRIPTS) SPLIT(O200K_WITH("\\\\p{N}", "[\\\\r\\\\n/]*"))
#define HAN_FREE(class) "(?:(?!\\\\p{Han})" class ")"
#define KIMI                                                                                       \
    SPLIT("[\\\\p{Han}]+|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" HAN_FREE(O200K_UPPER) "*" HAN_FREE(       \
        O200K_LOWER) "+" CONTRACTION                                                               \
                     "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?" HAN_FREE(O200K_UPPER) "+" HAN_FREE(         \
                         O200K_LOWER) "*" CONTRACTION "|\\\\p{N}{1,3}| "                           \
                                      "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|"                   \
                                      "\\\\s*[\\\\r\\\\n]+"                                        \
                                      "|\\\\s+(?!\\\\S)|\\\\s+")
#define EXAONE_MOE                                                                                 \
    SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)"                                                           \
          "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?(?:\\\\p{L}\\\\p{M}*(?: \\\\p{L}\\\\p{M}*)*)+|\\\\p{N}"  \
          "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]?|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s+")
#define UFAKZEKA                                                                                   \
    SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "                                     \
          "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"                                                \
          "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")
#define TINY_AYA SPLIT("\\\\d{1,3}(?=(?:\\\\d{3})*\\\\b)") SPLIT(O200K)
#define SUPERBPE SPLIT("\\\\p{N}+") SPLIT("(?=(\\\\d{3})+(?!\\\\d))")
#define MINICPM5 SPLIT("\\\\p{N}{1,3}") SPLIT(LLAMA3("\\\\p{N}+"))
#define LAGUNA SPLIT("[^\\\\n]+|[\\\\n]+") SPLIT(LLAMA3("\\\\p{N}"))
#define CHAMELEON                                                                                  \
    SPLIT("<sentinel:[0-9]+>")                                                                     \
    SPLIT("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z")                                                   \
    SPLIT("([\\\\t\\\\n]|    |  )")                                                                \
    DIGITS SPLIT("[\\\\p{P}!-/:-@\\\\[-`{-~]") SPLIT(GPT2)
/* Groups of three from the right, and what is left over before them. */
#define DIGITS_FROM_RIGHT SPLIT("\\\\p{N}{1,3}(?=(?:\\\\p{N}{3})*(?!\\\\p{N}))")
#define AFMOE_SCRIPTS                                                                              \
    "[\\u4e00-\\u9fff\\u3400-\\u4dbf\\uf900-\\ufaff\\u3040-\\u309f\\u30a0-\\u30ff"                 \
    "\\uff65-\\uff9f\\u2f00-\\u2fdf\\u0e00-\\u0e7f\\u0e80-\\u0eff\\u1780-\\u17ff"                  \
    "\\u1000-\\u109f\\uaa60-\\uaa7f\\ua9e0-\\ua9ff\\uac00-\\ud7af\\u1100-\\u11ff]+"
#define AFMOE DIGITS_FROM_RIGHT SPLIT(AFMOE_SCRIPTS) SPLIT(DEEPSEEK_V3_WORDS)
#define SPACE_RUN(n) "\\\\s{" n "}(?!\\\\S)|"
#define JAIS2                                                                                      \
    SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}"     \
          "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|" SPACE_RUN("512")        \
              SPACE_RUN("256") SPACE_RUN("128") SPACE_RUN("64") SPACE_RUN("32") SPACE_RUN("16")    \
                  SPACE_RUN("8") SPACE_RUN("4") SPACE_RUN("1,2") "\\\\s{1}")

/*
 * The names are those of llama.cpp (llama-vocab.cpp), several of which may mean the same.
 * gguf_pre_find takes the first entry of a name, gguf_pre_of the first that does the same. "smollm"
 * is there twice: llama.cpp isolates digits, as SmolLM's own tokenizer.json does, but transformers
 * reads such a GGUF file without that, and its ids are the ones to agree with.
 */
#define AS_GPT2(name)                                                                              \
    {                                                                                              \
        name, BYTE_LEVEL "true}", NULL, false, false, false                                        \
    }
#define AS_STARCODER(name)                                                                         \
    {                                                                                              \
        name, SEQUENCE(DIGITS, "true"), NULL, false, false, false                                  \
    }
#define AS_LLAMA3(name)                                                                            \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, true, true, false           \
    }
#define AS_GLM4(name)                                                                              \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, true, false, false          \
    }
#define AS_DBRX(name)                                                                              \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, false, false, false         \
    }
#define AS_QWEN2(name)                                                                             \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), NFC, false, false, false               \
    }
#define AS_STABLELM2(name)                                                                         \
    {                                                                                              \
        name, SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), NULL, false, false, false              \
    }
#define AS_GPT4O(name)                                                                             \
    {                                                                                              \
        name, SEQUENCE(SPLIT(O200K), "false"), NULL, false, false, false                           \
    }
#define AS_SPLITS(name, splits)                                                                    \
    {                                                                                              \
        name, SEQUENCE(splits, "false"), NULL, false, false, false                                 \
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
    {"qwen35", SEQUENCE(SPLIT(QWEN35), "false"), NFC, false, false, false},
    {"tekken", SEQUENCE(SPLIT(TEKKEN), "false"), NULL, true, true, false},
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
    AS_GLM4("glm4"),
    AS_GLM4("glm5"),
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
    AS_GPT2("jina-es"),
    AS_GPT2("jina-de"),
    AS_GPT2("jina-v1-en"),
    AS_GPT2("jina-v2-es"),
    AS_GPT2("jina-v2-de"),
    AS_GPT2("jina-v2-code"),
    AS_GPT2("roberta-bpe"),
    AS_LLAMA3("jina-v5-nano"),
    AS_STABLELM2("f2llmv2"),
    AS_GPT4O("talkie"),
    AS_SPLITS("deepseek-llm", DEEPSEEK_LLM),
    AS_SPLITS("spark2_5", SPARK),
    AS_SPLITS("kimi-k2", KIMI),
    AS_SPLITS("exaone-moe", EXAONE_MOE),
    AS_SPLITS("ufakzeka", UFAKZEKA),
    AS_SPLITS("tiny_aya", TINY_AYA),
    AS_SPLITS("cohere2moe", TINY_AYA),
    AS_SPLITS("superbpe", SUPERBPE),
    AS_SPLITS("laguna", LAGUNA),
    AS_SPLITS("jais-2", JAIS2),
    {"youtu", SEQUENCE(YOUTU, "false"), NULL, true, false, false},
    {"minicpm5", SEQUENCE(MINICPM5, "false"), NULL, true, false, false},
    {"granite-embed-multi-97m", SEQUENCE(SPLIT(O200K), "false"), NULL, true, false, false},
    {"chameleon", SEQUENCE(CHAMELEON, "false"), NULL, false, true, false},
    AS_SPLITS("afmoe", AFMOE),
    {"gemma4", "null", VISIBLE_SPACES, false, true, true},
    {"granite-embed-multi-311m", "null", VISIBLE_SPACES, false, true, true},
    {"sarvam-moe", "null", VISIBLE_SPACES, false, false, true},
    {"whitespace", "{\"type\":\"WhitespaceSplit\"}", NULL, false, false, true},
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
        if (!table[i].plain && table[i].ignore_merges == ignore_merges &&
            !strcmp(entry.p, wanted.p))
            found = &table[i];
    }
    buf_release(&wanted);
    buf_release(&entry);
    return found;
}
