/*
 * added: tokens found in the text itself before anything else is done to it.
 *
 * Two sets, as `tokenizers` has them: those looked for in the text as it is, then those looked for
 * in what the normaliser made of the rest. In each the leftmost match counts, the longest of
 * several.
 */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/text.h"
#include "text/unicode.h"

struct added_token {
    char *content; /* NUL-terminated, may hold NULs */
    size_t len;
    char *normal; /* the content as the normaliser leaves it, NULL where it's the same */
    size_t normal_len;
    uint64_t hash; /* of the content; made by added_put */
    uint32_t id;
    bool special;
    bool normalized;     /* looked for in normalised text */
    bool single_word;    /* only where no word character is beside it */
    bool lstrip, rstrip; /* takes the white space on that side with it */
};

struct added_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t token;          /* index + 1, 0: none ends here */
    unsigned char byte;
};

struct added_trie {
    struct added_node *nodes; /* [0] is the root */
    size_t n, cap;
    bool first[256]; /* a token begins with this byte */
    int only_first;  /* the byte that all of them begin with, else -1 */
};

struct added {
    struct added_token *tokens; /* in order of id once added_finish was called */
    size_t n, cap;
    uint32_t highest;           /* id, if there is any */
    struct added_trie tries[2]; /* [normalized] */
};

void added_init(struct added *a);
void added_release(struct added *a);
/* Takes a copy. A token whose content is there already replaces it. */
void added_put(struct added *a, const struct added_token *token);
void added_finish(struct added *a); /* builds the tries */

const struct added_token *added_by_id(const struct added *a, uint32_t id);
const struct added_token *added_by_content(const struct added *a, const char *p, size_t len);

struct added_match {
    const struct added_token *token;
    size_t start, end; /* white space that the token takes with it included; the next match may
                          begin in that behind it, as `tokenizers` has it */
};

/* What special tokens count as text. */
struct added_rules {
    const struct unicode *unicode;
    bool special;                       /* special tokens are looked for */
    const struct tokenizer_span *plain; /* but not where they touch one of these */
    size_t n_plain;
};

/*
 * The next match in t from *pos on, where *pos is where the last match ended (0 at first) and
 * *searched, 0 at first, is how far the search went.
 */
bool added_next(const struct added *a, bool normalized, const struct added_rules *rules,
                const struct text *t, size_t pos, size_t *searched, struct added_match *match);

#endif
