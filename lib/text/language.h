/*
 * language: which language a text is in, without data of any size.
 *
 * The script decides where it belongs to one language. Within the Latin, Cyrillic and Arabic
 * scripts short lists of the commonest words, and letters that only some languages have, are
 * counted. That tells thirty languages apart from about ten words of running text on; of a shorter
 * one, of lists, names, tables or code it says that it doesn't know, and close relatives (Danish
 * and Norwegian, Czech and Slovak, Croatian and Serbian in Latin letters) it may mix up.
 */
#ifndef TEXT_LANGUAGE_H
#define TEXT_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

#include "text/lint_words.h"

enum { LANGUAGE_UNKNOWN = 0, LANGUAGE_MAX = 64, LANGUAGE_LISTED = 31 /* at most */ };

/* ISO 639-1; "und" for LANGUAGE_UNKNOWN; NULL behind the last. */
extern const char *const language_codes[];
/* LANGUAGE_UNKNOWN for a code that is not among them. */
unsigned language_of_code(const char *code, size_t len);

/* The words of all lists; immutable once made. */
struct language_table {
    struct {
        uint64_t hash;      /* 0: free */
        uint32_t languages; /* a bit for each */
    } slots[2048];
    /* The languages that a letter tells, for those up to U+06FF and from U+1E00 to U+1EFF. */
    uint32_t letters[0x700 + 0x100];
};

void language_table_init(struct language_table *t, const struct word_table *words);

/* What was seen of a text. Zeroed to begin with. */
struct language_counts {
    uint32_t words; /* in scripts that need lists */
    uint32_t scores[LANGUAGE_LISTED + 1], hits[LANGUAGE_LISTED + 1];
    uint64_t letters[N_SCRIPTS];
};

void language_count(struct language_counts *c, const struct language_table *t,
                    const struct word *w);
unsigned language_guess(const struct language_counts *c);

#endif
