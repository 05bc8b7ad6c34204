/* Rank files as tiktoken has them: a token's bytes in base64, and its rank, on each line. */
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json.h"
#include "text/base64.h"
#include "text/byte_level.h"
#include "text/scan.h"
#include "text/tokenizer_parts.h"

struct special {
    const char *content;
    uint32_t id;
};

enum { MOST_SPECIALS = 8 };

/* What a file doesn't say: its pattern and its special tokens, which its name tells (a part of it
 * is enough) or else its number of ranks. */
static const struct encoding {
    const char *name;
    size_t n_ranks;
    const char *pattern;
    const char *bos, *eos; /* BOS is put before texts */
    struct special specials[MOST_SPECIALS];
} encodings[] = {
    {"r50k", 50256, PATTERN_GPT2, NULL, "<|endoftext|>", {{"<|endoftext|>", 50256}}},
    {"p50k",
     50280,
     PATTERN_GPT2,
     NULL,
     "<|endoftext|>",
     {{"<|endoftext|>", 50256},
      {"<|fim_prefix|>", 50281},
      {"<|fim_middle|>", 50282},
      {"<|fim_suffix|>", 50283}}},
    {"cl100k",
     100256,
     PATTERN_CL100K,
     NULL,
     "<|endoftext|>",
     {{"<|endoftext|>", 100257},
      {"<|fim_prefix|>", 100258},
      {"<|fim_middle|>", 100259},
      {"<|fim_suffix|>", 100260},
      {"<|endofprompt|>", 100276}}},
    {"o200k",
     199998,
     PATTERN_O200K,
     NULL,
     "<|endoftext|>",
     {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}},
    {"llama3",
     128000,
     PATTERN_LLAMA3,
     "<|begin_of_text|>",
     "<|end_of_text|>",
     {{"<|begin_of_text|>", 128000},
      {"<|end_of_text|>", 128001},
      {"<|start_header_id|>", 128006},
      {"<|end_header_id|>", 128007},
      {"<|eom_id|>", 128008},
      {"<|eot_id|>", 128009},
      {"<|python_tag|>", 128010}}},
    {"qwen",
     151643,
     PATTERN_QWEN2,
     NULL,
     "<|endoftext|>",
     {{"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}}},
};

static const struct encoding *find_encoding(const char *path, size_t n_ranks)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < ARRAY_SIZE(encodings); i++)
        if (strstr(name, encodings[i].name))
            return &encodings[i];
    for (size_t i = 0; i < ARRAY_SIZE(encodings); i++)
        if (encodings[i].n_ranks == n_ranks)
            return &encodings[i];
    return NULL;
}

/* The tokens' bytes, by rank. */
struct ranks {
    struct buf bytes;
    struct byte_span {
        size_t start, len;
    } * spans; /* [n]; len 0 where there's no such rank */
    size_t n, cap;
    size_t n_tokens;
    struct buf spelled; /* work memory */
};

static int put_rank(struct ranks *r, struct vocab *v, uint32_t rank, size_t start, struct err *err)
{
    size_t len = r->bytes.len - start;
    buf_clear(&r->spelled);
    for (size_t i = 0; i < len; i++)
        buf_addutf8(&r->spelled, byte_level_char((uint8_t)r->bytes.p[start + i]));
    if (vocab_add(v, rank, r->spelled.p, r->spelled.len, err))
        return -1;
    while (r->n <= rank) {
        ARRAY_GROW(r->spans, r->n, r->cap);
        r->spans[r->n++] = (struct byte_span){0, 0};
    }
    r->spans[rank] = (struct byte_span){start, len};
    r->n_tokens++;
    return 0;
}

/* "BASE64 RANK" */
static int read_line(struct ranks *r, struct vocab *v, const char *p, size_t len, struct err *err)
{
    const char *space = memchr(p, ' ', len);
    size_t start = r->bytes.len, n, digits = 0;
    uint32_t rank = 0;
    if (!space || space == p)
        return err_set(err, "expected a token in base64, a space and its rank");
    for (const char *q = space + 1; q < p + len; q++, digits++) {
        if (*q < '0' || *q > '9' || rank > VOCAB_MAX_ID)
            return err_set(err, "expected a rank of at most %u", VOCAB_MAX_ID);
        rank = 10 * rank + (uint32_t)(*q - '0');
    }
    if (!digits || rank > VOCAB_MAX_ID)
        return err_set(err, "expected a rank of at most %u", VOCAB_MAX_ID);
    buf_reserve(&r->bytes, len);
    if (base64_decode(p, (size_t)(space - p), (uint8_t *)r->bytes.p + start, &n) || !n)
        return err_set(err, "the token is not base64");
    r->bytes.len += n;
    return put_rank(r, v, rank, start, err);
}

static int read_ranks(struct ranks *r, struct vocab *v, const char *p, size_t size, struct err *err)
{
    const char *end = p + size;
    for (size_t line = 1; p < end; line++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        size_t len = (size_t)(stop - p);
        while (len && (p[len - 1] == '\r' || p[len - 1] == ' '))
            len--;
        if (len && read_line(r, v, p, len, err))
            return err_prefix(err, "line %zu", line);
        p = stop + (newline != NULL);
    }
    return r->n ? 0 : err_set(err, "no ranks");
}

static int check_bytes(const struct vocab *v, struct err *err)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char spelled[4];
        if (vocab_find(v, spelled, utf8_put(byte_level_char((uint8_t)byte), spelled)) < 0)
            return err_set(err, "byte 0x%02x is no token", byte);
    }
    return 0;
}

