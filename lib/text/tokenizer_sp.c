/* SentencePiece's model files (sentencepiece_model.proto). */
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/mem.h"
#include "formats/json.h"
#include "formats/protobuf.h"
#include "text/json_field.h"
#include "text/tokenizer_parts.h"

enum piece_type { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
enum model_type { UNIGRAM = 1, BPE, WORD, CHAR };

struct sp_piece {
    float score;
    enum piece_type type;
};

/* The file, as far as it matters. */
struct sp_model {
    struct sp_piece *pieces; /* [n] */
    size_t n, cap;
    enum model_type type;
    bool byte_fallback;
    bool space_is_suffix;
    int32_t bos, eos;
    struct sp_rules rules;
};

/* ---- the file ---- */

static int read_piece(struct tokenizer *t, struct sp_model *m, const struct protobuf_field *message,
                      struct err *err)
{
    struct cursor c;
    struct protobuf_field f;
    struct sp_piece piece = {0, NORMAL};
    struct vocab_view text = {NULL, 0};
    int more;
    cursor_init(&c, message->p, message->len);
    while ((more = protobuf_next(&c, &f, err)) > 0) {
        if (f.number == 1 && f.wire == PROTOBUF_BYTES)
            text = (struct vocab_view){(const char *)f.p, f.len};
        else if (f.number == 2)
            piece.score = protobuf_float(&f);
        else if (f.number == 3)
            piece.type = (enum piece_type)protobuf_int32(&f);
    }
    if (more < 0)
        return -1;
    if (!text.len || utf8_valid(text.p, text.len) < text.len)
        return err_set(err, "its text is %s", text.len ? "not UTF-8" : "empty");
    if (piece.type < NORMAL || piece.type > BYTE)
        return err_set(err, "type %d is not known", (int)piece.type);
    if (!(piece.score == piece.score) || piece.score - piece.score != 0)
        return err_set(err, "its score is no number");
    if (m->n > VOCAB_MAX_ID || vocab_add(&t->vocab, (uint32_t)m->n, text.p, text.len, err))
        return -1;
    ARRAY_GROW(m->pieces, m->n, m->cap);
    m->pieces[m->n++] = piece;
    return 0;
}

static int read_trainer(struct sp_model *m, const struct protobuf_field *message, struct err *err)
{
    struct cursor c;
    struct protobuf_field f;
    int more;
    cursor_init(&c, message->p, message->len);
    while ((more = protobuf_next(&c, &f, err)) > 0) {
        if (f.number == 3)
            m->type = (enum model_type)protobuf_int32(&f);
        else if (f.number == 24)
            m->space_is_suffix = protobuf_bool(&f);
        else if (f.number == 35)
            m->byte_fallback = protobuf_bool(&f);
        else if (f.number == 41)
            m->bos = protobuf_int32(&f);
        else if (f.number == 42)
            m->eos = protobuf_int32(&f);
    }
    return more;
}

static int read_normalizer(struct sp_model *m, const struct protobuf_field *message,
                           struct err *err)
{
    struct cursor c;
    struct protobuf_field f;
    int more;
    cursor_init(&c, message->p, message->len);
    while ((more = protobuf_next(&c, &f, err)) > 0) {
        if (f.number == 2 && f.wire == PROTOBUF_BYTES && f.len) {
            charsmap_release(&m->rules.map);
            if (charsmap_init(&m->rules.map, f.p, f.len, err))
                return -1;
        } else if (f.number == 3) {
            m->rules.dummy_prefix = protobuf_bool(&f);
        } else if (f.number == 4) {
            m->rules.remove_extra = protobuf_bool(&f);
        } else if (f.number == 5) {
            m->rules.escape = protobuf_bool(&f);
        }
    }
    return more;
}

static int read_model(struct tokenizer *t, struct sp_model *m, const struct mapfile *file,
                      struct err *err)
{
    struct cursor c;
    struct protobuf_field f;
    int more;
    cursor_init(&c, file->p, file->size);
    while ((more = protobuf_next(&c, &f, err)) > 0) {
        if (f.wire != PROTOBUF_BYTES)
            continue;
        if (f.number == 1 && read_piece(t, m, &f, err))
            return err_prefix(err, "piece %zu", m->n);
        if (f.number == 2 && read_trainer(m, &f, err))
            return err_prefix(err, "trainer_spec");
        if (f.number == 3 && read_normalizer(m, &f, err))
            return err_prefix(err, "normalizer_spec");
    }
    if (more < 0)
        return -1;
    return m->n ? 0 : err_set(err, "no pieces");
}

/* ---- the model ---- */

static int64_t find_type(const struct sp_model *m, enum piece_type type)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->pieces[i].type == type)
            return (int64_t)i;
    return -1;
}

