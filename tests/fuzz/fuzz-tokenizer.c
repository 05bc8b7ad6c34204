/* Any bytes as a tokenizer.json, a GGUF vocabulary, a model of SentencePiece or a rank file: an
 * error, or a tokenizer that encodes and decodes whatever it's given. */
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "scratch_folder.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The end of the input is the text, so that the fuzzer finds both. */
static void use(const struct tokenizer *t, const uint8_t *data, size_t size)
{
    static const uint32_t ids[] = {0, 1, 2, 255, 300, 1u << 21, UINT32_MAX};
    size_t len = size < 200 ? size : 200;
    const char *text = (const char *)data + size - len;
    struct tokenizer_span plain = {len / 3, len / 2};
    struct tokenizer_scratch *s = tokenizer_scratch_new(t);
    struct token_list l = {0};
    struct buf out = BUF_INIT;
    struct err err;
    for (unsigned flags = 0; flags < 4; flags++)
        tokenizer_encode_around(t, s, text, len, flags, &plain, 1, &l, &err);
    for (size_t i = 0; i < l.n; i++)
        if (l.offsets[i] > len)
            abort();
    tokenizer_decode(t, l.ids, l.n, false, &out, &err);
    tokenizer_decode(t, ids, sizeof ids / sizeof *ids, true, &out, &err);
    buf_release(&out);
    token_list_release(&l);
    tokenizer_scratch_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t;
    struct err err;
    char path[128], hex[HASH_HEX];
    scratch_make();
    const char *name = size > 4 && !memcmp(data, "GGUF", 4) ? "model.gguf"
                       : size && data[0] == '\n'             ? "tokenizer.model"
                       : size && isalnum(data[0])            ? "cl100k.tiktoken"
                                                             : "tokenizer.json";
    scratch_write(name, data, size);
    snprintf(path, sizeof path, "%s/%s", scratch_folder, name);
    if (!strcmp(name, "tokenizer.json"))
        snprintf(path, sizeof path, "%s", scratch_folder);
    if (tokenizer_load(&t, path, &err))
        return 0;
    use(t, data, size);
    tokenizer_hash(t, hex);
    tokenizer_free(t);
    return 0;
}