static int set_model(struct tokenizer *t, const struct ranks *r, struct err *err)
{
    struct bpe_options o = {.bytes = true, .ignore_merges = true, .unk = -1};
    uint32_t *ids = mem_array(r->n, sizeof *ids, "ranks", err);
    struct vocab_view *texts = mem_array(r->n, sizeof *texts, "ranks", err);
    t->bpe = ids && texts ? bpe_new(&t->vocab, &o, r->n, err) : NULL;
    for (size_t i = 0; t->bpe && i < r->n; i++) {
        ids[i] = (uint32_t)i;
        texts[i] = (struct vocab_view){r->bytes.p + r->spans[i].start, r->spans[i].len};
    }
    int rc = t->bpe ? bpe_add_unions(t->bpe, ids, texts, r->n, err) : -1;
    free(ids);
    free(texts);
    return rc;
}

static int set_pipeline(struct tokenizer *t, const struct encoding *e, struct err *err)
{
    json_t *spec =
        json_pack("{s:{s:s,s:[{s:s,s:{s:s},s:s},{s:s,s:b,s:b}]},s:{s:s}}", "pre_tokenizer", "type",
                  "Sequence", "pretokenizers", "type", "Split", "pattern", "Regex", e->pattern,
                  "behavior", "Isolated", "type", "ByteLevel", "add_prefix_space", 0, "use_regex",
                  0, "decoder", "type", "ByteLevel");
    int rc = tokenizer_set_pipeline(t, spec, true, err);
    json_decref(spec);
    return rc;
}

static int64_t id_of(const struct tokenizer *t, const char *token)
{
    return token ? tokenizer_id(t, token, strlen(token)) : -1;
}

/* A token whose id a rank has is none of this file's. */
static int add_specials(struct tokenizer *t, const struct encoding *e, struct err *err)
{
    for (size_t i = 0; i < MOST_SPECIALS && e->specials[i].content; i++) {
        const struct special *s = &e->specials[i];
        struct added_token token = {.content = (char *)(uintptr_t)s->content,
                                    .len = strlen(s->content),
                                    .id = s->id,
                                    .special = true};
        if (!vocab_string(&t->vocab, s->id, NULL) && tokenizer_add_token(t, token, err))
            return -1;
    }
    t->bos = id_of(t, e->bos);
    t->eos = id_of(t, e->eos);
    if (t->bos >= 0)
        id_list_add(&t->before, (uint32_t)t->bos);
    return 0;
}

static int load(struct tokenizer *t, const char *path, const struct mapfile *file, struct err *err)
{
    struct ranks r = {BUF_INIT, NULL, 0, 0, 0, BUF_INIT};
    vocab_reserve(&t->vocab, file->size / 12, file->size);
    int rc = read_ranks(&r, &t->vocab, file->p ? (const char *)file->p : "", file->size, err);
    const struct encoding *e = rc ? NULL : find_encoding(path, r.n_tokens);
    if (!rc && !e)
        rc = err_set(err,
                     "%zu ranks are none of the known encodings: name the file after the one whose "
                     "pattern it has (r50k, p50k, cl100k, o200k, llama3, qwen)",
                     r.n_tokens);
    if (rc || check_bytes(&t->vocab, err) || set_model(t, &r, err) || set_pipeline(t, e, err) ||
        add_specials(t, e, err))
        rc = -1;
    buf_release(&r.bytes);
    buf_release(&r.spelled);
    free(r.spans);
    return rc;
}

int tokenizer_load_tiktoken(struct tokenizer *t, const char *path, struct err *err)
{
    struct mapfile file;
    if (mapfile_open(&file, path, err))
        return -1;
    int rc = load(t, path, &file, err);
    mapfile_close(&file);
    return rc ? err_prefix(err, "%s", path) : 0;
}
