/*
 * corpus: tokenised documents in memory, for what must see them all before it writes the first:
 * 2 bytes a token where the vocabulary fits 16 bits, else 4, and a bit for whether it is trained.
 *
 * Documents are numbered in the order they came, over all inputs. All are of one kind: of
 * preferences, 2i is a chosen one and 2i + 1 the rejected one to the same prompt.
 */
#ifndef FORMATS_CORPUS_H
#define FORMATS_CORPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "formats/archive.h"
#include "formats/stream.h"

struct corpus_document {
    uint64_t at; /* of its first token in the corpus */
    uint32_t n;  /* tokens */
    uint32_t n_trained;
    uint64_t hash;       /* of its ids alone */
    uint64_t text_bytes; /* as in stream_document */
    double weight;
    size_t weights;    /* where those of its tokens begin, plus 1; 0: all are 1 */
    bool label;        /* as in stream_document */
    size_t id, source; /* offsets in strings; 0: none */
};

struct corpus {
    struct stream_header header; /* what the documents' ids are ids of; length is 0 */
    bool known;                  /* header is set: by corpus_expect or by the first stream */
    bool expected;               /* by corpus_expect */
    bool has_kind;               /* header.kind is set, by the first input */
    struct corpus_document *documents;
    size_t n_documents, documents_cap;
    void *ids;        /* [n] u16 or u32 */
    uint8_t *trained; /* [n] bits */
    size_t n, ids_cap, trained_cap;
    double *weights; /* [n_weights] of the tokens of documents that have any but 1 */
    size_t n_weights, weights_cap;
    struct buf strings;
    uint64_t empty;    /* documents of no tokens, which are not in the list */
    struct hash *hash; /* of all that was added */
};

void corpus_init(struct corpus *c);
void corpus_release(struct corpus *c);

/* Says before the first input what its ids are ids of (of the model's header, as a token stream).
 */
void corpus_expect(struct corpus *c, const struct stream_header *h);

/*
 * Adds every document of an input: streams that aren't packed, or JSON Lines {"ids", "trained",
 * "weights", "id", "source", "weight", "bytes"}, told apart by the first byte. A line with "label"
 * is of STREAM_LABEL, one of {"chosen":{"ids", "trained", "bytes"}, "rejected":{...}} a preference.
 * JSON Lines need corpus_expect before. Takes over `in`. Provenance of the streams is collected in
 * header, each line once.
 */
int corpus_read(struct corpus *c, struct input *in, struct err *err);

/* Adds one document of n tokens; trained NULL: all but the first. Counts one of no tokens. */
int corpus_add(struct corpus *c, const uint32_t *ids, const uint8_t *trained, size_t n,
               const struct stream_document *d, struct err *err);

/* Tokens [start, start + n) of document i into ids and trained, each [n]; the first is untrained.
 */
void corpus_tokens(const struct corpus *c, size_t i, size_t start, size_t n, uint32_t *ids,
                   uint8_t *trained);
/* What the loss of each of document i's tokens is multiplied by besides its weight; NULL: all 1. */
double *corpus_weights(const struct corpus *c, size_t i);
size_t corpus_count_trained(const struct corpus *c, size_t i, size_t start, size_t n);
/* Whether two documents, or the two preferences that begin there, are the same but for their names
 * and weights. */
bool corpus_same(const struct corpus *c, size_t i, size_t j);
/* Of all of them, as corpus_same compares them. */
uint64_t corpus_hash(const struct corpus *c, size_t i);
/* Of what stands before the completion; where that is a token or less, of the whole. */
uint64_t corpus_prompt_hash(const struct corpus *c, size_t i);
const char *corpus_string(const struct corpus *c, size_t offset); /* NULL for 0 */

#endif
