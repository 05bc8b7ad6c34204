#include "text/lint_document.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "formats/json.h"
#include "text/lint_chars.h"
#include "text/lint_turns.h"
#include "text/tokenizer.h"

enum {
    TINY = 20,         /* characters of a document */
    LONG_ENOUGH = 80,  /* bytes of an answer that can be told to break off */
    REPEATS_FROM = 64, /* shingles of an answer that can be told to repeat itself */
    END_WITHIN = 3,    /* of the last learnt tokens one has to end the turn */
};

int lint_tables_new(struct lint_tables **out, struct err *err)
{
    struct lint_tables *t = xcalloc(1, sizeof *t);
    if (lint_privacy_new(&t->privacy, err)) {
        free(t);
        return -1;
    }
    word_table_init(&t->words);
    language_table_init(&t->languages, &t->words);
    *out = t;
    return 0;
}

void lint_tables_free(struct lint_tables *t)
{
    if (!t)
        return;
    lint_privacy_free(t->privacy);
    word_table_release(&t->words);
    free(t);
}

void lint_scratch_init(struct lint_scratch *s, const struct lint_checker *c)
{
    *s = (struct lint_scratch){.checker = c, .regex = regex_scratch_new()};
    buf_init(&s->where);
    if (c->chat)
        for (size_t i = 0; i < ARRAY_SIZE(s->results); i++)
            chat_result_init(&s->results[i], c->chat);
}

void lint_scratch_release(struct lint_scratch *s)
{
    regex_scratch_free(s->regex);
    buf_release(&s->where);
    if (s->checker->chat)
        for (size_t i = 0; i < ARRAY_SIZE(s->results); i++)
            chat_result_release(&s->results[i]);
}

void lint_document_init(struct lint_document *d)
{
    *d = (struct lint_document){.readable = false};
    document_init(&d->document);
    lint_pieces_init(&d->pieces);
    lint_findings_init(&d->findings);
}

void lint_document_release(struct lint_document *d)
{
    document_release(&d->document);
    lint_pieces_release(&d->pieces);
    lint_findings_release(&d->findings);
    shingles_release(&d->shingles);
}

static const char *text_of(const struct lint_document *d, const struct lint_piece *piece)
{
    return d->pieces.text.p + piece->start;
}

static bool is_blank(const struct lint_document *d, const struct lint_piece *piece)
{
    const char *p = text_of(d, piece);
    size_t i = 0;
    while (i < piece->len && isspace((unsigned char)p[i]))
        i++;
    return i == piece->len;
}

/* ---- what it says, for comparison ---- */

static uint64_t hash_on(uint64_t seed, const void *p, size_t len)
{
    return hash64(p, len, seed ^ (uint64_t)len << 1);
}

static void find_answer(struct lint_document *d)
{
    d->answer = NULL;
    for (size_t i = 0; i < d->pieces.n; i++)
        if (d->pieces.items[i].learnt && (!d->answer || !is_blank(d, &d->pieces.items[i])))
            d->answer = &d->pieces.items[i];
}

/* Places count: the same words by another speaker are another document. */
static void hash_pieces(struct lint_document *d)
{
    const json_t *tools = json_object_get(d->document.variables, "tools");
    uint64_t hash = (uint64_t)d->document.shape + 16 * d->document.label, prompt = 0;
    for (size_t i = 0; i < d->pieces.n; i++) {
        const struct lint_piece *piece = &d->pieces.items[i];
        if (piece == d->answer && i)
            prompt = hash | 1;
        hash = hash_on(hash + piece->learnt + 2 * piece->system, text_of(d, piece), piece->len);
    }
    if (tools) {
        struct buf b = BUF_INIT;
        json_add(&b, tools);
        hash = hash_on(hash, b.p, b.len);
        buf_release(&b);
    }
    if (d->document.n_ids)
        hash = hash_on(hash, d->document.ids, d->document.n_ids * sizeof *d->document.ids);
    d->hash = hash;
    d->prompt_hash = prompt;
    d->answer_hash = d->answer ? hash_on(0, text_of(d, d->answer), d->answer->len) : 0;
}