/* A piece on its way into the order of scores: the highest first, then as in the file. */
struct ranked {
    float score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int set_bpe(struct tokenizer *t, const struct sp_model *m, struct err *err)
{
    struct bpe_options o = {
        .byte_fallback = m->byte_fallback, .fuse_unk = true, .unk = find_type(m, UNKNOWN)};
    struct ranked *order = mem_array(m->n, sizeof *order, "pieces", err);
    uint32_t *ids = order ? mem_array(m->n, sizeof *ids, "pieces", err) : NULL;
    struct vocab_view *texts = ids ? mem_array(m->n, sizeof *texts, "pieces", err) : NULL;
    size_t n = 0;
    for (uint32_t id = 0; texts && id < m->n; id++)
        if (m->pieces[id].type == NORMAL)
            order[n++] = (struct ranked){m->pieces[id].score, id};
    if (n)
        qsort(order, n, sizeof *order, by_score);
    for (size_t i = 0; texts && i < n; i++) {
        ids[i] = order[i].id;
        texts[i].p = vocab_string(&t->vocab, ids[i], &texts[i].len);
    }
    t->bpe = texts ? bpe_new(&t->vocab, &o, n, err) : NULL;
    int rc = t->bpe ? bpe_add_unions(t->bpe, ids, texts, n, err) : -1;
    free(order);
    free(ids);
    free(texts);
    return rc;
}

static int set_unigram(struct tokenizer *t, const struct sp_model *m, struct err *err)
{
    double *scores = mem_array(m->n, sizeof *scores, "pieces", err);
    enum unigram_kind *kinds = scores ? mem_array(m->n, sizeof *kinds, "pieces", err) : NULL;
    struct unigram_options o = {find_type(m, UNKNOWN), m->byte_fallback, kinds, true};
    for (size_t i = 0; kinds && i < m->n; i++) {
        scores[i] = m->pieces[i].score;
        kinds[i] = m->pieces[i].type == NORMAL         ? UNIGRAM_NORMAL
                   : m->pieces[i].type == USER_DEFINED ? UNIGRAM_USER
                                                       : UNIGRAM_NOWHERE;
    }
    if (kinds)
        t->unigram = unigram_new(&t->vocab, scores, &o, err);
    free(scores);
    free(kinds);
    return t->unigram ? 0 : -1;
}

/* Words and characters, which may be any token's text but a control token's. */
static int set_units(struct tokenizer *t, const struct sp_model *m, struct err *err)
{
    bool *known = mem_array(m->n, sizeof *known, "pieces", err);
    struct sp_units_options o = {.characters = m->type == CHAR,
                                 .unk = find_type(m, UNKNOWN),
                                 .byte_fallback = m->byte_fallback,
                                 .known = known};
    for (size_t i = 0; known && i < m->n; i++)
        known[i] = m->pieces[i].type == NORMAL || m->pieces[i].type == USER_DEFINED ||
                   m->pieces[i].type == UNUSED;
    if (known)
        t->sp_units = sp_units_new(&t->vocab, &o, err);
    free(known);
    return t->sp_units ? 0 : -1;
}

static int set_model(struct tokenizer *t, const struct sp_model *m, struct err *err)
{
    switch (m->type) {
    case BPE:
        return set_bpe(t, m, err);
    case UNIGRAM:
        return set_unigram(t, m, err);
    case WORD:
    case CHAR:
        return set_units(t, m, err);
    }
    return err_set(err, "model type %d is not known", (int)m->type);
}

/* ---- the rest ---- */

/* Strings of the users are not touched by the rules. */
static int set_users(struct tokenizer *t, struct sp_model *m, struct err *err)
{
    struct trie_key *keys = mem_array(m->n + 1, sizeof *keys, "pieces", err);
    size_t n = 0;
    for (uint32_t id = 0; keys && id < m->n; id++)
        if (m->pieces[id].type == USER_DEFINED) {
            keys[n].p = vocab_string(&t->vocab, id, &keys[n].len);
            keys[n++].value = id;
        }
    int rc = keys ? 0 : -1;
    if (n)
        rc = trie_build(&m->rules.users, keys, n, err);
    free(keys);
    return rc;
}

/* At the front, the one space that was put there goes, or all of them where there can't have been
 * any. */
static json_t *make_decoder(const struct sp_rules *r)
{
    enum { ALL = 1 << 20 };
    json_t *steps = json_array();
    if (r->escape)
        json_array_append_new(steps, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern",
                                               "String", "\xe2\x96\x81", "content", " "));
    json_array_append_new(steps, json_pack("{s:s}", "type", "ByteFallback"));
    json_array_append_new(steps, json_pack("{s:s}", "type", "Fuse"));
    if (r->dummy_prefix || r->remove_extra)
        json_array_append_new(steps, json_pack("{s:s,s:s,s:i,s:i}", "type", "Strip", "content", " ",
                                               "start", r->remove_extra ? ALL : 1, "stop", 0));
    return json_pack("{s:{s:s,s:o}}", "decoder", "type", "Sequence", "decoders", steps);
}

