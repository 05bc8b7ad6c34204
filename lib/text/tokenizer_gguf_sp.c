/* Vocabularies of SentencePiece in GGUF files: BPE ("llama") and Unigram ("t5"). */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json.h"
#include "text/spm_merges.h"
#include "text/tokenizer_gguf_internal.h"

static int load_scores(struct tokenizer *t, const struct gguf *g, double *scores, struct err *err)
{
    const struct gguf_value *v = gguf_find(g, "tokenizer.ggml.scores");
    if (!v || v->type != GGUF_ARRAY || v->element != GGUF_F32 || v->n < t->vocab.n)
        return err_set(err, "tokenizer.ggml.scores is no array of %zu float32", t->vocab.n);
    for (size_t i = 0; i < t->vocab.n; i++) {
        scores[i] = gguf_array_number(v, i);
        if (!(scores[i] == scores[i]))
            return err_set(err, "tokenizer.ggml.scores: score %zu is no number", i);
    }
    return 0;
}

/* ---- BPE ---- */

/* The pipeline that a SentencePiece model's tokenizer.json has. */
static int set_spm_pipeline(struct tokenizer *t, bool space_prefix, struct err *err)
{
    struct buf spec = BUF_INIT;
    buf_addf(&spec,
             "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[%s"
             "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}]},"
             "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
             "{\"String\":\"\xe2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
             "{\"type\":\"Fuse\"}%s]}}",
             space_prefix ? "{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}," : "",
             space_prefix ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
    json_t *json = json_parse(spec.p, spec.len, err);
    int rc = json ? tokenizer_set_pipeline(t, json, false, err) : -1;
    json_decref(json);
    buf_release(&spec);
    return rc;
}

static int load_bpe(struct tokenizer *t, const struct gguf *g, const struct gguf_tokens *tokens,
                    struct err *err)
{
    struct bpe_options o = {.byte_fallback = true, .fuse_unk = true, .unk = gguf_unknown_id(t, g)};
    uint32_t(*merges)[2] = NULL;
    size_t n;
    double *numbers = mem_array(t->vocab.n + 1, sizeof *numbers, "scores", err);
    float *scores = numbers ? mem_array(t->vocab.n + 1, sizeof *scores, "scores", err) : NULL;
    bool *normal = scores ? mem_array(t->vocab.n + 1, sizeof *normal, "scores", err) : NULL;
    int rc = normal ? load_scores(t, g, numbers, err) : -1;
    for (size_t i = 0; !rc && i < t->vocab.n; i++) {
        scores[i] = (float)numbers[i];
        normal[i] = gguf_token_type(tokens, i) == GGUF_TOKEN_NORMAL;
    }
    if (!rc)
        rc = spm_merges(&t->vocab, scores, normal, &merges, &n, err);
    if (!rc) {
        t->bpe = bpe_new(&t->vocab, &o, n, err);
        rc = t->bpe ? bpe_add_merges(t->bpe, (const uint32_t(*)[2])merges, n, err) : -1;
    }
    free(numbers);
    free(scores);
    free(normal);
    free(merges);
    return rc;
}

int gguf_load_spm(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    struct gguf_tokens tokens;
    bool space_prefix = true;
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &space_prefix);
    if (gguf_tokens_find(&tokens, g, err) || gguf_load_tokens(t, &tokens, err) ||
        load_bpe(t, g, &tokens, err) || set_spm_pipeline(t, space_prefix, err) ||
        gguf_load_added(t, &tokens, err))
        return -1;
    gguf_load_ends(t, g, true, false);
    return 0;
}

/* ---- Unigram ---- */

static int load_unigram(struct tokenizer *t, const struct gguf *g, const struct gguf_tokens *tokens,
                        struct err *err)
{
    double *scores = mem_array(t->vocab.n + 1, sizeof *scores, "scores", err);
    enum unigram_kind *kinds =
        scores ? mem_array(t->vocab.n + 1, sizeof *kinds, "scores", err) : NULL;
    struct unigram_options o = {.unk = gguf_unknown_id(t, g), .kinds = kinds};
    int rc = kinds ? load_scores(t, g, scores, err) : -1;
    for (size_t i = 0; !rc && i < t->vocab.n; i++) {
        int type = gguf_token_type(tokens, i);
        kinds[i] = type == GGUF_TOKEN_NORMAL ? UNIGRAM_NORMAL
                   : type == GGUF_TOKEN_USER ? UNIGRAM_USER
                                             : UNIGRAM_NOWHERE;
        if (type == GGUF_TOKEN_USER) /* better than any that must be paid for */
            scores[i] = 0;
        o.byte_fallback |= type == GGUF_TOKEN_BYTE;
    }
    if (!rc) {
        t->unigram = unigram_new(&t->vocab, scores, &o, err);
        rc = t->unigram ? 0 : -1;
    }
    free(scores);
    free(kinds);
    return rc;
}

static int load_charsmap(struct charsmap *m, const struct gguf *g, struct err *err)
{
    const struct gguf_value *v = gguf_find(g, "tokenizer.ggml.precompiled_charsmap");
    if (!v)
        return 0;
    if (v->type != GGUF_ARRAY || (v->element != GGUF_U8 && v->element != GGUF_I8))
        return err_set(err, "tokenizer.ggml.precompiled_charsmap is no array of bytes");
    return v->n && charsmap_init(m, v->data, v->n, err)
               ? err_prefix(err, "tokenizer.ggml.precompiled_charsmap")
               : 0;
}

/* SentencePiece's own treatment of spaces; the decoder is that of T5's tokenizer.json. */
static int set_t5_pipeline(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    struct sp_rules rules = {.escape = true};
    gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &rules.dummy_prefix);
    gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &rules.remove_extra);
    json_t *spec =
        json_pack("{s:{s:s,s:s,s:s}}", "decoder", "type", "Metaspace", "replacement",
                  "\xe2\x96\x81", "prepend_scheme", rules.dummy_prefix ? "always" : "never");
    int rc = load_charsmap(&rules.map, g, err);
    if (!rc)
        rc = tokenizer_set_pipeline(t, spec, false, err);
    if (!rc) {
        sp_rules_finish(&rules);
        normalizer_free(t->normalizer);
        t->normalizer = normalizer_new_sp(&rules, &t->unicode);
    }
    sp_rules_release(&rules);
    json_decref(spec);
    return rc;
}

int gguf_load_t5(struct tokenizer *t, const struct gguf *g, struct err *err)
{
    struct gguf_tokens tokens;
    if (gguf_tokens_find(&tokens, g, err) || gguf_load_tokens(t, &tokens, err) ||
        load_unigram(t, g, &tokens, err) || set_t5_pipeline(t, g, err) ||
        gguf_load_added(t, &tokens, err))
        return -1;
    gguf_load_ends(t, g, false, true);
    return 0;
}