static void shingle_ids(struct lint_document *d)
{
    for (size_t i = 0; i < d->document.n_ids; i++)
        shingles_word(&d->shingles, word_mix(d->document.ids[i] + 1), true);
    shingles_end(&d->shingles, true);
}

static void shingle_piece(struct lint_document *d, const struct lint_checker *c,
                          const struct lint_piece *piece, struct language_counts *counts)
{
    struct word_cursor at;
    struct word w;
    word_start(&at, &c->tables->words, text_of(d, piece), piece->len);
    while (word_next(&at, &w)) {
        shingles_word(&d->shingles, w.hash, piece->learnt);
        if (counts)
            language_count(counts, &c->tables->languages, &w);
    }
    shingles_end(&d->shingles, piece->learnt);
}

/* The language is that of what is learnt. */
static void shingle(struct lint_document *d, const struct lint_checker *c)
{
    struct language_counts counts = {0};
    shingles_clear(&d->shingles);
    if (d->document.shape == DOCUMENT_IDS)
        shingle_ids(d);
    for (size_t i = 0; i < d->pieces.n; i++) {
        const struct lint_piece *piece = &d->pieces.items[i];
        if (!piece->system)
            shingle_piece(d, c, piece, piece->learnt && !piece->is_call ? &counts : NULL);
    }
    shingles_seal(&d->shingles);
    d->language = language_guess(&counts);
}

static void forget(struct lint_document *d)
{
    document_clear(&d->document);
    lint_findings_clear(&d->findings);
    shingles_clear(&d->shingles);
    d->readable = d->tokenised = false;
    d->pieces.n = 0;
    d->answer = NULL;
    d->characters = d->turns = d->tokens = d->trained = 0;
    d->language = LANGUAGE_UNKNOWN;
}

static int read_value(struct lint_document *d, const struct lint_checker *c, json_t *value,
                      struct err *err)
{
    if (document_from_json(&d->document, value, c->fields, err))
        return -1;
    d->shape = d->document.shape;
    lint_pieces_read(&d->pieces, &d->document);
    d->turns = json_array_size(d->document.messages);
    find_answer(d);
    hash_pieces(d);
    shingle(d, c);
    d->readable = true;
    return 0;
}

int lint_document_read(struct lint_document *d, const struct lint_checker *c, const char *line,
                       size_t len, struct err *err)
{
    forget(d);
    json_t *value = json_parse(line, len, err);
    int status = value ? read_value(d, c, value, err) : -1;
    json_decref(value);
    return status;
}

/* ---- what is wrong with it ---- */

static const char *where(struct lint_scratch *s, const struct lint_piece *piece)
{
    lint_piece_where(piece, &s->where);
    return s->where.p;
}

static bool is_call_beside(const struct lint_document *d, size_t i)
{
    size_t message = d->pieces.items[i].message;
    return i + 1 < d->pieces.n && d->pieces.items[i + 1].is_call &&
           d->pieces.items[i + 1].message == message;
}

static void check_blank(struct lint_document *d, struct lint_scratch *s)
{
    for (size_t i = 0; i < d->pieces.n; i++) {
        const struct lint_piece *piece = &d->pieces.items[i];
        if (!is_blank(d, piece) || is_call_beside(d, i))
            continue;
        if (piece->learnt)
            lint_found(&d->findings, LINT_EMPTY, where(s, piece), "nothing but blanks");
        else if (!piece->system)
            lint_found(&d->findings, LINT_TINY, where(s, piece), "is empty");
    }
    if (d->document.shape == DOCUMENT_IDS && !d->document.n_ids)
        lint_found(&d->findings, LINT_EMPTY, "ids", "no token");
}

static void check_size(struct lint_document *d)
{
    size_t frame = 0;
    for (size_t i = 0; i < d->pieces.n; i++) {
        const struct lint_piece *piece = &d->pieces.items[i];
        size_t n = utf8_count(text_of(d, piece), piece->len);
        d->characters += n;
        frame += piece->system ? n : 0;
    }
    if (d->document.shape != DOCUMENT_IDS && d->characters - frame < TINY &&
        !lint_has(&d->findings, LINT_EMPTY))
        lint_found(&d->findings, LINT_TINY, "", "%zu characters in all", d->characters - frame);
}

