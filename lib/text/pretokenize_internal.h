/*
 * pretokenize_internal: the steps of a pre-tokeniser; for the files that read and take them.
 */
#ifndef TEXT_PRETOKENIZE_INTERNAL_H
#define TEXT_PRETOKENIZE_INTERNAL_H

#include "text/pretokenize.h"
#include "text/regex.h"
#include "text/unicode.h"

enum { MAX_STEPS = 32 };

enum step_kind {
    STEP_SCAN,      /* a hand-written scanner: pieces are its matches and gaps */
    STEP_REGEX,     /* PCRE2 */
    STEP_STRING,    /* a literal */
    STEP_CUTS,      /* where no token reaches across */
    STEP_WORDS,     /* runs of word characters, runs of other characters but white space */
    STEP_CLASS,     /* each character of the classes is a match */
    STEP_PREFIX,    /* ByteLevel: a space before each piece that doesn't begin with one */
    STEP_METASPACE, /* spaces to the replacement, one prepended */
    STEP_BYTES,     /* ByteLevel: bytes spelled as characters */
    STEP_LENGTH,    /* a piece every so many characters */
};

enum behavior { ISOLATED, REMOVED, CONTIGUOUS, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT };

enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER };

struct step {
    enum step_kind kind;
    enum behavior behavior;
    bool invert;
    scan_function *scan;
    const struct cuts *cuts;
    struct regex *regex;
    char *string; /* the literal, or Metaspace's replacement */
    size_t string_len;
    unsigned classes;
    bool punctuation; /* STEP_CLASS: that, instead of classes */
    enum prepend prepend;
    size_t length;
};

struct pretokenizer {
    const struct unicode *unicode;
    struct step steps[MAX_STEPS];
    size_t n_steps;
};

#endif
