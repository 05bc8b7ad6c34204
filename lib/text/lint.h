/*
 * lint: checks documents one by one and against each other.
 *
 * Documents come in batches, a function of the input alone. A batch is checked by several threads,
 * then compared in order with all that came before, so what is found doesn't depend on the number
 * of threads. A finding is handed on as soon as its document has been compared; only those about
 * languages have to wait until it is known which one is usual.
 *
 * Memory: the batch (256 documents, or some megabytes of text), a table of 17 MB, and for each
 * document about 100 bytes, 4 a shingle (at most 4 KB) and 16 for each of about 25 bands.
 */
#ifndef TEXT_LINT_H
#define TEXT_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "formats/archive.h"
#include "formats/document_source.h"
#include "text/chat.h"
#include "text/lint_finding.h"
#include "text/lint_summary.h"

struct lint_tables; /* lint_document.h */

struct lint_options {
    const struct lint_tables *tables;     /* NULL: makes its own */
    const struct document_fields *fields; /* NULL: none */
    enum document_format format;          /* not of texts */
    const struct chat *chat;              /* NULL: no model */
    enum chat_train train_on;
    size_t length;      /* 0: any */
    double resemblance; /* from which two documents are near duplicates; 1: only the same words */
    uint64_t expected_languages;          /* a bit for each; 0: most documents' */
    unsigned char severity[N_LINT_KINDS]; /* enum lint_severity */
    bool drops[N_LINT_KINDS];             /* a document with such a finding is not kept */
};

/* The kinds' usual severities. */
void lint_options_init(struct lint_options *o);
/* Changes a kind's, and so whether it drops: errors do, and some kinds as warnings too. */
void lint_options_set(struct lint_options *o, enum lint_kind kind, enum lint_severity severity);

/* What is handed on; texts are valid during the call. */
struct lint_report {
    enum lint_kind kind;
    enum lint_severity severity;
    const char *file;
    uint64_t line;
    const json_t *id; /* NULL: none */
    const char *where, *message;
    const char *other_file; /* NULL: none */
    uint64_t other_line;
    double share;
};

struct lint_sink {
    int (*report)(void *arg, const struct lint_report *r, struct err *err);
    /* A document that is not dropped, as it stood in the input, or, where that isn't JSON Lines, as
     * a line of it; without newline. NULL: not asked for. */
    int (*keep)(void *arg, const char *line, size_t len, struct err *err);
    void (*batch)(void *arg,
                  const struct lint_summary *s); /* after each batch; NULL: not asked for */
    void *arg;
};

struct lint;

int lint_new(struct lint **l, const struct lint_options *o, struct pool *pool,
             const struct lint_sink *sink, struct err *err);
void lint_free(struct lint *l);

/* Held-out documents, before the first lint_read; one that can't be read is an error. Takes over
 * in. */
int lint_hold_out(struct lint *l, struct input *in, struct err *err);
/* Takes over in. */
int lint_read(struct lint *l, struct input *in, struct err *err);
/* After the last input. */
int lint_finish(struct lint *l, struct err *err);
const struct lint_summary *lint_get_summary(const struct lint *l);

#endif