/* An odd number of code fences, or an end that asks for more. */
static void check_end(struct lint_document *d, struct lint_scratch *s)
{
    const struct lint_piece *a = d->answer;
    if (!a || a->is_call || a->len < LONG_ENOUGH || d->document.shape == DOCUMENT_TEXT)
        return;
    const char *p = text_of(d, a), *end = p + a->len;
    size_t fences = 0;
    for (const char *line = p; line && line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        fences += end - line >= 3 && !memcmp(line, "```", 3);
        line = newline ? newline + 1 : NULL;
    }
    while (end > p && isspace((unsigned char)end[-1]))
        end--;
    if (fences & 1)
        lint_found(&d->findings, LINT_CUT_OFF, where(s, a), "a code block begins and doesn't end");
    else if (end > p && strchr(",;:([{-", end[-1]))
        lint_found(&d->findings, LINT_CUT_OFF, where(s, a), "ends with \"%c\"", end[-1]);
}

static void check_repetition(struct lint_document *d, struct lint_scratch *s)
{
    size_t all = d->shingles.total_answer, distinct = d->shingles.n - d->shingles.n_prompt;
    if (all >= REPEATS_FROM && distinct * 2 < all)
        lint_found(&d->findings, LINT_REPETITION, d->answer ? where(s, d->answer) : "",
                   "%zu %% of the runs of three words were there before",
                   (all - distinct) * 100 / all);
}

static void check_texts(struct lint_document *d, const struct lint_checker *c,
                        struct lint_scratch *s)
{
    for (size_t i = 0; i < d->pieces.n; i++) {
        const struct lint_piece *piece = &d->pieces.items[i];
        const char *p = text_of(d, piece);
        lint_chars(&d->findings, where(s, piece), p, piece->len);
        lint_private(c->tables->privacy, s->regex, &d->findings, s->where.p, p, piece->len);
    }
}

static void check_language(struct lint_document *d, const struct lint_checker *c)
{
    if (c->expected_languages && d->language != LANGUAGE_UNKNOWN &&
        !(c->expected_languages >> d->language & 1))
        lint_found(&d->findings, LINT_LANGUAGE, "", "seems to be in %s",
                   language_codes[d->language]);
}

/* ---- with the model's tokenizer and template ---- */

static bool ends(const struct tokenizer *t, uint32_t id)
{
    const uint32_t *ids;
    size_t n = tokenizer_end_ids(t, &ids);
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return (int64_t)id == tokenizer_eos(t);
}

/* Whether one of the last learnt tokens before `end` ends the turn. */
static bool run_ends(const struct lint_checker *c, const struct chat_result *r, size_t end)
{
    for (size_t i = end; i-- > 0 && r->trained[i] && end - i <= END_WITHIN;)
        if (ends(chat_tokenizer(c->chat), r->tokens.ids[i]))
            return true;
    return false;
}

/* Each run of learnt tokens is a turn, and has to have its end. */
static void check_ends(struct lint_document *d, const struct lint_checker *c, const char *name,
                       const struct chat_result *r)
{
    const uint32_t *ids;
    size_t runs = 0, open = 0, n = r->tokens.n;
    const struct tokenizer *t = chat_tokenizer(c->chat);
    bool has_end = tokenizer_end_ids(t, &ids) > 0 || tokenizer_eos(t) >= 0;
    if (!has_end || c->train_on == CHAT_TRAIN_ALL ||
        (d->document.shape == DOCUMENT_IDS && !d->document.trained))
        return;
    for (size_t i = 0; i < n; i++)
        if (r->trained[i] && (i + 1 == n || !r->trained[i + 1])) {
            runs++;
            open += !run_ends(c, r, i + 1);
        }
    if (open)
        lint_found(&d->findings, LINT_NO_END, name,
                   "%zu of %zu learnt turn%s end%s without a token that ends generation", open,
                   runs, runs == 1 ? "" : "s", runs == 1 ? "s" : "");
}

