#include "text/sp_units.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

static const char space[] = "\xe2\x96\x81";

struct sp_units {
    const struct vocab *vocab;
    bool characters;
    int64_t unk;
    bool byte_fallback; /* and all of the bytes are there */
    uint32_t bytes[256];
    bool *known;
    uint32_t *lengths;
};

struct sp_units *sp_units_new(const struct vocab *v, const struct sp_units_options *o,
                              struct err *err)
{
    struct sp_units *u = xcalloc(1, sizeof *u);
    u->vocab = v;
    u->characters = o->characters;
    u->unk = o->unk;
    u->byte_fallback = o->byte_fallback && vocab_find_bytes(v, u->bytes);
    u->known = mem_array(v->n + 1, sizeof *u->known, "tokens", err);
    u->lengths = mem_array(v->n + 1, sizeof *u->lengths, "token lengths", err);
    if (!u->known || !u->lengths) {
        sp_units_free(u);
        return NULL;
    }
    memcpy(u->known, o->known, v->n * sizeof *u->known);
    /* 0 for the unknown one, whose runs are of any length, and for what no text has. */
    for (uint32_t id = 0; id < v->n; id++) {
        size_t len = 0;
        vocab_string(v, id, &len);
        u->lengths[id] = u->known[id] ? (uint32_t)len : 0;
    }
    return u;
}

void sp_units_free(struct sp_units *u)
{
    if (!u)
        return;
    free(u->known);
    free(u->lengths);
    free(u);
}

static bool is_space(const char *p, size_t len)
{
    return len >= 3 && !memcmp(p, space, 3);
}

/* The length of the part that p[len] begins with. */
static size_t next_part(const struct sp_units *u, const char *p, size_t len)
{
    size_t at = utf8_length((unsigned char)*p);
    while (!u->characters && at < len && !is_space(p + at, len - at))
        at += utf8_length((unsigned char)p[at]);
    return at;
}

static int put_unknown(const struct sp_units *u, const char *p, size_t len, struct word_tokens *out,
                       struct err *err)
{
    if (u->byte_fallback) {
        for (size_t i = 0; i < len; i++)
            word_tokens_put(out, u->bytes[(unsigned char)p[i]], 1);
        return 0;
    }
    if (u->unk < 0)
        return err_set(err, "\"%.*s\" is unknown, and there is no unknown token",
                       (int)(len < 100 ? len : 100), p);
    word_tokens_put(out, (uint32_t)u->unk, len);
    return 0;
}

static int encode(const void *model, void *scratch, const char *word, size_t len,
                  struct word_tokens *out, struct err *err)
{
    const struct sp_units *u = model;
    size_t unknown = 0; /* bytes of the run before `at` */
    (void)scratch;
    word_tokens_reserve(out, len);
    out->n = 0;
    for (size_t at = 0, part; at < len; at += part) {
        part = next_part(u, word + at, len - at);
        int64_t id = vocab_find(u->vocab, word + at, part);
        if (id < 0 || !u->known[id]) {
            unknown += part;
            continue;
        }
        if (unknown && put_unknown(u, word + at - unknown, unknown, out, err))
            return -1;
        word_tokens_put(out, (uint32_t)id, part);
        unknown = 0;
    }
    return unknown ? put_unknown(u, word + len - unknown, unknown, out, err) : 0;
}

struct word_model sp_units_model(const struct sp_units *u)
{
    return (struct word_model){encode, u, u->lengths};
}
