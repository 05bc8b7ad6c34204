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

/*
 * gguf_pre_find takes the first entry of a name, gguf_pre_of the first that does the same. "smollm"
 * is there twice: llama.cpp isolates digits, as SmolLM's own tokenizer.json does, but transformers
 * reads such a GGUF file without that, and its ids are the ones to agree with.
 */
static const struct gguf_pre table[] = {
    {"gpt-2", BYTE_LEVEL "true}", NULL, false, false},
    {"default", BYTE_LEVEL "true}", NULL, false, false},
    {"olmo", BYTE_LEVEL "true}", NULL, false, false},
    {"smollm", BYTE_LEVEL "true}", NULL, false, false},
    {"smollm", SEQUENCE(DIGITS, "true"), NULL, false, false},
    {"starcoder", SEQUENCE(DIGITS, "true"), NULL, false, false},
    {"refact", SEQUENCE(DIGITS, "true"), NULL, false, false},
    {"command-r", SEQUENCE(DIGITS, "true"), NULL, false, false},
    {"llama-bpe", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, true, true},
    {"llama3", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, true, true},
    {"dbrx", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, false, false},
    {"smaug-bpe", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}{1,3}")), "false"), NULL, false, false},
    {"qwen2", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), "NFC", false, false},
    {"stablelm2", SEQUENCE(SPLIT(LLAMA3("\\\\p{N}")), "false"), NULL, false, false},
    {"gpt-4o", SEQUENCE(SPLIT(O200K), "false"), NULL, false, false},
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