static void check_length(struct lint_document *d, const struct lint_checker *c, const char *name,
                         const struct chat_result *r)
{
    size_t lost = 0;
    if (!c->length || r->tokens.n <= c->length)
        return;
    for (size_t i = c->length; i < r->tokens.n; i++)
        lost += r->trained[i];
    lint_found(&d->findings, LINT_LONG, name, "%zu tokens, %zu more than %zu, %zu of them learnt",
               r->tokens.n, r->tokens.n - c->length, c->length, lost);
}

/* A document as it was tokenised, or one of the answers in it, which is named. */
static void check_result(struct lint_document *d, const struct lint_checker *c, const char *name,
                         const struct chat_result *r)
{
    if (r->lost_calls)
        lint_found(&d->findings, LINT_TEMPLATE, name,
                   "the chat template doesn't write the calls of %zu turn%s, which %s not learnt",
                   r->lost_calls, r->lost_calls == 1 ? "" : "s", r->lost_calls == 1 ? "is" : "are");
    d->tokenised = true;
    if (r->tokens.n >= d->tokens) {
        d->tokens = r->tokens.n;
        d->trained = r->n_trained;
    }
    if (!r->n_trained && !lint_has(&d->findings, LINT_UNANSWERED))
        lint_found(&d->findings, LINT_UNTRAINED, name, "none of %zu tokens is learnt", r->tokens.n);
    check_ends(d, c, name, r);
    check_length(d, c, name, r);
}

static void check_tokens(struct lint_document *d, const struct lint_checker *c,
                         struct lint_scratch *s)
{
    struct document *x = &d->document;
    struct chat_result *const results[2] = {&s->results[0], &s->results[1]};
    struct err err;
    if (!c->chat || x->shape == DOCUMENT_PROMPT || lint_has(&d->findings, LINT_EMPTY))
        return;
    int status = x->n_answers ? chat_encode_answers(c->chat, x, results, &err)
                              : chat_encode(c->chat, x, results[0], &err);
    if (status)
        lint_found(&d->findings, LINT_TEMPLATE, "", "%s", err.msg);
    for (size_t i = 0; i < (x->n_answers ? x->n_answers : 1) && !status; i++)
        check_result(d, c, x->n_answers < 2 ? "" : i ? "rejected" : "chosen", results[i]);
}

/* ---- all of it ---- */

static void check_shape(struct lint_document *d)
{
    const struct document *x = &d->document;
    if (x->shape == DOCUMENT_PROMPT)
        lint_found(&d->findings, LINT_UNANSWERED, "", "a prompt alone, without an answer");
    if (x->shape == DOCUMENT_PREFERENCE &&
        json_equal(json_object_get(x->object, "chosen"), json_object_get(x->object, "rejected")))
        lint_found(&d->findings, LINT_SHAPE, "", "chosen and rejected are the same");
}

/* Answers to compare have a prompt that ends with the question. */
static bool is_preference(const json_t *object)
{
    return json_object_get(object, "chosen") && json_object_get(object, "rejected");
}

static void drop_ignored(struct lint_findings *f, const struct lint_checker *c)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        if (!c->ignored[f->items[i].kind])
            f->items[n++] = f->items[i];
    f->n = n;
}

void lint_document_check(struct lint_document *d, const struct lint_checker *c,
                         struct lint_scratch *s, const char *line, size_t len)
{
    struct err err;
    forget(d);
    json_t *value = json_parse(line, len, &err);
    if (!value) {
        lint_found(&d->findings, LINT_JSON, "", "%s", err.msg);
        drop_ignored(&d->findings, c);
        return;
    }
    int status = read_value(d, c, value, &err);
    if (d->document.object && !is_preference(d->document.object))
        lint_turns(&d->findings, d->document.object);
    drop_ignored(&d->findings, c);
    if (status && !d->findings.n)
        lint_found(&d->findings, LINT_SHAPE, "", "%s", err.msg);
    json_decref(value);
    if (!status) {
        check_shape(d);
        check_blank(d, s);
        check_size(d);
        check_end(d, s);
        check_repetition(d, s);
        check_texts(d, c, s);
        check_language(d, c);
        check_tokens(d, c, s);
    }
    drop_ignored(&d->findings, c);
}
