/*
 * lint_document: everything that can be said about one document by itself.
 */
#ifndef TEXT_LINT_DOCUMENT_H
#define TEXT_LINT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/document.h"
#include "text/chat.h"
#include "text/language.h"
#include "text/lint_finding.h"
#include "text/lint_pieces.h"
#include "text/lint_privacy.h"
#include "text/lint_words.h"
#include "text/shingles.h"

/* What is known of characters, words and patterns: immutable, for any number of checkers. */
struct lint_tables {
    struct word_table words;
    struct language_table languages;
    struct lint_privacy *privacy;
};

int lint_tables_new(struct lint_tables **t, struct err *err);
void lint_tables_free(struct lint_tables *t);

/* What the checks need; immutable while threads use it. */
struct lint_checker {
    const struct lint_tables *tables;
    const struct document_fields *fields; /* NULL: none */
    const struct chat *chat;              /* NULL: no model */
    enum chat_train train_on;
    size_t length;               /* most tokens; 0: any number */
    uint64_t expected_languages; /* a bit for each; 0: any */
    bool ignored[N_LINT_KINDS];
};

/* Work memory of one thread. */
struct lint_scratch {
    const struct lint_checker *checker;
    struct regex_scratch *regex;
    struct chat_result results[2]; /* where there is a model */
    struct buf where;
};

void lint_scratch_init(struct lint_scratch *s, const struct lint_checker *c);
void lint_scratch_release(struct lint_scratch *s);

/* A document and what came out; reused. */
struct lint_document {
    struct document document;
    struct lint_pieces pieces;
    struct lint_findings findings;
    struct shingles shingles; /* sealed */
    bool readable;            /* it was recognised: what follows is known */
    enum document_shape shape;
    size_t characters;
    size_t turns; /* messages; 0 for other shapes */
    bool tokenised;
    size_t tokens, trained; /* of a preference, of its longer side */
    unsigned language;
    uint64_t hash;                   /* of all that is learnt from or on */
    uint64_t prompt_hash;            /* of what stands before the last answer; 0: there is none */
    uint64_t answer_hash;            /* of the last answer, or of the text */
    const struct lint_piece *answer; /* NULL: none */
};

void lint_document_init(struct lint_document *d);
void lint_document_release(struct lint_document *d);

/* Checks the JSON text line[len]. Fills in everything else of d. */
void lint_document_check(struct lint_document *d, const struct lint_checker *c,
                         struct lint_scratch *s, const char *line, size_t len);
/* Only reads it, for comparison: -1 where it can't be. */
int lint_document_read(struct lint_document *d, const struct lint_checker *c, const char *line,
                       size_t len, struct err *err);

#endif
