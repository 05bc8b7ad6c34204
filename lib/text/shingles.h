/*
 * shingles: a document as the set of its runs of three words, by which documents are compared.
 *
 * The resemblance of two documents is the Jaccard index of their sets, |A and B| / |A or B|
 * (Broder, "On the resemblance and containment of documents", 1997). A shingle is a number of 31
 * bits. Bit 31 says that it is of the answer, of what is learnt, so that one sorted set holds both
 * parts, the prompt's first.
 */
#ifndef TEXT_SHINGLES_H
#define TEXT_SHINGLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHINGLE_WORDS = 3 };
#define SHINGLE_ANSWER 0x80000000u

struct shingles {
    uint32_t *items; /* [n]; sorted and without repetitions once sealed */
    size_t n, cap;
    size_t n_prompt;                /* the first so many; set by shingles_seal */
    size_t total_answer;            /* with repetitions */
    uint64_t window[SHINGLE_WORDS]; /* the last words of the piece that is being added */
    size_t in_window;
};

void shingles_release(struct shingles *s);
void shingles_clear(struct shingles *s);
/* The words of a piece of text one after the other, then its end: shingles don't span pieces. A
 * piece of fewer than SHINGLE_WORDS words is one shingle. */
void shingles_word(struct shingles *s, uint64_t hash, bool answer);
void shingles_end(struct shingles *s, bool answer);
/* Sorts and makes each unique. items isn't NULL then. */
void shingles_seal(struct shingles *s);

/*
 * A sketch: the smallest shingles of each part, at most SKETCH_MOST. Of two documents with fewer it
 * gives the exact resemblance; else one with a standard error of at most 0.5/sqrt(SKETCH_MOST),
 * 0.022.
 */
enum { SKETCH_MOST = 512 };

struct sketch {
    const uint32_t *items;           /* [n_prompt + n_answer], sorted */
    uint32_t n_prompt, n_answer;     /* kept */
    uint32_t all_prompt, all_answer; /* how many there were */
    uint64_t answer_hash; /* decides where the answers are too short to be compared by shingles */
};

/* Estimates of how much two documents resemble each other. */
struct resemblance {
    double whole, answer;
};

struct resemblance sketch_compare(const struct sketch *a, const struct sketch *b);

/*
 * What so many documents have in common that it says nothing about two of them, an instruction for
 * instance that stands before every question: shingles of more than a fifth of all documents so
 * far, or of more than half of those of the batch at hand. Counts are by hash: never too low, and
 * too high by no more than all shingles' number over 4 million.
 */
struct frames;

struct frames *frames_new(void);
void frames_free(struct frames *f);
void frames_begin_batch(struct frames *f);
void frames_count(struct frames *f, const struct shingles *s);
/* Whether a shingle counts as frame. Never before there are FRAMES_FROM documents. */
enum { FRAMES_FROM = 64 };
bool frames_have(const struct frames *f, uint32_t shingle);
uint64_t frames_documents(const struct frames *f);

/* Drops the shingles that are frame. */
void shingles_unframe(struct shingles *s, const struct frames *f);

#endif
