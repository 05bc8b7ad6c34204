/*
 * lint_summary: what a whole set of documents is like, and what to do about it.
 */
#ifndef TEXT_LINT_SUMMARY_H
#define TEXT_LINT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "formats/document.h"
#include "text/language.h"
#include "text/lint_finding.h"

/* Texts and how many documents have them: the first few thousand different ones. */
struct tally_entry {
    uint64_t hash;
    uint64_t n;
    char *text; /* shortened */
};

struct tally {
    struct tally_entry *entries; /* open addressing; n 0: free */
    size_t n, cap;
    uint64_t others, all; /* documents with none of these; documents */
};

void tally_add(struct tally *t, const char *p, size_t len);
void tally_release(struct tally *t);
/* The most frequent, at most `most`, into out; returns their number. */
size_t tally_top(const struct tally *t, const struct tally_entry **out, size_t most);

enum { LINT_SHAPES = DOCUMENT_LABEL + 1, LINT_HISTOGRAM = 40 };

struct lint_summary {
    uint64_t documents;   /* lines */
    uint64_t passed_over; /* members of archives that are no documents */
    uint64_t readable, dropped, with_errors, with_warnings;
    uint64_t errors, warnings;             /* findings */
    uint64_t kept_errors, kept_warnings;   /* those in documents that are not dropped */
    uint64_t found[N_LINT_KINDS];          /* findings */
    uint64_t documents_with[N_LINT_KINDS]; /* documents */
    uint64_t shapes[LINT_SHAPES];
    uint64_t characters, tokens, trained, turns, with_system;
    uint64_t tokens_lost; /* those over --length */
    bool has_tokens;
    size_t length;     /* --length; 0: none */
    uint32_t *lengths; /* [readable]: tokens if has_tokens, else characters */
    size_t n_lengths, lengths_cap;
    uint64_t languages[LANGUAGE_MAX];
    struct tally answers, sources;
    uint64_t index_bytes; /* that the index of near duplicates takes */
    unsigned char severity[N_LINT_KINDS];
};

void lint_summary_release(struct lint_summary *s);

/* After the last document: sorts the lengths. */
void lint_summary_finish(struct lint_summary *s);
/* Of sorted lengths: that of the document below which so many percent are; 0 without documents. */
uint32_t lint_summary_length(const struct lint_summary *s, unsigned percent);
/* Documents by length: bounds[i] <= length < bounds[i + 1]; returns the number of bins. */
size_t lint_summary_histogram(const struct lint_summary *s, uint32_t bounds[LINT_HISTOGRAM + 1],
                              uint64_t counts[LINT_HISTOGRAM]);

/* Whether the answers are a few labels, and not texts. */
bool lint_summary_has_labels(const struct lint_summary *s);

/* What to do, the most important first: a sentence each, ended by \n. */
void lint_summary_advice(const struct lint_summary *s, struct buf *out);

#endif