static int set_pipeline(struct tokenizer *t, struct sp_model *m, struct err *err)
{
    m->rules.dummy_suffix = m->space_is_suffix;
    if (set_users(t, m, err))
        return -1;
    json_t *spec = make_decoder(&m->rules);
    int rc = tokenizer_set_pipeline(t, spec, false, err);
    json_decref(spec);
    if (rc)
        return -1;
    sp_rules_finish(&m->rules);
    normalizer_free(t->normalizer);
    t->normalizer = normalizer_new_sp(&m->rules, &t->unicode);
    return 0;
}

/* Control tokens are special. A user's token is, for BPE and for characters, found in the
 * normalised text before anything else is; Unigram sees to it by its score, and a word is found
 * as it is. */
static int add_tokens(struct tokenizer *t, const struct sp_model *m, struct err *err)
{
    for (uint32_t id = 0; id < m->n; id++) {
        enum piece_type type = m->pieces[id].type;
        bool user = type == USER_DEFINED && (m->type == BPE || m->type == CHAR);
        if (type != CONTROL && type != UNKNOWN && !user)
            continue;
        struct added_token token = {.id = id, .special = !user, .normalized = user};
        token.content = (char *)(uintptr_t)vocab_string(&t->vocab, id, &token.len);
        if (user)
            added_put(&t->added, &token);
        else if (tokenizer_add_token(t, token, err))
            return -1;
    }
    return 0;
}

/* BOS before a text as for GGUF's vocabularies of this kind, unless tokenizer_config.json says
 * otherwise. */
static void set_ends(struct tokenizer *t, const struct sp_model *m)
{
    t->bos = m->bos >= 0 && (size_t)m->bos < m->n ? m->bos : -1;
    t->eos = m->eos >= 0 && (size_t)m->eos < m->n ? m->eos : -1;
    if (m->type == BPE && t->bos >= 0)
        id_list_add(&t->before, (uint32_t)t->bos);
}

static int load(struct tokenizer *t, const struct mapfile *file, struct err *err)
{
    struct sp_model m = {.type = UNIGRAM, .bos = 1, .eos = 2};
    m.rules.dummy_prefix = m.rules.remove_extra = m.rules.escape = true;
    int rc = read_model(t, &m, file, err);
    if (rc || set_model(t, &m, err) || set_pipeline(t, &m, err) || add_tokens(t, &m, err))
        rc = -1;
    if (!rc)
        set_ends(t, &m);
    free(m.pieces);
    sp_rules_release(&m.rules);
    return rc;
}

int tokenizer_load_sp(struct tokenizer *t, const char *path, struct err *err)
{
    struct mapfile file;
    if (mapfile_open(&file, path, err))
        return -1;
    int rc = load(t, &file, err);
    mapfile_close(&file);
    return rc ? err_prefix(err, "%s", path) : 0;
}
