#include "text/origin.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mapfile.h"
#include "formats/gguf.h"
#include "formats/json.h"
#include "text/tokenizer.h"

enum { CONFIG_LIMIT = 16 << 20 };

/* A token id of config.json: a number, the first of a list, or none. */
static int get_id(const json_t *config, const char *key, int64_t *out, struct err *err)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return err_set(err, "%s is no token id", key);
    *out = json_integer_value(v);
    return 0;
}

static int read_config(struct stream_header *h, const json_t *config, struct err *err)
{
    const json_t *text = json_object_get(config, "text_config"); /* of models that also see */
    const json_t *size = json_object_get(config, "vocab_size");
    if (!size && text) {
        config = text;
        size = json_object_get(text, "vocab_size");
    }
    if (!json_is_integer(size) || json_integer_value(size) < 1 ||
        json_integer_value(size) > UINT32_MAX)
        return err_set(err, "vocab_size is missing or no number of tokens");
    h->vocab_size = (uint32_t)json_integer_value(size);
    return get_id(config, "bos_token_id", &h->bos, err) ||
                   get_id(config, "eos_token_id", &h->eos, err)
               ? -1
               : 0;
}

/* Leaves h as it is where the folder has no config.json. */
static int read_folder(struct stream_header *h, const char *model, struct err *err)
{
    struct buf path = BUF_INIT;
    int status = 0;
    buf_addf(&path, "%s/config.json", model);
    if (file_exists(path.p)) {
        json_t *config = json_read_file(path.p, CONFIG_LIMIT, err);
        status = config ? 0 : -1;
        if (config && read_config(h, config, err))
            status = err_prefix(err, "%s", path.p);
        json_decref(config);
    }
    buf_release(&path);
    return status;
}

/* Rows of the embedding, as llama.cpp takes it; else the list of tokens. */
static uint64_t gguf_vocab_size(const struct gguf *g)
{
    const struct gguf_value *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        const struct tensor *t = gguf_tensor(g, i);
        if (!strcmp(t->name, "token_embd.weight") && t->n_dims == 2)
            return t->shape[0];
    }
    return tokens && tokens->type == GGUF_ARRAY ? tokens->n : 0;
}

static int read_gguf(struct stream_header *h, const char *model, struct err *err)
{
    struct gguf *g;
    uint64_t id;
    if (gguf_open(&g, model, err))
        return -1;
    uint64_t size = gguf_vocab_size(g);
    if (gguf_get_u64(g, "tokenizer.ggml.bos_token_id", &id) && id < size)
        h->bos = (int64_t)id;
    if (gguf_get_u64(g, "tokenizer.ggml.eos_token_id", &id) && id < size)
        h->eos = (int64_t)id;
    gguf_close(g);
    if (!size || size > UINT32_MAX)
        return err_set(err, "%s: has neither token_embd.weight nor a list of tokens", model);
    h->vocab_size = (uint32_t)size;
    return 0;
}

/* What the tokenizer knows, where the model didn't say. */
static void add_tokenizer(struct stream_header *h, const struct tokenizer *t)
{
    size_t size = tokenizer_vocab_size(t);
    tokenizer_hash(t, h->tokenizer);
    if (!h->vocab_size && size <= UINT32_MAX)
        h->vocab_size = (uint32_t)size;
    if (h->bos < 0)
        h->bos = tokenizer_bos(t);
    if (h->eos < 0)
        h->eos = tokenizer_eos(t);
}

/* The same of the one that the model has, if any. 1 if it can't be read. */
static int load_tokenizer(struct stream_header *h, const char *model, struct err *err)
{
    struct tokenizer *t;
    int exists = tokenizer_exists(model, err);
    if (exists <= 0)
        return exists;
    if (tokenizer_load(&t, model, err))
        return 1;
    add_tokenizer(h, t);
    tokenizer_free(t);
    return 0;
}

int origin_of_model(struct stream_header *h, const char *model, const struct tokenizer *t,
                    struct err *err)
{
    struct stat st;
    if (stat(model, &st))
        return err_errno(err, "%s", model);
    int status = 0; /* of a tokenizer alone there's nothing more to read */
    if (S_ISDIR(st.st_mode))
        status = read_folder(h, model, err);
    else if (!tokenizer_is_file(model))
        status = read_gguf(h, model, err);
    if (!status && t)
        add_tokenizer(h, t);
    else if (!status)
        status = load_tokenizer(h, model, err);
    if (status < 0)
        return -1;
    if (!h->vocab_size)
        return status
                   ? -1
                   : err_set(err, "%s: has neither config.json nor a tokenizer, so it is no model",
                             model);
    if (h->bos >= h->vocab_size || h->eos >= h->vocab_size)
        return err_set(
            err, "%s: bos %" PRId64 " or eos %" PRId64 " is outside its vocabulary of %" PRIu32,
            model, h->bos, h->eos, h->vocab_size);
    return status;
}
