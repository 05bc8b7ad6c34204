/*
 * lint_words: a text as words, whatever it is written in: what documents are compared by and what
 * their language is told from.
 *
 * A word is a run of letters, marks and digits, in lower case; where a script puts no spaces
 * between words (Han, kana, Thai ...) every letter is one.
 */
#ifndef TEXT_LINT_WORDS_H
#define TEXT_LINT_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/unicode.h"

enum script {
    SCRIPT_NONE, /* digits, letters of scripts that are not in this list */
    SCRIPT_LATIN,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_ARMENIAN,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_BENGALI,
    SCRIPT_GURMUKHI,
    SCRIPT_GUJARATI,
    SCRIPT_TAMIL,
    SCRIPT_TELUGU,
    SCRIPT_KANNADA,
    SCRIPT_MALAYALAM,
    SCRIPT_SINHALA,
    SCRIPT_THAI,
    SCRIPT_LAO,
    SCRIPT_MYANMAR,
    SCRIPT_GEORGIAN,
    SCRIPT_ETHIOPIC,
    SCRIPT_KHMER,
    SCRIPT_KANA,
    SCRIPT_HANGUL,
    SCRIPT_HAN,
    N_SCRIPTS,
};

struct word {
    const unsigned char *p; /* [bytes], as it stands there */
    size_t bytes, letters;  /* letters: characters */
    uint64_t hash;          /* of its characters in lower case */
    enum script script;
};

/* What is known of each character; immutable once made. */
struct word_table {
    struct unicode characters;
};

void word_table_init(struct word_table *t);
void word_table_release(struct word_table *t);

struct word_cursor {
    const struct word_table *table;
    const unsigned char *p, *end; /* valid UTF-8 */
};

void word_start(struct word_cursor *c, const struct word_table *t, const char *p, size_t len);
bool word_next(struct word_cursor *c, struct word *w);

/* The script of a character; SCRIPT_NONE for what is no letter. */
enum script word_script(const struct word_table *t, uint32_t character);

/* Well mixed: every bit of the result depends on every bit of v. */
static inline uint64_t word_mix(uint64_t v)
{
    v ^= v >> 32; /* the finisher of MurmurHash3's kind, with Stafford's constants ("Mix13") */
    v *= 0xbf58476d1ce4e5b9u;
    v ^= v >> 29;
    v *= 0x94d049bb133111ebu;
    return v ^ v >> 32;
}

#endif
